# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import pytest

from harness import home
from harness.errors import UsageError
from harness.plan import Expect, Plan, cells_of, judge, load_plan, unexpected
from harness.results.records import (
    Cell,
    KernelRecord,
    MachineRecord,
    Observation,
    Status,
    SuiteRecord,
)


def cell(*observations: Observation, status: Status = Status.FAIL) -> Cell:
    return Cell(
        name="k/m/s",
        kernel=KernelRecord(name="debian-6.1"),
        machine=MachineRecord(
            name="nested-tcg", topology="nested", accel="tcg", cpu="max", smp=2, memory_mib=2048
        ),
        suite=SuiteRecord(name="wcprobe"),
        status=status,
        observations=list(observations),
    )


KILLED = Observation(path="wcprobe.wc.load", status=Status.FAIL, value="vm-killed")
WORKS = Observation(path="wcprobe.wc.load", status=Status.PASS, value="works")
EXPECT = Expect(path="wcprobe.wc.load", value="vm-killed")


def test_a_met_expectation_makes_its_fail_expected() -> None:
    assert [r.status for r in judge(cell(KILLED), [EXPECT])] == [Status.PASS]
    assert unexpected(cell(KILLED), [EXPECT]) == []


def test_an_unmet_expectation_fails_and_says_what_was_seen() -> None:
    (record,) = judge(cell(WORKS), [EXPECT])
    assert record.status == Status.FAIL
    assert record.detail["reason"] == "expected value vm-killed, was works"


def test_a_fail_nobody_asked_for_is_unexpected() -> None:
    other = Expect(path="wcprobe.wc.load", value="works")
    assert unexpected(cell(KILLED), [other]) == [KILLED]
    assert unexpected(cell(KILLED), []) == [KILLED]
    elsewhere = EXPECT.model_copy(update={"kernel": "debian-7*"})
    assert unexpected(cell(KILLED), [elsewhere]) == [KILLED]


def test_nothing_observed_is_never_a_silent_pass() -> None:
    (record,) = judge(cell(), [EXPECT])
    assert record.status == Status.FAIL
    (record,) = judge(cell(status=Status.MISS), [EXPECT])
    assert record.status == Status.MISS


def test_patterns_choose_the_cells() -> None:
    for key, pattern in (("kernel", "tree*"), ("machine", "flat-*"), ("suite", "other")):
        assert judge(cell(WORKS), [EXPECT.model_copy(update={key: pattern})]) == []
    assert judge(cell(KILLED), [EXPECT.model_copy(update={"machine": "nested-*"})])


def test_a_pattern_of_paths_must_hold_for_all_of_them() -> None:
    store = Observation(path="wcprobe.wc.store", status=Status.PASS, value="faults")
    (record,) = judge(cell(WORKS, store), [Expect(path="wcprobe.wc.*", value="works")])
    assert record.status == Status.FAIL and record.path == "wcprobe.wc.store"


def test_a_plan_is_a_matrix_kernel_by_kernel() -> None:
    plan = Plan(
        kernels=["debian-6.1", "debian-6.12", "debian-6.1"],
        machines=["flat-tcg", "nested-tcg"],
        suites=["wcprobe"],
    )
    assert [c.name for c in cells_of(plan)] == [
        "debian-6.1/flat-tcg/wcprobe",
        "debian-6.1/nested-tcg/wcprobe",
        "debian-6.12/flat-tcg/wcprobe",
        "debian-6.12/nested-tcg/wcprobe",
    ]


@pytest.mark.parametrize("path", sorted(home.PLANS.glob("*.toml")), ids=lambda p: p.stem)
def test_the_plans_that_come_with_the_project_are_good(path: object) -> None:
    assert cells_of(load_plan(home.PLANS / str(path)))


def test_unknown_names_in_a_plan() -> None:
    with pytest.raises(UsageError, match="nested-tcg"):
        cells_of(Plan(kernels=["debian-6.1"], machines=["nested-tgc"], suites=["wcprobe"]))
    with pytest.raises(UsageError, match="wcprobe"):
        cells_of(Plan(kernels=["debian-6.1"], machines=["nested-tcg"], suites=["wcprob"]))
