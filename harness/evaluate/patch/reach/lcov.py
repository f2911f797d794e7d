# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval reach --lcov FILE`: the lines of a folder of the kernel that ran, as lcov has them.

The format is that of geninfo(1): a record a source file, DA:LINE,COUNT for each line with code.
COUNT is the number of cells that ran the line, of all machines and suites that ran the kernel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import MachineError, UsageError
from harness.base.files import write_atomic
from harness.evaluate.patch.reach.code import CodeFinder
from harness.evaluate.patch.reach.gaps import objects_at
from harness.evaluate.patch.reach.reach import looked_at
from harness.evaluate.patch.reach.recorded import Recorded, recorded_cells
from harness.hosts.coverage.record import Executed
from harness.kernel.addresses.symbols import TEXT
from harness.kernel.source import Tree

TREE_SECONDS = 60.0  # for a build of another run in the tree
Lines = Mapping[str, Mapping[int, int]]  # by file and line: how many cells ran it


@dataclass(frozen=True)
class Written:
    """What a tracefile has: the kernel's name, files, lines with code and those that ran."""

    kernel: str
    cells: int
    files: int
    lines: int
    ran: int


def write_lcov(folder: str, target: Path) -> Written:
    """Write the lines of a folder (or a file) of the kernel that was recorded last.

    All cells of that kernel count, among the newest records of the last runs. Raise UsageError when
    there is no record, the kernel has no object there, or `target` cannot be written; MachineError
    when its code cannot be looked at.
    """
    recorded = recorded_cells()
    key = recorded[0].cell.kernel.build_key
    cells = [one for one in recorded if one.cell.kernel.build_key == key]
    build = cells[0].build()
    if build is None:
        raise UsageError(f"the build of {cells[0].cell.kernel.name} is in the store no more")
    lines: Lines = {}

    def look(_tree: Tree, finder: CodeFinder) -> str:
        nonlocal lines
        lines = _lines(folder.strip("/"), finder, cells)
        return ""

    if unknown := looked_at(build, TREE_SECONDS, look, str):
        raise MachineError(f"{build.record.name}: {unknown}")
    if not lines:
        raise UsageError(f"{folder}: {build.record.name} has no object there")
    try:
        write_atomic(target, "".join(_text(lines)))
    except OSError as error:
        raise UsageError(f"{target}: {error.strerror}") from None
    counts = [count for of_file in lines.values() for count in of_file.values()]
    ran = sum(count > 0 for count in counts)
    return Written(build.record.name, len(cells), len(lines), len(counts), ran)


def _lines(path: str, finder: CodeFinder, cells: Iterable[Recorded]) -> Lines:
    for made in objects_at(finder.out, path):
        if finder.is_linked(made):
            finder.add(made)
    begin = finder.address(TEXT)
    found: dict[str, dict[int, int]] = defaultdict(dict)
    records = [one.records for one in cells]
    for (file, line), addresses in finder.code.addresses.items():
        if file == path or file.startswith(f"{path}/"):
            offsets = [address - begin for address in addresses if address >= begin]
            if offsets:
                found[file][line] = sum(_ran(boots, offsets) for boots in records)
    return found


def _ran(boots: Iterable[Executed], offsets: Iterable[int]) -> bool:
    return any(boot.on_host(offsets) for boot in boots)


def _text(lines: Lines) -> Iterator[str]:
    for file, of_file in sorted(lines.items()):
        yield f"TN:\nSF:{file}\n"
        for line, count in sorted(of_file.items()):
            yield f"DA:{line},{count}\n"
        ran = sum(count > 0 for count in of_file.values())
        yield f"LF:{len(of_file)}\nLH:{ran}\nend_of_record\n"
