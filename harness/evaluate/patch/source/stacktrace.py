# SPDX-License-Identifier: GPL-2.0-only
"""Stack traces to file and line, without a kernel full of debug information.

The kernels of the store have none (it would triple their size and build time). A function's object
is compiled once more with -g, by the command that kbuild kept: -g changes no instruction, so that
the offsets of the trace fit.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.evaluate.patch.source.lint import added_lines
from harness.evaluate.patch.source.objects import (
    NVHE,
    checked_out,
    command_of,
    objects_of,
    output_of,
)
from harness.kernel.store import Build
from harness.kernel.toolchain import cross_prefix
from harness.suites.failures.splats import is_helper

FUNCTIONS = 12  # of a trace that are looked up
_CALL = re.compile(r"\b([A-Za-z_][\w.$]*)\+0x([0-9a-f]+)/0x([0-9a-f]+)")
_EXACT = re.compile(r"\bpc : | at \S+:\d+ ")  # where it is, not where it returns to
_SYMBOL = re.compile(r"^([0-9a-f]+)\s+\S+\s+F?\s*(\.\S+)\s+([0-9a-f]+)\s+(?:\.hidden )?(\S+)$")


def decoded(
    trace: Sequence[str], build: Build, *, own: bool = False, patience: float = 0
) -> list[str]:
    """Return the lines of a trace, `(file:line)` behind each function that can be found.

    With `own` that is a line of the function's file, not of a header that the compiler has put in.
    The lines stay as they are where another run builds in the tree for more than `patience` s.
    """
    with checked_out(build, patience) as tree:
        if tree is None:
            return list(trace)
        changed = added_lines(tree.work, build.inputs["commit"], build.inputs["applied"])
        out = tree.out_of(build.inputs)
        return _decoded(trace, tree.work, out, changed, own=own)


def _decoded(
    trace: Sequence[str], work: Path, out: Path, changed: Iterable[str], *, own: bool
) -> list[str]:
    """`changed`: the files of the series. The O= folder may hold another kernel by now, without
    the functions that the series adds."""
    named = dict.fromkeys(m[1] for line in trace for m in _CALL.finditer(line))
    wanted = sorted(named, key=is_helper)[:FUNCTIONS]
    objects = _objects(out, wanted)
    exact = {m[0] for line in trace if _EXACT.search(line) for m in _CALL.finditer(line)}
    with tempfile.TemporaryDirectory(prefix="s2eval-decode-") as scratch:
        new = [target for source in changed for target in objects_of(out, source)]
        finder = _Finder(out, work, Path(scratch), objects, new, own=own)
        return [
            _CALL.sub(lambda call: call[0] + finder.place(call, exact=call[0] in exact), line)
            for line in trace
        ]


class _Finder:
    """Compiles each object once."""

    def __init__(
        self,
        out: Path,
        work: Path,
        scratch: Path,
        objects: dict[str, Path],
        new: list[Path],
        *,
        own: bool,
    ) -> None:
        self.out = out
        self.work = work
        self.scratch = scratch
        self.objects = objects
        self.new = new
        self.own = own
        self._made: dict[Path, Path | None] = {}

    def place(self, call: re.Match[str], *, exact: bool) -> str:
        """Return ` (mm/slub.c:123)`, "" when it cannot be told.

        Not `exact` is a return address: that of the instruction behind the call.
        """
        name, offset = call[1], int(call[2], 16)
        plain = name.removeprefix(NVHE)
        for source in [self.objects[name]] if name in self.objects else self.new:
            target = self._debug(source)
            for line in (
                output_of([f"{cross_prefix()}objdump", "-t", str(target)]) if target else ()
            ):
                match = _SYMBOL.match(line)
                if match is None or match[4] != plain:
                    continue
                address = int(match[1], 16) + (offset if exact else max(offset - 4, 0))
                command = [f"{cross_prefix()}addr2line", "-e", str(target), "-j", match[2],
                           hex(address)]  # fmt: skip
                lines = output_of([*command, "-i"] if self.own else command)
                location = _own_line(lines) if self.own else (lines or ["??"])[0].partition(" ")[0]
                return "" if location.startswith("??") else f" ({self._short(location)})"
        return ""

    def _short(self, place: str) -> str:
        """A path in the tree; the prefix maps of the build have cut most of it off."""
        return place.removeprefix(f"{self.work}/").removeprefix(f"{self.out}/").removeprefix("/")

    def _debug(self, target: Path) -> Path | None:
        if target not in self._made:
            made = self.scratch / f"{len(self._made)}.o"
            command = _with_debug(command_of(target), made)
            if command:
                output_of(command, self.out)
            self._made[target] = made if made.is_file() else None
        return self._made[target]


def _own_line(lines: Sequence[str]) -> str:
    """The innermost place in the function's own file: `lines` have what was inlined first, e.g. of
    a header, and the function itself at the end."""
    places = [line.partition(" ")[0] for line in lines] or ["??"]
    file = places[-1].rpartition(":")[0]
    return next(place for place in places if place.rpartition(":")[0] == file)


def _with_debug(command: Sequence[str], made: Path) -> list[str]:
    """The command for another output; its dependency file goes beside that."""
    if "-o" not in command:
        return []
    words = list(command)
    words[words.index("-o") + 1] = str(made)
    words = [f"-Wp,-MMD,{made}.d" if word.startswith("-Wp,-MMD,") else word for word in words]
    if words[0] == "ccache":
        del words[0]
    return [words[0], "-g", *words[1:]]


def _objects(out: Path, functions: Iterable[str]) -> dict[str, Path]:
    """The object that defines each function: the archives of the O= folder are asked."""
    wanted = set(functions)
    nvhe = _nvhe_objects(out, wanted)
    archive = out / "vmlinux.a"  # a thin one, of all objects; built-in.a before Linux 6.1
    names = [str(archive if archive.is_file() else out / "built-in.a")]
    names += [str(path) for path in out.rglob("*.o") if (path.with_suffix(".ko")).is_file()]
    objects: dict[str, Path] = {}
    for line in output_of([f"{cross_prefix()}nm", "-A", "--defined-only", *names], out):
        member, _, rest = line.rpartition(":")
        columns = rest.split()
        if len(columns) == 3 and columns[2] in wanted and columns[1] in "tTwW":
            path = Path(member.partition(":")[2] or member)
            objects.setdefault(columns[2], path if path.is_absolute() else out / path)
    return objects | nvhe


def _nvhe_objects(out: Path, functions: Iterable[str]) -> dict[str, Path]:
    """The objects of the hypervisor without VHE: what they are linked to gets a prefix as a whole
    (arch/arm64/kvm/hyp/nvhe/Makefile)."""
    wanted = {name.removeprefix(NVHE): name for name in functions if name.startswith(NVHE)}
    names = [str(path) for path in out.glob("arch/arm64/kvm/hyp/nvhe/*.nvhe.o")]
    objects = {}
    for line in (
        output_of([f"{cross_prefix()}nm", "-A", "--defined-only", *names]) if wanted else ()
    ):
        member, _, rest = line.rpartition(":")
        columns = rest.split()
        if len(columns) == 3 and columns[2] in wanted and columns[1] in "tTwW":
            objects[wanted[columns[2]]] = Path(member)
    return objects
