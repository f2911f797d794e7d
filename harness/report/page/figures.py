# SPDX-License-Identifier: GPL-2.0-only
"""The figures of a run with their intervals, for plots and tables."""

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
    """One figure of one cell; `mapping` is the mapping it was measured on, "" for none.

    `summary` is that of `values`: the median of each boot, or the samples of a single boot.
    """

    index: int
    path: str
    kernel: str
    mapping: str
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
        """Tell whether all points say something about hardware."""
        return all(point.representative for point in self.points)

    @property
    def mappings(self) -> list[str]:
        """Return the mappings of the points, each once."""
        return list(dict.fromkeys(point.mapping for point in self.points))


def figures(run: Run) -> list[Figure]:
    """Return every figure; representative ones with the kernels between which they differ."""
    by_key: dict[tuple[str, str, str, str], Figure] = {}
    for index, cell in enumerate(run.cells):
        for item, mapping, name in measured(cell):
            unit = clean(item.unit or "")
            key = (cell.suite.name, cell.machine.name, name, unit)
            figure = by_key.setdefault(
                key, Figure(name, unit, clean(cell.suite.name), clean(cell.machine.name))
            )
            figure.points.append(_point(index, cell, mapping, item))
    _summarize([point for figure in by_key.values() for point in figure.points])
    shifts = _Shifts(run)
    for figure in by_key.values():
        figure.shifts = list(_shift_lines(figure, shifts))
    return list(by_key.values())


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


def _point(index: int, cell: Cell, mapping: str, item: Observation) -> MeasuredPoint:
    samples = item.samples or [float(item.value or 0)]
    return MeasuredPoint(
        index,
        item.path,
        clean(cell.kernel.name),
        mapping,
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
    """The shifts between the figures of two cells, each pair compared once, as a verdict does."""

    def __init__(self, run: Run) -> None:
        self._cells = run.cells
        self._known: dict[tuple[int, int], dict[str, Shift]] = {}

    def of(self, base: MeasuredPoint, other: MeasuredPoint) -> Shift | None:
        """Return how a figure of two cells differs; None when they are not comparable."""
        key = (base.index, other.index)
        if key not in self._known:
            pair = Pair(self._cells[base.index], self._cells[other.index])
            self._known[key] = {shift.base.path: shift.shift for shift in figure_shifts(pair)}
        return self._known[key].get(base.path)


def _shift_lines(figure: Figure, shifts: _Shifts) -> Iterator[str]:
    """Yield a line for each kernel that differs from the first, of a representative figure."""
    if not figure.representative:
        return
    for mapping in figure.mappings:
        prefix = f"{mapping}: " if mapping else ""
        base, *others = [point for point in figure.points if point.mapping == mapping]
        for other in others:
            shift = shifts.of(base, other)
            if shift and shift.differs:
                yield f"{prefix}{base.kernel} -> {other.kernel}: {_ratio(shift)}"


def _ratio(shift: Shift) -> str:
    counts = f"{shift.base.count} and {shift.patched.count} boots"
    return f"x {shift.ratio:.2f} (p = {shift.p:.2g}, Cliff's delta {shift.effect:+.2f}, {counts})"


def short_names(kernels: Sequence[str]) -> dict[str, str]:
    """Return short names of `kernels`: `+SERIES` for `BASE+SERIES` if BASE is among them."""
    names = {}
    for kernel in kernels:
        base, plus, series = kernel.partition("+")
        names[kernel] = f"+{series}" if plus and base in kernels else kernel
    return names
