# SPDX-License-Identifier: GPL-2.0-only
"""What a verdict says of the lines that its series adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.base.files import write_atomic
from harness.evaluate.patch.reach.reach import PatchLines, reach_of, unrecorded
from harness.evaluate.patch.verdict.conclude import Conclusion
from harness.evaluate.patch.verdict.lines import LineState, PatchReach
from harness.evaluate.patch.verdict.word import Lines
from harness.results.records import Cell
from harness.results.store import SERIES_DIFF


@dataclass(frozen=True)
class Ran:
    """The cells of the patched kernel in the run in `folder`; none where it was not `booted`."""

    cells: Sequence[Cell]
    folder: Path
    booted: bool


def add_reach(told: Conclusion, lines: PatchLines, ran: Ran, *, guests: bool) -> PatchReach | None:
    """Return which of `lines` ran, and tell that to the conclusion `told`, for its word as well.

    With `guests` what only a guest executed has run. None where it is not known; a note says why.
    The diff of the series is kept in the run. Raise OSError without room for that.
    """
    reach = reach_of(lines, ran.cells, ran.folder, guests=guests)
    if reach is None:
        reason = lines.unknown or "no cell has a record of what it executed"
        told.notes.append(f"which lines of the series ran is not known: {reason}")
        return None
    told.notes += lines.notes
    every = reach if guests else reach_of(lines, ran.cells, ran.folder, guests=True)
    if every and every.ran > reach.ran:
        more = every.ran - reach.ran
        told.notes.append(
            f"{more} more of the added lines ran in the guest alone: --reach-guest counts them"
        )
    write_atomic(ran.folder / SERIES_DIFF, lines.diff)
    if missing := unrecorded(ran.cells, ran.folder):
        told.notes.append(f"what runs was not recorded in {', '.join(missing)}")
        return reach  # a line may have run there: the word stands
    told.lines = Lines(
        ran=reach.ran,
        never=reach.count(LineState.NEVER),
        not_built=reach.count(LineState.NOT_BUILT),
        booted=ran.booted,
    )
    return reach
