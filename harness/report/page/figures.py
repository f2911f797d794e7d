# SPDX-License-Identifier: GPL-2.0-only
"""The figures of a run with their intervals, ready to be plotted and tabled."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harness.base.text import clean
from harness.report.view.findings import below
from harness.report.view.rows import ELSEWHERE, MAX_PARTS
from harness.results.compare import Pair
from harness.results.figures import figure as words
from harness.results.records import Cell, Observation, Run, Status
from harness.results.repeats import boots_of
from harness.results.shifts import figure_shifts, representative
from harness.results.stats import Shift, Summary, shown_values, summaries

NONE = Summary(math.nan, math.nan, math.nan, 0)
AT_ONCE = 200  # sets of samples that are resampled in one array
COUNTS = ("tests",)  # units of what is counted, not measured


@dataclass
class MeasuredPoint:
    """One figure of one cell; `place` is the mapping it was measured on.

    `values` are what its summary is of: a median a boot, or the samples of a single boot.
    """

    index: int
    path: str
    kernel: str
    place: str
    samples: list[float]
    values: list[float]
    representative: bool
    summary: Summary = NONE

    def text(self, unit: str) -> str:
        """Return median and interval: `2,744 MB/s`, `2,744 [2,701, 2,760] MB/s`."""
        summary = self.summary
        if summary.low == summary.high:
            return words(summary.median, unit)
        low, high = words(summary.low, None), words(summary.high, None)
        return f"{words(summary.median, None)} [{low}, {high}] {unit}"


@dataclass
class Figure:
    """One measured quantity of one suite on one machine, over kernels and mappings."""

    name: str
    unit: str
    suite: str
    machine: str
    points: list[MeasuredPoint] = field(default_factory=list)
    shifts: list[str] = field(default_factory=list)

    @property
    def representative(self) -> bool:
        return all(point.representative for point in self.points)

    @property
    def places(self) -> list[str]:
        return list(dict.fromkeys(point.place for point in self.points))


def figures(run: Run) -> list[Figure]:
    """Return every figure, and between which kernels it differs if timings mean anything."""
    found: dict[tuple[str, str, str, str], Figure] = {}
    for index, cell in enumerate(run.cells):
        for item, place, name in measured(cell):
            unit = clean(item.unit or "")
            key = (cell.suite.name, cell.machine.name, name, unit)
            made = found.setdefault(
                key, Figure(name, unit, clean(cell.suite.name), clean(cell.machine.name))
            )
            made.points.append(_point(index, cell, place, item))
    _summarize([point for made in found.values() for point in made.points])
    shifts = _Shifts(run)
    for made in found.values():
        made.shifts = list(_told_shifts(made, shifts))
    return list(found.values())


def measured(cell: Cell) -> Iterator[tuple[Observation, str, str]]:
    """Yield the observations that are figures, each with its mapping and its name."""
    for item in cell.observations:
        value = item.value
        if isinstance(value, bool | str) or value is None or not item.unit or item.unit in COUNTS:
            continue
        if item.status in (Status.SKIP, Status.MISS) or item.path.startswith(ELSEWHERE):
            continue
        parts = clean(below(cell, item.path)).split(".")
        if len(parts) <= MAX_PARTS and all(map(math.isfinite, [value, *item.samples])):
            yield item, parts[0] if len(parts) > 1 else "", ".".join(parts[1:] or parts)


def _point(index: int, cell: Cell, place: str, item: Observation) -> MeasuredPoint:
    samples = item.samples or [float(item.value or 0)]
    return MeasuredPoint(
        index,
        item.path,
        clean(cell.kernel.name),
        place,
        samples,
        shown_values(boots_of(item, cell.repeats)) or samples,
        representative(item),
    )


def _summarize(points: Sequence[MeasuredPoint]) -> None:
    """Give each point its summary; sets of samples of one size are resampled together."""
    sizes: dict[int, list[MeasuredPoint]] = {}
    for point in points:
        sizes.setdefault(len(point.values), []).append(point)
    for alike in sizes.values():
        for start in range(0, len(alike), AT_ONCE):
            part = alike[start : start + AT_ONCE]
            for point, summary in zip(part, summaries([p.values for p in part]), strict=True):
                point.summary = summary


class _Shifts:
    """How the figures of two cells lie against each other: compared once, as a verdict does."""

    def __init__(self, run: Run) -> None:
        self._cells = run.cells
        self._known: dict[tuple[int, int], dict[str, Shift]] = {}

    def of(self, base: MeasuredPoint, other: MeasuredPoint) -> Shift | None:
        """Return how a figure of two cells differs; None where the cells are not comparable."""
        key = (base.index, other.index)
        if key not in self._known:
            pair = Pair(self._cells[base.index], self._cells[other.index])
            self._known[key] = {one.base.path: one.shift for one in figure_shifts(pair)}
        return self._known[key].get(base.path)


def _told_shifts(made: Figure, shifts: _Shifts) -> Iterator[str]:
    """Where a kernel differs from the first, for figures that say something about hardware."""
    if not made.representative:
        return
    for place in made.places:
        base, *others = [point for point in made.points if point.place == place]
        for other in others:
            found = shifts.of(base, other)
            if found and found.differs:
                yield f"{_where(place)}{base.kernel} -> {other.kernel}: {_ratio(found)}"


def _where(place: str) -> str:
    return f"{place}: " if place else ""


def _ratio(found: Shift) -> str:
    counts = f"{found.base.count} and {found.patched.count} boots"
    return f"x {found.ratio:.2f} (p = {found.p:.2g}, Cliff's delta {found.effect:+.2f}, {counts})"


def short_names(kernels: Sequence[str]) -> dict[str, str]:
    """Return `+stage2-normal-nc` for a kernel with series whose base is there as well."""
    made = {}
    for kernel in kernels:
        base, plus, series = kernel.partition("+")
        made[kernel] = f"+{series}" if plus and base in kernels else kernel
    return made
