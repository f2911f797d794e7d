# SPDX-License-Identifier: GPL-2.0-only
"""What becomes of the guests of a cell: one status, one failure, every observation once."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.evaluate.cell.judge import host_observations, judge_cell
from harness.guests.run.suite_run import PostChecks, SuiteOutcome, SuitePass, SuiteRun
from harness.results.failure_kinds import FailureKind
from harness.results.readings import FidelityRecord
from harness.results.records import (
    Cell,
    Failure,
    KernelRecord,
    MachineRecord,
    Observation,
    Status,
    SuiteRecord,
)
from harness.suites.suite import Suite

SUITE = Suite(name="s", folder=Path(), description="", script="# nothing")
KILLED = Failure(kind=FailureKind.KVM_ERROR, summary="kvm [1]: Unsupported FSC", where="L1")
WARNED = Failure(
    kind=FailureKind.WARN, summary="WARNING: at x", where="L1", excerpt=["WARNING: at x"]
)
HEAD = ["KTAP version 1", "1..2", "# s2eval: begin test=a"]


def cell() -> Cell:
    machine = MachineRecord(
        name="m", topology="nested", accel="tcg", cpu="max", smp=1, memory_mib=64
    )
    return Cell(
        name="k/m/s",
        kernel=KernelRecord(name="k"),
        machine=machine,
        suite=SuiteRecord(name="s"),
        status=Status.MISS,
        fidelity=FidelityRecord(),
    )


def judged(*guests: tuple[list[str], Failure | None], after: PostChecks | None = None) -> Cell:
    made = cell()
    passes = [
        SuitePass(SuiteRun("L2", "log", lines=lines, failure=why), None) for lines, why in guests
    ]
    judge_cell(made, SUITE, SuiteOutcome(passes, after))
    return made


def seen(made: Cell) -> dict[str, Status]:
    return {o.path: o.status for o in made.observations}


def test_a_guest_that_goes_on_adds_what_the_first_did_not_reach() -> None:
    rest = ["KTAP version 1", "1..1", "ok 1 b", "# s2eval: end"]
    made = judged((HEAD, KILLED), (rest, None))
    assert seen(made) == {"s.a": Status.FAIL, "s.b": Status.PASS}
    assert made.failure == KILLED
    assert made.status is Status.FAIL


def test_a_guest_that_said_nothing_at_all_is_no_success() -> None:
    made = judged(([], None))
    assert made.status is not Status.PASS
    assert made.observations


def test_a_later_guest_that_said_nothing_is_told_as_well() -> None:
    silent = Failure(kind=FailureKind.SILENCE, summary="the suite in L2: silent", where="L2")
    made = judged((HEAD, KILLED), ([], silent))
    assert made.failure == KILLED
    assert seen(made)["s.guest"] is Status.MISS
    assert made.status is Status.FAIL


def test_a_death_outside_of_any_test_is_an_observation_of_its_own() -> None:
    made = judged((["KTAP version 1", "1..1", "ok 1 a", "# s2eval: end"], KILLED))
    assert seen(made) == {"s.a": Status.PASS, "s.guest": Status.FAIL}


@pytest.mark.parametrize(
    ("after", "statuses"),
    [
        (PostChecks(True, None, True), (Status.PASS, Status.PASS, Status.PASS)),
        (PostChecks(False, None, True), (Status.FAIL, Status.PASS, Status.PASS)),
        (PostChecks(True, WARNED, True), (Status.PASS, Status.FAIL, Status.PASS)),
        (PostChecks(True, None, False), (Status.PASS, Status.PASS, Status.FAIL)),
        (PostChecks(True, None, None), (Status.PASS, Status.PASS, Status.SKIP)),
    ],
)
def test_harm_to_the_host_is_told(after: PostChecks, statuses: tuple[Status, ...]) -> None:
    found = host_observations("s", after)
    assert [o.path for o in found] == ["s.host.answers", "s.host.log", "s.host.device"]
    assert tuple(o.status for o in found) == statuses
    assert all("reason" in o.detail for o in found if o.status is not Status.PASS)
    fine: tuple[list[str], None] = (["KTAP version 1", "1..1", "ok 1 a", "# s2eval: end"], None)
    assert judged(fine, after=after).status is (
        Status.FAIL if Status.FAIL in statuses else Status.PASS
    )


def test_an_observation_says_why_only_when_something_is_wrong() -> None:
    answers, log, _ = host_observations("s", PostChecks(True, WARNED, True))
    assert answers == Observation(path="s.host.answers", status=Status.PASS, value="answers")
    assert log.detail == {"reason": "WARNING: at x", "excerpt": ["WARNING: at x"]}
