# SPDX-License-Identifier: GPL-2.0-only
"""Figures as text: three digits, the unit, and the interval where there is one. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from harness.base.text import clean


def figure(value: float, unit: str | None) -> str:
    """Return a figure with its unit, e.g. `2,744 MB/s`, `3.61 ns`: three digits tell enough."""
    return f"{_number(value)} {clean(unit or '')}".rstrip()


def interval(samples: Sequence[float], unit: str | None) -> str:
    """Return the median with its 95 % interval, e.g. `2,744 [2,731, 2,760] MB/s`."""
    from harness.results.stats import summarize  # noqa: PLC0415 - it takes scipy

    summary = summarize(samples)
    return figure(summary.median, f"[{_number(summary.low)}, {_number(summary.high)}] {unit or ''}")


def spread(low: float, high: float, unit: str | None) -> str:
    """Return a range, e.g. `12 to 320 ns`; one figure where both ends are the same."""
    return f"{_number(low)} to {figure(high, unit)}" if low != high else figure(high, unit)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
