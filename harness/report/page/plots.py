# SPDX-License-Identifier: GPL-2.0-only
"""Figures as SVG: a block for each mapping, with a row for each kernel.

A row shows the median, the 95 % interval and every sample.

The same figures give the same bytes: no date, no random id. Colours are custom properties of the
page, so that light, dark and print each have their own.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from markupsafe import escape
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas

from harness.report.page.figures import Figure, MeasuredPoint, short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# Placeholders: _inline() replaces these colours by the page's own.
TEXT, LINE, MARK, PAPER = "#010203", "#010204", "#010205", "#010206"
PROPERTIES = {TEXT: "fg", LINE: "line", MARK: "mark", PAPER: "bg"}
WIDTH, ROW = 5.0, 0.19  # inches: of a plot, the height of a row
ABOVE, BELOW = 0.12, 0.34  # inches: around the rows
LABELS, RIGHT = 0.37, 0.97  # of the width: the left and the right end of the axes
TICK = 0.2  # of a row: half a sample's tick
LABEL_LENGTH = 24  # characters
POINTS = 8.5  # size of letters
INDENT = 0.07  # inches left of the labels of mappings; kernels have twice that
INCH = 72  # points
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": POINTS,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": LINE,
    "xtick.color": LINE,
    "xtick.labelcolor": TEXT,
    "ytick.color": LINE,
    "ytick.labelcolor": TEXT,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


class Plotter:
    """Draws one figure after the other on the same axes: new axes take as long as a plot."""

    def __init__(self) -> None:
        with mpl.rc_context(_style(0)):
            self._canvas = Canvas()
            FigureCanvasSVG(self._canvas)
            self._axes = axes = self._canvas.add_axes((0, 0, 1, 1))
            axes.set_yticks([])
            axes.grid(axis="x", color=LINE, linewidth=0.5)
            axes.set_axisbelow(True)
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))

    def svg(self, figure: Figure, number: int) -> str:
        """Return the figure as an <svg> element; `number` makes its ids unique in the page."""
        rows = _rows(figure)
        inside = ROW * len(rows)
        height = ABOVE + inside + BELOW
        with mpl.rc_context(_style(number)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # letters that no font of this machine has
            self._canvas.set_size_inches(WIDTH, height)
            self._axes.set_position((LABELS, BELOW / height, RIGHT - LABELS, inside / height))
            self._axes.set_xlabel(figure.unit, parse_math=False, labelpad=1)
            self._axes.set_ylim(len(rows) - 0.5, -0.5)
            self._axes.set_xlim(_limits(figure))
            lines = _draw(self._axes, rows)
            out = io.StringIO()
            no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
            self._canvas.savefig(out, format="svg", metadata=no_metadata)
            for line in lines:
                line.remove()
        return _inline(out.getvalue(), figure, number, _labels(figure, rows, height))


def _style(number: int) -> Any:
    """Return matplotlib's settings; its ids are hashes over `number` and over their elements.

    The type of their keys is a Literal in some versions of matplotlib, and str in others.
    """
    return {**STYLE, "svg.hashsalt": f"plot{number}"}


def _limits(figure: Figure) -> tuple[float, float]:
    """Return the limits of the axis, which always has 0."""
    samples = [x for point in figure.points for x in point.samples]
    low, high = min(0.0, *samples), max(0.0, *samples)
    return low, high + ((high - low) / 20 or 1.0)


def _rows(figure: Figure) -> list[MeasuredPoint | str]:
    """Return the rows from top to bottom: the name of a mapping, then its kernels' points."""
    rows: list[MeasuredPoint | str] = []
    for mapping in figure.mappings:
        rows += [mapping] if mapping else []
        rows += [point for point in figure.points if point.mapping == mapping]
    return rows


def _draw(axes: Axes, rows: list[MeasuredPoint | str]) -> list[Line2D]:
    """Draw ticks, bars and circles and return their lines: few lines, because each is slow."""
    points = [(height, row) for height, row in enumerate(rows) if not isinstance(row, str)]
    ticks = [(x, height) for height, point in points for x in point.samples]
    lines = axes.plot(
        [value for x, _ in ticks for value in (x, x, math.nan)],
        [value for _, y in ticks for value in (y - TICK, y + TICK, math.nan)],
        color=MARK,
        lw=0.7,
    )
    bars = [(point.summary, height) for height, point in points]
    lines += axes.plot(
        [value for summary, _ in bars for value in (summary.low, summary.high, math.nan)],
        [value for _, height in bars for value in (height, height, math.nan)],
        color=MARK,
        lw=2,
    )
    for inside, representative in ((MARK, True), (PAPER, False)):
        alike = [(height, p) for height, p in points if p.representative is representative]
        medians = [point.summary.median for _, point in alike]
        heights = [height for height, _ in alike]
        lines += axes.plot(medians, heights, "o", color=MARK, mfc=inside, ms=6, mew=1.4)
    return lines


def _labels(figure: Figure, rows: list[MeasuredPoint | str], height: float) -> str:
    """Return the names of the rows as <text> elements, which matplotlib draws too slowly.

    `height` is that of the plot in inches.
    """
    names = short_names([point.kernel for point in figure.points])
    top = height - BELOW - ROW * len(rows)
    elements = []
    for number, row in enumerate(rows):
        head = isinstance(row, str)
        x, y = INDENT if head else 2 * INDENT, top + ROW * (number + 0.5)
        text = escape(row if isinstance(row, str) else _cut(names[row.kernel]))
        kind = ' class="head"' if head else ""
        elements.append(f'<text{kind} x="{x * INCH:.1f}" y="{y * INCH:.1f}">{text}</text>')
    return "\n".join(elements)


def _cut(text: str) -> str:
    """Return a long name without its middle: names of kernels differ at their ends."""
    if len(text) <= LABEL_LENGTH:
        return text
    front = LABEL_LENGTH // 3
    return f"{text[:front]}…{text[front + 1 - LABEL_LENGTH :]}"


def _inline(svg: str, figure: Figure, number: int, labels: str) -> str:
    """Return the <svg> element alone, with unique ids, a label and the page's colours.

    Fonts are left to the page (style.css).
    """
    body = svg[svg.index("<svg") :]
    for unwanted in (
        r"<metadata>.*?</metadata>",
        r"<style.*?</style>",
        r'(?<=<g) id="[^"]*"',
        r' transform="rotate\(-0 [^"]*"',
        r"font-size: [^;]+; font-family: [^;\"]+; ",
        r' (?:width|height)="[\d.]+pt"',
    ):
        body = re.sub(unwanted, "", body, flags=re.DOTALL)
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>p{number}-", body)
    body = re.sub("<[^>]*>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), body)
    for colour, name in PROPERTIES.items():
        body = body.replace(colour, f"var(--{name})")
    unit = f", {figure.unit}" if figure.unit else ""
    # The table below the plot says the same in words.
    label = re.sub(r"[^\w .,/+-]", "", f"{figure.name}{unit}")
    body = body.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    body = re.sub(r"\s*\n\s*", "\n", body).strip()
    return body.removesuffix("</svg>") + labels + "</svg>"
