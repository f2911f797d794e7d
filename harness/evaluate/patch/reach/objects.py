# SPDX-License-Identifier: GPL-2.0-only
"""The objects of an O= folder that hold code of a source file or a header."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

COMPILED = {".c", ".S"}
# What kbuild reads and compiles nothing of: it shapes the kernel, and no line of it has code.
_READ = re.compile(r"(?:^|/)(?:Kconfig|Makefile|Kbuild)[^/]*$|\.lds\.S$")
_IDENTIFIER = re.compile(r"\b[A-Za-z_]\w+(?=\s*\()")
_NVHE = ".nvhe"


def shapes_build(path: str) -> bool:
    """Tell whether kbuild reads a file of the tree in which no line can have code."""
    return bool(_READ.search(path))


def own_objects(out: Path, source: str) -> list[Path]:
    """Return the objects in `out` that are made of `source`, a path in the tree.

    hyp/pgtable.c is compiled twice: hyp/pgtable.o and, for the hypervisor without VHE,
    hyp/pgtable.nvhe.o (arch/arm64/kvm/hyp/nvhe/Makefile).
    """
    name = PurePosixPath(source)
    if name.suffix not in COMPILED:
        return []
    folder = out / name.parent
    return [
        made
        for kind in ("", _NVHE)
        if (made := folder / f"{name.stem}{kind}.o").is_file() and _command_file(made).is_file()
    ]


def including_objects(out: Path, work: Path, header: str) -> list[Path]:
    """Return the objects in `out` whose source reads the file `header` of the tree `work`.

    kbuild keeps the names of all files that an object was made of beside it (scripts/basic/fixdep).
    """
    wanted = (f" {work / header} ".encode(), f" {header} ".encode())
    found = []
    for kept in sorted(out.rglob(".*.o.cmd")):
        text = kept.read_bytes()
        if any(name in text for name in wanted):
            made = kept.with_name(kept.name.removeprefix(".").removesuffix(".cmd"))
            if made.is_file():
                found.append(made)
    return found


def nearest(objects: Iterable[Path], out: Path, work: Path, added: str) -> list[Path]:
    """Return `objects` in the order in which they are likely to have the code of `added` lines.

    Those come first whose source names more of the functions that the lines name.
    """
    names = set(_IDENTIFIER.findall(added))

    def named(made: Path) -> int:
        source = work / made.relative_to(out).parent / f"{made.name.split('.')[0]}.c"
        try:
            text = source.read_text(errors="replace")
        except OSError:
            return 0
        return len(names.intersection(_IDENTIFIER.findall(text)))

    return sorted(objects, key=named, reverse=True)


def is_nvhe(made: Path) -> bool:
    """Tell whether an object is of the hypervisor without VHE, whose symbols get a prefix."""
    return made.name.endswith(f"{_NVHE}.o")


def _command_file(made: Path) -> Path:
    return made.with_name(f".{made.name}.cmd")
