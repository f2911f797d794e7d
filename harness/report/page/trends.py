# SPDX-License-Identifier: GPL-2.0-only
"""Observations of a run in the runs before it, from the history (docs/history.md)."""

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

POINTS = 30  # runs of a trend
SOME, MANY = 100, 1000  # observations looked up for a run's page, and when all are asked for
STEP, TALL = 6, 16  # of a sparkline, in its own units
# The height of a bar: good and bad runs differ without any colour.
HEIGHTS = {"FAIL": 16, "ERROR": 12, "MISS": 12, "PASS": 6, "DONE": 6, "SKIP": 2}


class TrendPoint(Protocol):
    """A point of the history: harness.results.history.values.Point."""

    @property
    def started(self) -> str:
        """Return the run's start, in ISO 8601."""

    @property
    def run(self) -> str:
        """Return the run's name."""

    @property
    def status(self) -> str:
        """Return the observation's status."""

    @property
    def value(self) -> str | float | None:
        """Return the observation's word or figure."""

    @property
    def unit(self) -> str:
        """Return the figure's unit, "" for a word."""


class SeriesSource(Protocol):
    """The part of a History that trends need."""

    def series(
        self, path: str, kernel: str | None, machine: str | None, limit: int, suite: str | None
    ) -> Sequence[TrendPoint]:
        """Return the newest `limit` points of an observation of a cell, oldest first."""


@dataclass(frozen=True)
class Bar:
    """A run in a trend of words; `other`: its word differs from that of the run before."""

    x: int
    height: int
    status: str
    other: bool
    title: str


@dataclass(frozen=True)
class Trend:
    """One observation of one cell over runs: bars of words, or a line through figures.

    `summary` says the same in a sentence.
    """

    index: int
    cell: str
    path: str
    bars: list[Bar]
    line: str
    width: int
    summary: str


@dataclass(frozen=True)
class Trends:
    """The trends of a run; `left_out` counts observations beyond the limit of a page."""

    lines: list[Trend]
    left_out: int = 0


def trends(run: Run, history: SeriesSource, *, every: bool = False) -> Trends:
    """Return the trends of observations of several runs: bad ones, expected ones, then figures.

    `every` adds figures that are not representative, and raises the limit.
    """
    most = MANY if every else SOME
    wanted = list(dict.fromkeys([*_bad(run), *_expected(run), *_figures(run, every=every)]))
    lines = []
    for index, path in wanted[:most]:
        cell = run.cells[index]
        points = history.series(path, cell.kernel.name, cell.machine.name, POINTS, cell.suite.name)
        if len(points) > 1:
            lines.append(trend(index, clean(cell.name), clean(path), points))
    return Trends(lines, max(0, len(wanted) - most))


def _bad(run: Run) -> Iterator[tuple[int, str]]:
    """Return index of the cell and path of each bad observation, unexpected ones first."""
    bad = [
        (item.expected, index, item.observation.path)
        for index, cell in enumerate(run.cells)
        for item in items(cell)
        if item.status in BAD and item.observation and not item.path.startswith((EXPECT, WHOLE))
    ]
    return ((index, path) for _, index, path in sorted(bad, key=lambda item: item[0]))


def _expected(run: Run) -> Iterator[tuple[int, str]]:
    """Yield the observations with an expectation; a pattern is no path that can be looked up."""
    for index, cell in enumerate(run.cells):
        paths = {item.path for item in cell.outcomes()}
        yield from ((index, e.path) for e in cell.expectations if e.path in paths)


def _figures(run: Run, *, every: bool) -> Iterator[tuple[int, str]]:
    for index, cell in enumerate(run.cells):
        for item, _, _ in measured(cell):
            if every or representative(item):
                yield index, item.path


def trend(index: int, cell: str, path: str, points: Sequence[TrendPoint]) -> Trend:
    """Return the trend of one observation. Pure."""
    figures = [p for p in points if isinstance(p.value, int | float) and p.unit]
    width = STEP * len(points)
    if len(figures) > 1:
        values = [float(p.value or 0) for p in figures]
        summary = _figures_summary(values, figures[-1].unit)
        return Trend(index, cell, path, [], _line(values), width, summary)
    return Trend(index, cell, path, list(_bars(points)), "", width, _words_summary(points))


def _word(point: TrendPoint) -> str:
    value = point.value
    text = words(str(value)) if value is not None and not point.unit else ""
    return clean(" ".join(filter(None, (point.status, text))))


def _bars(points: Sequence[TrendPoint]) -> Iterator[Bar]:
    before = _word(points[0])
    for number, point in enumerate(points):
        word = _word(point)
        title = clean(f"{point.started} {point.run}: {word}")
        height = HEIGHTS.get(point.status, TALL)
        yield Bar(number * STEP, height, clean(point.status), word != before, title)
        before = word


def _words_summary(points: Sequence[TrendPoint]) -> str:
    """Return `FAIL VM killed since 2026-01-17; before: 3 x PASS works`."""
    now = _word(points[-1])
    alike = list(itertools.takewhile(lambda p: _word(p) == now, reversed(points)))
    count = Counter(map(_word, points))
    since = clean(alike[-1].started[:10])
    when = f"in all {len(points)} runs" if len(alike) == len(points) else f"since {since}"
    others = ", ".join(f"{number} x {word}" for word, number in count.most_common() if word != now)
    return f"{now} {when}" + (f"; before: {others}" if others else "")


def _line(values: Sequence[float]) -> str:
    """Return the points of an SVG polyline, the lowest figure at the bottom."""
    least, most = min(values), max(values)
    spread = most - least or 1.0
    return " ".join(
        f"{number * STEP + STEP / 2:g},{TALL - 2 - (value - least) / spread * (TALL - 4):.1f}"
        for number, value in enumerate(values)
    )


def _figures_summary(values: Sequence[float], unit: str) -> str:
    low, high = figure(min(values), None), figure(max(values), None)
    return f"{figure(values[-1], unit)} now, {low} to {high} in {len(values)} runs"
