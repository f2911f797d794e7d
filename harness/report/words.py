# SPDX-License-Identifier: GPL-2.0-only
"""Names and values in the words a kernel developer knows them by. Pure."""

from __future__ import annotations

from harness.results.records import VM_KILLED
from harness.text import clean

# Paths' components; the rest stands as it is.
LABELS = {
    "stage1": "stage 1",
    "iowrite64_copy": "__iowrite64_copy",
    "unaligned_load": "unaligned load",
    "unaligned_store": "unaligned store",
}
WORDS = {VM_KILLED: "VM killed", "faults": "guest faults"}
HOST, MAPPING, UNREACHED = "host", "mapping", "not_reached"


def words(value: str) -> str:
    """A value as a reader is told it."""
    return WORDS.get(value, clean(value))


def figure(value: float, unit: str | None) -> str:
    """E.g. `2,744 MB/s`, `3.61 ns`: three digits tell enough."""
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{number} {clean(unit or '')}".rstrip()
