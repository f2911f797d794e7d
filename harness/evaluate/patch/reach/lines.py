# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval reach FILE:LINE`: which of the recorded cells ran a line of the kernel's source."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import asdict, dataclass

from harness.base.errors import UsageError
from harness.base.text import clean
from harness.evaluate.patch.reach.reach import PatchLines, lines_at
from harness.evaluate.patch.reach.recorded import Recorded, recorded_cells
from harness.evaluate.patch.reach.states import Witness, states_of
from harness.kernel.store import Build

SCHEMA = "s2eval-reach-lines-1"
PLACE = re.compile(r"(?P<file>[\w./+-]+\.[chS]):(?P<line>\d+)")
TREE_SECONDS = 20.0  # for a build of another run in the tree


@dataclass(frozen=True)
class LineReach:
    """What became of a line in a kernel, `text` in its own source.

    `state` is one of LineState, "" where it is not known, with the `reason`. `where` are the cells
    that ran it, MACHINE/SUITE.
    """

    kernel: str
    version: str
    text: str
    state: str
    where: tuple[str, ...]
    reason: str = ""


def reach_of_line(place: str) -> list[LineReach]:
    """Return what the newest record of each cell says of FILE:LINE, by kernel, newest first.

    Raise UsageError when `place` is none, there is no record, or no kernel has such a line.
    """
    match = PLACE.fullmatch(place)
    if match is None:
        raise UsageError(f"{place}: FILE:LINE is a path in the kernel's tree and a number")
    cells: dict[str, list[Recorded]] = defaultdict(list)
    for one in recorded_cells():
        cells[one.cell.kernel.build_key].append(one)
    found = [
        told
        for of_build in cells.values()
        if (build := of_build[0].build())
        and (told := _in_build(build, match["file"], int(match["line"]), of_build))
    ]
    if not found:
        raise UsageError(f"{place}: no recorded kernel has such a line")
    return found


def document_of(found: list[LineReach]) -> dict[str, object]:
    """Return `found` as what `--json` prints."""
    return {"schema": SCHEMA, "kernels": [asdict(one) for one in found]}


def _in_build(build: Build, file: str, line: int, cells: list[Recorded]) -> LineReach | None:
    kernel = build.record
    lines: PatchLines = lines_at(build, TREE_SECONDS, file, line)
    if lines.unknown:
        return LineReach(kernel.name, kernel.version, "", "", (), lines.unknown)
    if not lines.files:
        return None
    witnesses = [Witness(one.place, one.records) for one in cells]
    (state,) = states_of(lines.files[0], witnesses, guests=True)
    text = lines.files[0].text.split("\n")[line - 1]
    return LineReach(
        kernel.name, kernel.version, clean(text.strip()), state.state.value, tuple(state.where)
    )
