# SPDX-License-Identifier: GPL-2.0-only
"""Two censuses: what is told of them, and what an audit has told already."""

from __future__ import annotations

from harness.evaluate.patch.verdict.census import census_summary, region_changes
from harness.evaluate.patch.verdict.conclude import conclude
from harness.evaluate.patch.verdict.verdict import VerdictChange
from harness.results.compare import Pair
from harness.results.readings import CensusRecord
from harness.results.records import Observation, Status
from harness.suites.census import census_observations
from tests.unit.evaluate.patch.patch_cells import cell, saw
from tests.unit.suites.census_records import recorded

AUDIT = "audit.ioremap.stage2"


def normal_nc() -> CensusRecord:
    record = recorded()
    record.kinds[1].type = "Normal-NC"
    return record


def with_gic(record: CensusRecord) -> CensusRecord:
    own = {"region": "GIC", "memslot": False, "target": "unknown", "leaves": 1}
    record.kinds.append(record.kinds[1].model_copy(update=own))
    return record


def pair(base: CensusRecord | None, patched: CensusRecord | None, *told: str) -> Pair:
    """Two cells that have nothing but these; `told` are the types that an audit has read."""
    cells = []
    for number, census in enumerate((base, patched)):
        seen: list[Observation] = [saw("s.t"), *census_observations(census)]
        seen += [saw(AUDIT, told[number], Status.DONE)] if told else []
        made = cell("ab"[number], *seen)
        made.census = census
        cells.append(made)
    return Pair(*cells)


def summary(base: CensusRecord, patched: CensusRecord) -> str:
    found = census_summary(pair(base, patched))
    assert found
    assert found.changed is bool(region_changes(pair(base, patched)))
    return found.summary


def changes(pair: Pair) -> list[VerdictChange]:
    told = conclude([pair], (None, None), every_figure=False)
    return [change for change in told.changes if change.about == "census"]


def test_another_type_another_number_and_a_new_region() -> None:
    assert summary(recorded(), recorded()) == "RAM, BAR2 unchanged"
    assert (
        summary(recorded(), with_gic(normal_nc()))
        == "BAR2: 195 x 4K Device-nGnRE rw- -> Normal-NC; RAM unchanged;"
        " new: GIC: 1 x 4K Normal-NC rw-"
    )
    assert summary(with_gic(recorded()), recorded()).endswith("gone: GIC: 1 x 4K Device-nGnRE rw-")
    fewer = recorded()
    fewer.kinds[1].leaves = 4
    assert summary(recorded(), fewer) == (
        "BAR2: 195 x 4K Device-nGnRE rw- -> 4 x 4K Device-nGnRE rw-; RAM unchanged"
    )


def test_a_page_beside_the_right_one() -> None:
    wrong = recorded()
    wrong.kinds[1].target = "elsewhere"
    assert "-> 195 x 4K Device-nGnRE rw- at a wrong place" in summary(recorded(), wrong)


def test_memory_is_compared_by_type_and_permissions_alone() -> None:
    other = recorded()
    memory = other.kinds[0]
    memory.leaves, memory.block, memory.contiguous, memory.af = 7, 4096, True, False
    assert summary(recorded(), other) == "RAM, BAR2 unchanged"
    memory.rights = "r-x"
    assert summary(recorded(), other).startswith("RAM: Normal-WB rwx -> Normal-WB r-x")


def test_at_two_places_of_a_suite_leaves_are_not_counted() -> None:
    earlier = recorded()
    earlier.at, earlier.kinds[1].leaves = "ioremap", 40
    assert summary(earlier, recorded()) == (
        "RAM, BAR2 unchanged; by types alone: base was read at ioremap, patched at ioremap_wc"
    )


def test_what_was_not_read_whole_is_not_compared() -> None:
    part = recorded()
    part.problem = "no memory"
    assert summary(recorded(), part) == "not compared, it was not read whole: no memory"
    assert census_summary(pair(recorded(), None)) is None
    assert region_changes(pair(recorded(), None)) == []


def test_a_type_that_an_audit_has_told_is_not_listed_again() -> None:
    (known,) = changes(pair(recorded(), normal_nc(), "Device-nGnRE", "Normal-NC"))
    assert (known.follows, known.repeats) == (AUDIT, True)
    (unknown,) = changes(pair(recorded(), normal_nc(), "Device-nGnRE", "Device-nGnRE"))
    assert (unknown.path, unknown.repeats, unknown.kind) == ("census.BAR2", False, "changed")


def test_a_new_leaf_beside_a_known_change_is_listed() -> None:
    found = changes(pair(recorded(), with_gic(normal_nc()), "Device-nGnRE", "Normal-NC"))
    listed = {change.path: change.kind.value for change in found if not change.repeats}
    assert listed == {"census.GIC": "changed", "census.nothing-outside-memslots": "regressed"}
