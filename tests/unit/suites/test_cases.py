# SPDX-License-Identifier: GPL-2.0-only
"""KTAP of tests that only pass or fail, as kselftest, kunit and our own suite `cases` print it."""

from __future__ import annotations

import pytest

from harness.results.records import Case, Failure, Observation, Status
from harness.suites.cases import merge_guests
from harness.suites.observe import observe, observe_suite

END = "# s2eval: end"

# As the kernel's tools/testing/selftests print: "# " before what a test's own process printed.
KSELFTEST = """
TAP version 13
1..6
# timeout set to 45
# selftests: kvm: get-reg-list
# TAP version 13
# 1..2
# ok 1 sve
# ok 2 pmu # SKIP no PMU
# # Totals: pass:1 fail:0 xfail:0 xpass:0 skip:1 error:0
ok 1 selftests: kvm: get-reg-list
# ==== Test Assertion Failure ====
#   aarch64/page_fault_test.c:210: test_memslots()
not ok 2 selftests: kvm: page_fault_test # exit=254
ok 3 selftests: kvm: arch_timer # SKIP no timer
# TAP version 13
# 1..3
# ok 1 one
not ok 4 selftests: kvm: rseq_test # TIMEOUT 45 seconds
not ok 5 selftests: kvm: debug-exceptions # XFAIL the emulator has no debug registers
# TAP version 13
# 1..1
# ok 1 all
not ok 6 selftests: kvm: vgic_init # exit=1
""".strip().splitlines()

KUNIT = """
KTAP version 1
1..1
    KTAP version 1
    # Subtest: stage2
    1..3
    # shadow: EXPECTATION FAILED at arch/arm64/kvm/test.c:12
    not ok 1 shadow
    ok 2 unmap # time=0.25s
    # duration_ms: 12.5
    ok 3 walk
# stage2: pass:2 fail:1 skip:0 total:3
not ok 1 stage2
""".strip().splitlines()


def cases(*lines: str, limits: dict[str, str] | None = None) -> dict[str, Case]:
    observations, found = observe_suite("s", [*lines, END], limits or {}, None, None, cases=True)
    assert observations == [], observations
    return {case.name: case for case in found}


def test_kselftest() -> None:
    _, found = observe_suite("s", [*KSELFTEST, END], {}, None, None, cases=True)
    by_name = {case.name: (case.status, case.message) for case in found}
    prefix = "selftests:_kvm:_"
    assert by_name == {
        f"{prefix}get-reg-list.sve": (Status.PASS, ""),
        f"{prefix}get-reg-list.pmu": (Status.SKIP, "no PMU"),
        f"{prefix}page_fault_test": (Status.FAIL, "exit=254"),
        f"{prefix}arch_timer": (Status.SKIP, "no timer"),
        f"{prefix}rseq_test.one": (Status.PASS, ""),
        f"{prefix}rseq_test": (Status.MISS, "45 seconds"),
        f"{prefix}debug-exceptions": (Status.DONE, "the emulator has no debug registers"),
        f"{prefix}vgic_init.all": (Status.PASS, ""),
        f"{prefix}vgic_init": (Status.FAIL, "exit=1"),  # its process failed, no test of it
    }


def test_what_a_test_at_its_limit_never_came_to_is_no_fault_of_the_suite() -> None:
    observations, _ = observe_suite("s", [*KSELFTEST, END], {}, None, None, cases=True)
    assert [(o.path, o.status, o.value) for o in observations] == [
        ("s.selftests:_kvm:_rseq_test.not_reached", Status.SKIP, 2)
    ]


def test_kunit_and_durations() -> None:
    assert list(cases(*KUNIT).values()) == [
        Case(
            name="stage2.shadow",
            status=Status.FAIL,
            message="shadow: EXPECTATION FAILED at arch/arm64/kvm/test.c:12",
        ),
        Case(name="stage2.unmap", status=Status.PASS, seconds=0.25),
        Case(name="stage2.walk", status=Status.PASS, seconds=0.0125),
    ]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("ok 1 t", Status.PASS),
        ("not ok 1 t", Status.FAIL),
        ("ok 1 t # SKIP why", Status.SKIP),
        ("not ok 1 t # SKIP why", Status.SKIP),
        ("not ok 1 t # TODO why", Status.DONE),
        ("not ok 1 t # XFAIL why", Status.DONE),
        ("not ok 1 t # TIMEOUT why", Status.MISS),
        ("not ok 1 t # ERROR why", Status.ERROR),
    ],
)
def test_directives(line: str, status: Status) -> None:
    message = "why" if "#" in line else ""
    assert cases("1..1", line)["t"] == Case(name="t", status=status, message=message)


def test_a_test_that_says_more_stays_an_observation() -> None:
    lines = [
        "1..4",
        "# s2eval: value test=load name=outcome value=works",
        "ok 1 load",
        "# s2eval: expect test=store offset=0x0 size=8 seed=0x1",
        "ok 2 store",
        "# s2eval: seen test=look name=width value=8",
        "ok 3 look",
        "ok 4 plain",
        END,
    ]
    observations, found = observe_suite("s", lines, {}, None, None, cases=True)
    assert [case.name for case in found] == ["plain"]
    paths = {o.path for o in observations}
    assert paths >= {"s.load", "s.store", "s.store.host", "s.look", "s.look.width"}
    # For a suite that does not say so, each of them is one.
    assert {o.path for o in observe("s", lines, {}, None, None)} == paths | {"s.plain"}


def test_a_duration_is_no_reason() -> None:
    case = cases("1..1", "# the page is not zero", "not ok 1 t # time=0.5s")["t"]
    assert (case.message, case.seconds) == ("the page is not zero", 0.5)
    assert cases("1..1", "not ok 1 t # time ran out")["t"].message == "time ran out"


def test_a_machine_that_cannot_show_it() -> None:
    case = cases("1..1", "not ok 1 t", limits={"t": "no FWB"})["t"]
    assert (case.status, case.message) == (Status.SKIP, "no FWB")


def test_the_test_a_guest_died_in_is_an_observation_with_the_death() -> None:
    death = Failure.model_validate({"kind": "oops", "summary": "Unable to handle", "where": "L1"})
    lines = ["1..3", "ok 1 a", "# s2eval: begin test=b"]
    observations, found = observe_suite("s", lines, {}, death, None, cases=True)
    assert [case.name for case in found] == ["a"]
    died: list[Observation] = [o for o in observations if o.path == "s.b"]
    assert died[0].detail["failure"] == "oops" and died[0].status is Status.FAIL


def test_of_several_guests_the_worst_counts() -> None:
    good, bad = Case(name="t", status=Status.PASS), Case(name="t", status=Status.FAIL)
    assert merge_guests([[good], [bad]]) == merge_guests([[bad], [good]]) == [bad]
