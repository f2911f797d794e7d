# SPDX-License-Identifier: GPL-2.0-only
"""Observations of a run over the runs before, as far as there is a history (docs/history.md)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.base.text import clean
from harness.report.page.figures import measured
from harness.report.view.findings import BAD
from harness.report.view.items import EXPECT, WHOLE, items
from harness.report.view.words import words
from harness.results.figures import figure
from harness.results.records import Run
from harness.results.shifts import representative

POINTS = 30  # runs that a line shows
SOME, MANY = 100, 1000  # observations looked up for a run's page, and when all are asked for
STEP, TALL = 6, 16  # of a sparkline, in its own units
# How high a run stands: what is bad can be told from what is good without any colour.
HEIGHTS = {"FAIL": 16, "ERROR": 12, "MISS": 12, "PASS": 6, "DONE": 6, "SKIP": 2}


class TrendPoint(Protocol):
    """A point of harness.results.history.history."""

    @property
    def started(self) -> str: ...
    @property
    def run(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def value(self) -> str | float | None: ...
    @property
    def unit(self) -> str: ...


class SeriesSource(Protocol):
    """What is asked of a history: the newest points of an observation of a cell, oldest first."""

    def series(
        self, path: str, kernel: str | None, machine: str | None, limit: int, suite: str | None
    ) -> Sequence[TrendPoint]: ...


@dataclass(frozen=True)
class Bar:
    """A run in a line of words: where it stands, how high, whether the word is another one."""

    x: int
    height: int
    status: str
    other: bool
    title: str


@dataclass(frozen=True)
class Trend:
    """One observation of one cell over runs: bars of words, or a line through figures."""

    index: int
    cell: str
    path: str
    bars: list[Bar]
    line: str
    width: int
    said: str


@dataclass(frozen=True)
class Trends:
    """`left_out` counts what there was no room for."""

    lines: list[Trend]
    left_out: int = 0


def trends(run: Run, history: SeriesSource, *, every: bool = False) -> Trends:
    """Return the lines of what more than one run saw: bad ones, expected ones, then figures.

    `every`: also figures that are not representative, and more of all.
    """
    most = MANY if every else SOME
    wanted = list(dict.fromkeys([*_bad(run), *_expected(run), *_figures(run, every=every)]))
    found = []
    for index, path in wanted[:most]:
        cell = run.cells[index]
        points = history.series(path, cell.kernel.name, cell.machine.name, POINTS, cell.suite.name)
        if len(points) > 1:
            found.append(trend(index, clean(cell.name), clean(path), points))
    return Trends(found, max(0, len(wanted) - most))


def _bad(run: Run) -> Iterator[tuple[int, str]]:
    """Places of cells and paths of what failed, what nobody expected first."""
    found = [
        (item.expected, index, item.observation.path)
        for index, cell in enumerate(run.cells)
        for item in items(cell)
        if item.status in BAD and item.observation and not item.path.startswith((EXPECT, WHOLE))
    ]
    return ((index, path) for _, index, path in sorted(found, key=lambda one: one[0]))


def _expected(run: Run) -> Iterator[tuple[int, str]]:
    """What the plan has an eye on; a pattern of paths is none that can be asked for."""
    for index, cell in enumerate(run.cells):
        seen = {item.path for item in cell.outcomes()}
        yield from ((index, e.path) for e in cell.expectations if e.path in seen)


def _figures(run: Run, *, every: bool) -> Iterator[tuple[int, str]]:
    for index, cell in enumerate(run.cells):
        for item, _, _ in measured(cell):
            if every or representative(item):
                yield index, item.path


def trend(index: int, cell: str, path: str, points: Sequence[TrendPoint]) -> Trend:
    """Return the line of one observation. Pure."""
    figures = [p for p in points if isinstance(p.value, int | float) and p.unit]
    width = STEP * len(points)
    if len(figures) > 1:
        values = [float(p.value or 0) for p in figures]
        said = _said_figures(values, figures[-1].unit)
        return Trend(index, cell, path, [], _line(values), width, said)
    return Trend(index, cell, path, list(_bars(points)), "", width, _said(points))


def _word(point: TrendPoint) -> str:
    value = point.value
    said = words(str(value)) if value is not None and not point.unit else ""
    return clean(" ".join(filter(None, (point.status, said))))


def _bars(points: Sequence[TrendPoint]) -> Iterator[Bar]:
    before = _word(points[0])
    for number, point in enumerate(points):
        word = _word(point)
        title = clean(f"{point.started} {point.run}: {word}")
        height = HEIGHTS.get(point.status, TALL)
        yield Bar(number * STEP, height, clean(point.status), word != before, title)
        before = word


def _said(points: Sequence[TrendPoint]) -> str:
    """`FAIL VM killed since 2026-01-17 (3 of 30 runs)`."""
    now = _word(points[-1])
    alike = list(itertools.takewhile(lambda p: _word(p) == now, reversed(points)))
    count = Counter(map(_word, points))
    since = clean(alike[-1].started[:10])
    when = f"in all {len(points)} runs" if len(alike) == len(points) else f"since {since}"
    others = ", ".join(f"{number} x {word}" for word, number in count.most_common() if word != now)
    return f"{now} {when}" + (f"; before: {others}" if others else "")


def _line(values: Sequence[float]) -> str:
    """The points of a polyline, lowest figure at the bottom."""
    least, most = min(values), max(values)
    spread = most - least or 1.0
    return " ".join(
        f"{number * STEP + STEP / 2:g},{TALL - 2 - (value - least) / spread * (TALL - 4):.1f}"
        for number, value in enumerate(values)
    )


def _said_figures(values: Sequence[float], unit: str) -> str:
    low, high = figure(min(values), None), figure(max(values), None)
    return f"{figure(values[-1], unit)} now, {low} to {high} in {len(values)} runs"
