# SPDX-License-Identifier: GPL-2.0-only
"""Cells with cases: what two kernels made of a suite that only passes or fails."""

from __future__ import annotations

from harness.results.records import Case, Cell, Status, worst
from tests.unit.evaluate.patch.patch_cells import cell

PASS, FAIL, SKIP, DONE = Status.PASS, Status.FAIL, Status.SKIP, Status.DONE


def cased(kernel: str, **statuses: Status) -> Cell:
    """A cell of suite `s` whose cases came to `statuses`; each has a message but PASS."""
    made = cell(kernel)
    made.cases = [
        Case(name=name, status=status, message="" if status is PASS else f"why {name}", seconds=1.5)
        for name, status in statuses.items()
    ]
    made.status = worst(list(statuses.values()))
    return made


BASE = cased("base", kept=PASS, broken=PASS, mended=FAIL, gone=FAIL, known=DONE)
PATCHED = cased("patched", kept=PASS, broken=FAIL, mended=PASS, new=SKIP, known=DONE)
