# SPDX-License-Identifier: GPL-2.0-only
"""Censuses that real guests of Debian's 6.1 had."""

from __future__ import annotations

import json

from harness.results.readings import CensusRecord
from tests.data_files import DATA

DEBIAN = NESTED, NO_FWB = "nested-tcg", "nested-tcg-cortex-a72"


def recorded(machine: str = NESTED) -> CensusRecord:
    """The census of the cell on `machine`, a copy that a test may change."""
    return CensusRecord.model_validate(
        json.loads((DATA / "tables/census-6.1.json").read_text())[machine]
    )
