# SPDX-License-Identifier: GPL-2.0-only
"""Names and values in the words a kernel developer knows them by. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from harness.base.text import clean
from harness.results.records import VM_KILLED

# Paths' components; the rest stands as it is.
LABELS = {
    "stage1": "stage 1",
    "iowrite64_copy": "__iowrite64_copy",
    "unaligned_load": "unaligned load",
    "unaligned_store": "unaligned store",
}
WORDS = {
    VM_KILLED: "VM killed",
    "faults": "guest faults",
    "oopsed": "guest oopsed",
    "never-succeeds": "never succeeds",
    "not-gathered": "not gathered",
}
HOST, MAPPING, UNREACHED = "host", "mapping", "not_reached"


def words(value: str) -> str:
    """A value as a reader is told it."""
    return WORDS.get(value, clean(value))


def figure(value: float, unit: str | None) -> str:
    """E.g. `2,744 MB/s`, `3.61 ns`: three digits tell enough."""
    return f"{_number(value)} {clean(unit or '')}".rstrip()


def interval(samples: Sequence[float], unit: str | None) -> str:
    """The median with its 95 % interval, e.g. `2,744 [2,731, 2,760] MB/s`."""
    from harness.results.stats import summarize  # noqa: PLC0415 - it takes scipy

    found = summarize(samples)
    return figure(found.median, f"[{_number(found.low)}, {_number(found.high)}] {unit or ''}")


def spread(low: float, high: float, unit: str | None) -> str:
    """E.g. `12 to 320 ns`."""
    return f"{_number(low)} to {figure(high, unit)}" if low != high else figure(high, unit)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
