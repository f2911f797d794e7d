# SPDX-License-Identifier: GPL-2.0-only
"""Figures of two cells as records and as changes of a verdict."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from harness.evaluate.patch.verdict.verdict import VerdictChange
from harness.evaluate.patch.verdict.word import ChangeKind, Figure
from harness.results.compare import Pair
from harness.results.figures import figure
from harness.results.shifts import FigureShift, figure_shifts
from harness.results.stats import Shift, Summary

# Units of which more is better; of all others (times, ticks, counts) less is.
RATES = ("/s", "Hz")


class FigureSide(BaseModel):
    """The median of one kernel's boots with its 95 % interval; `count` is how many boots."""

    model_config = ConfigDict(extra="forbid")

    median: float
    low: float
    high: float
    count: int


class FigureRecord(BaseModel):
    """One figure of both kernels. `ratio` is None where the base's median is 0."""

    model_config = ConfigDict(extra="forbid")

    path: str
    machine: str
    suite: str
    unit: str | None
    base: FigureSide
    patched: FigureSide
    ratio: float | None
    p: float
    effect: float
    representative: bool
    differs: bool
    kind: ChangeKind


def compared(pair: Pair, *, always: bool = False) -> list[FigureRecord]:
    """Return a record of each figure that figure_shifts() compares; `always` is as for that."""
    return [_record(pair, found) for found in figure_shifts(pair, always=always)]


def changes(records: Iterable[FigureRecord]) -> list[VerdictChange]:
    """Return the figures that differ as changes."""
    return [
        VerdictChange(
            path=one.path,
            base=_median_and_range(one.base, one.unit),
            patched=_median_and_range(one.patched, one.unit),
            kind=one.kind,
            about="figure",
            machine=one.machine,
            suite=one.suite,
            detail={"ratio": one.ratio, "p": one.p, "effect": one.effect},
        )
        for one in records
        if one.differs
    ]


def _record(pair: Pair, found: FigureShift) -> FigureRecord:
    shift, unit = found.shift, found.base.unit
    differs = shift.differs and found.representative
    return FigureRecord(
        path=found.base.path,
        machine=pair.patched.machine.name,
        suite=pair.patched.suite.name,
        unit=unit,
        base=_side(shift.base),
        patched=_side(shift.patched),
        ratio=None if shift.ratio != shift.ratio else shift.ratio,
        p=shift.p,
        effect=shift.effect,
        representative=found.representative,
        differs=differs,
        kind=Figure(differs=differs, better=_better(shift, unit or "")).kind,
    )


def _better(shift: Shift, unit: str) -> bool:
    return shift.effect > 0 if unit.endswith(RATES) else shift.effect < 0


def _side(summary: Summary) -> FigureSide:
    return FigureSide(**vars(summary))


def _median_and_range(side: FigureSide, unit: str | None) -> str:
    interval = f"{figure(side.low, None)}..{figure(side.high, None)}"
    return f"{figure(side.median, unit)} ({interval})"
