# SPDX-License-Identifier: GPL-2.0-only
"""The rules about all of stage 2: what a real kernel has, and each rule broken once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.base.errors import UsageError
from harness.results.readings import CensusLeaves, CensusRecord
from harness.results.records import Status
from harness.suites.census import census_observations, leaves_in_words
from tests.unit.suites.census_records import DEBIAN, NESTED, recorded

Break = Callable[[CensusRecord], None]


def leaves(record: CensusRecord, region: str) -> CensusLeaves:
    return next(kind for kind in record.kinds if kind.region == region)


def gic(record: CensusRecord) -> None:
    bar = leaves(record, "BAR2")
    own = {"region": "GIC", "memslot": False, "target": "unknown", "leaves": 1}
    record.kinds.append(bar.model_copy(update=own))


def wrong_page(record: CensusRecord) -> None:
    leaves(record, "BAR2").target = "elsewhere"


def two_types(record: CensusRecord) -> None:
    bar = leaves(record, "BAR2")
    record.kinds.append(bar.model_copy(update={"type": "Normal-NC", "leaves": 4}))


def executable(record: CensusRecord) -> None:
    leaves(record, "BAR2").rights = "rwx"


def cacheable(record: CensusRecord) -> None:
    leaves(record, "BAR2").type = "Normal-WB"


def uncached(record: CensusRecord) -> None:
    leaves(record, "RAM").type = "Normal-WT"


def reserved(record: CensusRecord) -> None:
    leaves(record, "BAR2").type = "reserved"


BREAKS: dict[str, Break] = {
    "nothing-outside-memslots": gic,
    "leads-to-the-right-place": wrong_page,
    "one-type-in-a-bar": two_types,
    "no-executable-device-leaf": executable,
    "no-cacheable-device-leaf": cacheable,
    "memory-stays-cacheable": uncached,
    "no-reserved-type": reserved,
}


@pytest.mark.parametrize("machine", DEBIAN)
def test_what_a_real_kernel_has_keeps_every_rule(machine: str) -> None:
    found = census_observations(recorded(machine))
    assert {item.path.removeprefix("census.") for item in found} == set(BREAKS)
    assert {item.status for item in found} == {Status.PASS}


@pytest.mark.parametrize("rule", BREAKS)
def test_one_mistake_breaks_one_rule(rule: str) -> None:
    record = recorded(NESTED)
    BREAKS[rule](record)
    found = [item for item in census_observations(record) if item.status is Status.FAIL]
    assert [item.path for item in found] == [f"census.{rule}"]
    assert (("GIC has 1 x 4K" if rule.startswith("nothing") else " has ")
            in found[0].detail["reason"])  # fmt: skip


def test_leaves_that_could_not_be_read_make_nothing_good() -> None:
    record = recorded(NESTED)
    record.problem = "no memory where 1 of the tables should be (0x1000)"
    gic(record)
    by_status = {item.path: item.status for item in census_observations(record)}
    assert by_status.pop("census.nothing-outside-memslots") is Status.FAIL
    assert set(by_status.values()) == {Status.MISS}


def test_a_guest_without_a_leaf_of_its_device_says_nothing_about_that() -> None:
    record = recorded(NESTED)
    record.kinds = [kind for kind in record.kinds if kind.region == "RAM"]
    skipped = {item.path for item in census_observations(record) if item.status is Status.SKIP}
    assert skipped == {
        "census.one-type-in-a-bar",
        "census.no-executable-device-leaf",
        "census.no-cacheable-device-leaf",
    }


def test_a_rule_that_a_suite_lifts_is_not_judged() -> None:
    record = recorded(NESTED)
    cacheable(record)
    found = census_observations(record, ["no-cacheable-device-leaf"])
    assert Status.FAIL not in {item.status for item in found}
    assert len(found) == len(BREAKS) - 1
    with pytest.raises(UsageError, match="unknown rule of stage 2 'no-cachable-leaf'"):
        census_observations(record, ["no-cachable-leaf"])


def test_without_a_census_there_is_no_word() -> None:
    assert census_observations(None) == []


def test_leaves_in_words() -> None:
    one = leaves(recorded(NESTED), "BAR2")
    assert leaves_in_words(one) == "195 x 4K Device-nGnRE rw-"
    one.leaves, one.block, one.contiguous, one.af = 1024, 2 << 20, True, False
    assert leaves_in_words(one) == "1,024 x 2M Device-nGnRE rw- contiguous AF=0"
    assert leaves_in_words(one, counted=False) == "Device-nGnRE rw- contiguous AF=0"
