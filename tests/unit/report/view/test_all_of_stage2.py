# SPDX-License-Identifier: GPL-2.0-only
"""All of stage 2 in the tables of cells side by side."""

from __future__ import annotations

from harness.report.view.rows import blocks
from harness.results.readings import CensusRecord
from harness.results.records import Cell, Status
from harness.suites.census import census_observations
from tests.unit.evaluate.patch.patch_cells import cell, saw
from tests.unit.suites.census_records import NO_FWB, recorded


def with_census(name: str, census: CensusRecord | None) -> Cell:
    made = cell(name, saw("s.t"), *census_observations(census))
    made.census = census
    return made


def rows(*cells: Cell) -> dict[str, list[tuple[str, Status | None]]]:
    found = [block for block in blocks(cells) if block.title == "all of stage 2"]
    return {
        row.label: [(entry.text, entry.status) for entry in row.entries]
        for block in found
        for row in block.rows
    }


def test_a_row_for_each_region_and_one_for_the_rules() -> None:
    broken = recorded(NO_FWB)
    broken.kinds[-1].rights = "rwx"
    broken.kinds.append(broken.kinds[-1].model_copy(update={"region": "GIC", "memslot": False}))
    none = with_census("c", None)
    assert rows(with_census("a", recorded()), with_census("b", broken), none) == {
        "RAM": [
            ("Normal-WB rwx", None),
            ("Normal-WB rwx, Normal-WB rw-", None),
            ("-", None),
        ],
        "BAR2": [
            ("195 x 4K Device-nGnRE rw-", None),
            ("195 x 4K Device-nGnRE rwx", None),
            ("-", None),
        ],
        "GIC": [("no leaf", None), ("195 x 4K Device-nGnRE rwx", None), ("-", None)],
        "rules": [
            ("7 ok", None),
            ("FAIL: nothing-outside-memslots, no-executable-device-leaf", Status.FAIL),
            ("-", None),
        ],
    }


def test_cells_without_a_census_have_no_such_block() -> None:
    assert rows(with_census("a", None)) == {}
