# SPDX-License-Identifier: GPL-2.0-only
"""Names and values as a kernel developer calls them. Pure."""

from __future__ import annotations

from harness.base.text import clean
from harness.results.records import VM_KILLED

# Components of paths that are shown under another name.
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
HOST, MAPPING = "host", "mapping"  # last components of paths


def words(value: str) -> str:
    """Return a value as it is shown: `VM killed` for `vm-killed`."""
    return WORDS.get(value, clean(value))
