# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval reach --gaps FOLDER`: the functions of a kernel's folder that no record shows run."""

from __future__ import annotations

import glob
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.base.errors import UsageError
from harness.base.paths import cache_dir
from harness.evaluate.patch.reach.objects import is_nvhe
from harness.evaluate.patch.reach.recorded import Recorded, counts_of, recorded_cells
from harness.evaluate.patch.source.objects import NVHE, output_of
from harness.kernel.addresses.symbols import Symbols
from harness.kernel.source import Tree
from harness.kernel.store import Build
from harness.kernel.toolchain import cross_prefix

SCHEMA = "s2eval-reach-gaps-1"
_CODE = "tTwW"  # kinds of nm(1)


@dataclass(frozen=True)
class FileGaps:
    """The functions of a source file that a host executed, and those that none did.

    Functions of the hypervisor without VHE have its prefix.
    """

    file: str
    ran: tuple[str, ...]
    never: tuple[str, ...]


@dataclass(frozen=True)
class Gaps:
    """The files below `folder`, by name, and the cells whose records were looked at."""

    folder: str
    files: tuple[FileGaps, ...]
    cells: tuple[str, ...]


def gaps(folder: str) -> Gaps:
    """Return what the newest record of each cell says of the functions of a folder (or a file).

    The functions are those of the newest kernel among them whose objects are still there. Raise
    UsageError when there is no record, or no such kernel has an object in the folder.
    """
    recorded = recorded_cells()
    path = folder.strip("/")
    functions = _functions(path, recorded)
    if not functions:
        raise UsageError(f"{folder}: no recorded kernel has an object there (any more)")
    names = {name for found in functions.values() for name in found}
    ran = set(_ran(names, recorded))
    files = tuple(
        FileGaps(
            file,
            tuple(sorted(found & ran)),
            tuple(sorted(found - ran)),
        )
        for file, found in sorted(functions.items())
    )
    return Gaps(path, files, tuple(one.cell.name for one in recorded))


def document_of(found: Gaps) -> dict[str, object]:
    """Return `found` as what `--json` prints."""
    return {"schema": SCHEMA, **asdict(found)}


def _functions(path: str, recorded: Iterable[Recorded]) -> dict[str, set[str]]:
    """Return the functions of each source file at or below `path` that are in a kernel."""
    for one in recorded:
        build, symbols = one.build(), one.symbols()
        if build is None or symbols is None:
            continue
        if found := functions_in(path, build, symbols):
            return found
    return {}


def functions_in(path: str, build: Build, symbols: Symbols) -> dict[str, set[str]]:
    """Return the functions of a build by source file, at or below `path` in its tree.

    There are none where the build's objects are not there any more.
    """
    if "tree" not in build.inputs:
        return {}
    out = Tree(cache_dir("sources") / build.inputs["tree"]).out_of(build.inputs)
    found: dict[str, set[str]] = defaultdict(set)
    objects = list(objects_at(out, path))
    listing = output_of([f"{cross_prefix()}nm", "-A", "--defined-only", *map(str, objects)])
    for line in listing if objects else ():
        name, _, rest = line.partition(":")
        fields = rest.split()
        if len(fields) != 3 or fields[1] not in _CODE:
            continue
        made = Path(name)
        function = f"{NVHE if is_nvhe(made) else ''}{fields[2]}"
        if function in symbols.named and not fields[2].startswith(("$", ".")):
            found[_source(made.relative_to(out))].add(function)
    return dict(found)


def objects_at(out: Path, path: str) -> Iterator[Path]:
    """Yield the objects of an O= folder that a compiler made of files at or below `path`."""
    place = out / path
    if place.is_dir():
        there = place.rglob("*.o")
    else:
        there = place.parent.glob(f"{glob.escape(place.stem)}.*o")  # mmu.o, and mmu.nvhe.o
    for made in sorted(there):
        command = made.with_name(f".{made.name}.cmd")
        # What kbuild has linked of others is made without -c.
        if command.is_file() and " -c " in command.read_text(errors="replace"):
            yield made


def _source(made: Path) -> str:
    return str(made.parent / f"{made.name.split('.')[0]}.c")


def _ran(names: set[str], recorded: Iterable[Recorded]) -> Iterator[str]:
    """Yield those of the functions of which a host executed an instruction."""
    left = set(names)
    for one in recorded:
        symbols = one.symbols()
        if symbols is None:
            continue
        plain = {name.removeprefix(NVHE) for name in left}
        for name in plain & {known.removeprefix(NVHE) for known in symbols.named}:
            for counts in counts_of(one, symbols, name):
                if counts.host and counts.function in left:
                    left.discard(counts.function)
                    yield counts.function
