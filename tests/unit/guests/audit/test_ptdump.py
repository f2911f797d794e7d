# SPDX-License-Identifier: GPL-2.0-only
"""KVM's own dump of stage 2 against the tables as they were read, of one guest of debian-7.2."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.arm.tables.census import MappedRange
from harness.arm.tables.descriptor import Granule
from harness.guests.audit.census import _dump
from harness.guests.audit.ptdump import difference, parse
from harness.results.base import Status
from harness.suites.census import census_observations
from tests.data_files import DATA
from tests.unit.suites.census_records import recorded

DUMP = (DATA / "tables/ptdump-7.2.txt").read_text()
FOUND = [MappedRange(*row) for row in json.loads((DATA / "tables/ptdump-7.2.json").read_text())]
FOUR = Granule.G4K


def test_both_have_the_same_leaves() -> None:
    leaves = parse(DUMP, FOUR)
    assert [one.describe() for one in leaves[:1] + leaves[-1:]] == [
        "0x40000000-0x40a00000 2M rwx",
        "0x8000000000-0x8000200000 2M rw-",
    ]
    assert difference(DUMP, FOUND, FOUR) == ""


@pytest.mark.parametrize(
    ("index", "change", "message"),
    [
        (0, {"rights": "r-x"}, "has 0x40000000-0x40a00000 2M rwx, the tables have .* 2M r-x"),
        (0, {"block": 4096}, "2M rwx, the tables have 0x40000000-0x40a00000 4K rwx"),
        (2, {"af": False}, "the tables have .* 2M rwx AF=0"),
        (5, {"ipa": 0x8000200000}, "the tables have 0x8000200000-0x8000400000 2M rw-"),
    ],
)
def test_a_leaf_that_differs_is_named(index: int, change: dict[str, object], message: str) -> None:
    found = [*FOUND]
    found[index] = replace(found[index], **change)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(difference(DUMP, found, FOUR))


def test_a_leaf_that_one_side_lacks_is_named() -> None:
    assert difference(DUMP, FOUND[:-1], FOUR).endswith("2M rw-, the tables have none")
    assert difference("", FOUND[-1:], FOUR).startswith("KVM's dump has none, the tables have")


def test_leaves_that_continue_are_one_however_they_were_told() -> None:
    """The dump joins pages whatever their PA; a census does where the PA continues."""
    first = FOUND[0]
    half = first.size // 2
    pieces = [replace(first, size=half), replace(first, ipa=first.ipa + half, pa=0, size=half)]
    assert difference(DUMP, [*pieces, *FOUND[1:]], FOUR) == ""


@pytest.mark.parametrize("line", ["cat: can't open", "0x0-0x1000 4K 3 R W what  AF"])
def test_a_line_that_is_none(line: str) -> None:
    with pytest.raises(ValueError, match="not a line of a dump"):
        parse(f"{DUMP}{line}\n", FOUR)


@pytest.mark.parametrize(
    ("differences", "status"),
    [
        ([], None),
        (["", ""], Status.PASS),
        (["a", ""], Status.PASS),
        (["", "a"], Status.MISS),  # a page may have been mapped between the two readings
        (["a"], Status.MISS),
        (["a", "b"], Status.FAIL),
    ],
)
def test_a_difference_counts_when_it_stays(differences: list[str], status: Status | None) -> None:
    census = recorded().model_copy(update=_dump(differences))
    told = [o for o in census_observations(census) if o.path == "census.ptdump"]
    assert [o.status for o in told] == ([status] if status else [])
    if status in (Status.MISS, Status.FAIL):
        assert told[0].detail["reason"] == differences[-1]
