# SPDX-License-Identifier: GPL-2.0-only
"""The criterion of a bisection."""

from __future__ import annotations

import pytest

from harness.base.errors import UsageError
from harness.evaluate.patch.verdict.check import parse_check
from harness.results.failure_kinds import FailureKind
from harness.results.places import CpuState, Place
from harness.results.records import Cell, Failure, Observation, Status
from tests.unit.evaluate.patch.patch_cells import cell, saw


def asked(check: str, *seen: Observation, failure: Failure | None = None) -> bool | None:
    one: Cell = cell("k", *seen, suite="s")
    one.failure = failure
    return parse_check(check).of(one).met


def test_all_that_a_pattern_names_must_pass() -> None:
    good, bad = saw("s.a", "works"), saw("s.b", "faults", Status.FAIL)
    assert asked("s.*", good) is True
    assert asked("s.*", good, bad) is False
    assert asked("s.a", good, bad) is True
    assert asked("s.*", good, saw("s.c", status=Status.SKIP)) is True


def test_what_says_nothing() -> None:
    assert asked("s.*") is None
    assert asked("s.*", saw("s.a", status=Status.MISS)) is None
    assert asked("s.*", saw("s.a", status=Status.ERROR), saw("s.b", status=Status.FAIL)) is False
    assert asked("s.*", saw("s.a", status=Status.SKIP)) is None


def test_a_guest_that_never_came_to_the_test_says_nothing() -> None:
    panic = Failure(kind=FailureKind.PANIC, summary="Kernel panic", where="L1")
    ended = saw("s.guest", "panic", Status.FAIL)
    unreached = saw("s.x.not_reached", status=Status.SKIP)
    assert asked("s.*", ended, unreached, failure=panic) is None
    # A test that kills the guest is another matter.
    assert asked("s.*", saw("s.x", "vm-killed", Status.FAIL), failure=panic) is False


def test_words() -> None:
    nc = saw("audit.wc.stage2", "Normal-NC", Status.DONE)
    assert asked("audit.wc.stage2=Normal-NC", nc) is True
    assert asked("audit.wc.stage2=Device-nGnRE", nc) is False
    assert asked("audit.wc.stage2!=Device-nGnRE", nc) is True
    assert asked("audit.*.stage2=Normal-NC", nc, saw("audit.x.stage2", "y")) is False
    assert asked("s.a=SKIP", saw("s.a", status=Status.SKIP)) is True
    assert asked("s.a=works", saw("s.a", status=Status.MISS)) is None
    assert asked("s.a=MISS", saw("s.a", status=Status.MISS)) is True


def test_figures() -> None:
    fast = Observation(path="s.t", status=Status.DONE, value=12.5, unit="ns")
    for check, met in (("s.t<13", True), ("s.t<12.5", False), ("s.t<=12.5", True),
                       ("s.t>12", True), ("s.t>=13", False)):  # fmt: skip
        assert asked(check, fast) is met, check
    assert asked("s.t<13", saw("s.t", "works")) is None


@pytest.mark.parametrize("text", ["", "=x", "s.t<fast", "s.t<", "s.t<nan", "a b"])
def test_what_is_no_check(text: str) -> None:
    with pytest.raises(UsageError, match="--check"):
        parse_check(text)


def test_how_a_guest_ended() -> None:
    """The place of a guest that fell silent is a criterion; a fault of the machine is none."""
    place = Place(function="kvm_arch_init", file="arch/arm64/kvm/arm.c", line=2247, el=2,
                  interrupts="masked", where="L1", state=CpuState.STUCK)  # fmt: skip
    silent = Failure(kind=FailureKind.SILENCE, summary="no output", where="L1", place=place)
    seen = saw("s.a", "works")
    elsewhere = silent.model_copy(update={"place": place.model_copy(update={"function": "f"})})
    for check, here, there in (
        ("failure.place.function!=kvm_arch_init", False, True),
        ("failure.place.function=none", False, False),
        ("failure.place.line<2247", False, False),
        ("failure.place.el=2", True, True),
        ("failure.kind", False, False),
        ("s.*", True, True),
    ):
        assert asked(check, seen, failure=silent) is here, check
        assert asked(check, seen, failure=elsewhere) is there, check
    assert asked("failure.place.function!=kvm_arch_init", seen) is True
    assert asked("failure.kind", seen) is True
    unknown = Failure(kind=FailureKind.SILENCE, summary="no output", where="L1")
    assert asked("failure.kind!=silence", failure=unknown) is None
    missing = Failure(kind=FailureKind.MACHINE, summary="no tool", where="harness")
    assert asked("failure.place.function!=kvm_arch_init", failure=missing) is None
