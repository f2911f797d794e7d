# SPDX-License-Identifier: GPL-2.0-only
"""The question of a bisection without a check: is a commit worse than the good end? Pure but for
the logs."""

from __future__ import annotations

from pathlib import Path

from harness.evaluate.patch.verdict.check import CheckResult
from harness.evaluate.patch.verdict.conclude import conclude, headline
from harness.evaluate.patch.verdict.reach import FAULTS
from harness.evaluate.patch.verdict.word import ChangeKind, Verdict, counts
from harness.results.compare import Pair
from harness.results.records import Cell

NOT_WORSE = "no worse than the good end"
_BAD = (Verdict.REGRESSED, Verdict.MIXED)


def of_good_end(cell: Cell) -> CheckResult:
    """Return whether the cell of the good end can be compared with; a fault of ours cannot."""
    if not cell.outcomes() or cell.status in FAULTS:
        return CheckResult(None, cell.failure.summary if cell.failure else "nothing was observed")
    return CheckResult(True, "the good end")


def not_worse(good: Cell, cell: Cell, folder: Path) -> CheckResult:
    """Return whether `cell` is no worse than `good`, by the word on the two (docs/patch.md).

    Their logs are in `folder`, the run's.
    """
    told = conclude([Pair(good, cell)], (folder, folder), every_figure=False)
    why = headline(told)
    if told.verdict is Verdict.UNDECIDED:
        return CheckResult(None, why)
    if told.verdict not in _BAD:
        return CheckResult(True, f"{told.verdict.value}: {why}")
    worst = next(c for c in told.changes if c.kind is ChangeKind.REGRESSED and counts(c))
    return CheckResult(False, f"{worst.path}: {worst.base} -> {worst.patched}")
