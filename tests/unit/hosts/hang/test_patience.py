# SPDX-License-Identifier: GPL-2.0-only
"""How often a silent guest is waited for, by what its CPUs do."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.base.deadline import Deadline
from harness.hosts.hang.patience import Patience, Waited, placed
from harness.results.failure_kinds import FailureKind
from harness.results.places import BlockedTask, CpuState, Place
from harness.results.records import Failure

LONG = 1000.0  # seconds


def place(state: CpuState) -> Place:
    return Place(function="f", el=2, interrupts="masked", where="L1", state=state)


class Guest:
    """Gives `answers` to waits, one each; `silences` are what it was waited for with."""

    def __init__(self, *answers: bool | None) -> None:
        self.answers = list(answers)
        self.silences: list[float] = []

    def __call__(self, silence: float) -> bool | None:
        self.silences.append(silence)
        return self.answers.pop(0)


def wait(guest: Guest, *states: CpuState, seconds: float = LONG) -> Waited[bool]:
    left = [place(state) for state in states]
    return Patience(4, 15).wait(guest, Deadline(seconds), lambda: left.pop(0) if left else None)


def test_a_guest_that_speaks_is_not_looked_at() -> None:
    assert wait(Guest(True), CpuState.STUCK) == Waited(True, 4, None)


def test_one_that_is_stuck_is_given_up_at_the_first_look() -> None:
    guest = Guest(None, True)
    assert wait(guest, CpuState.STUCK) == Waited(None, 4, place(CpuState.STUCK))
    assert guest.silences == [4]


@pytest.mark.parametrize("states", [[CpuState.MOVING] * 2, [CpuState.IDLE] * 2, []])
def test_any_other_is_waited_for_longer_and_looked_at_again(states: Sequence[CpuState]) -> None:
    guest = Guest(None, None)
    seen = place(states[0]) if states else None
    assert wait(guest, *states) == Waited(None, 15, seen)
    assert guest.silences == [4, 15]
    assert wait(Guest(None, True), *states) == Waited(True, 15, None)


def test_after_the_deadline_nothing_is_waited_for() -> None:
    guest = Guest(None)
    assert wait(guest, CpuState.MOVING, seconds=0).place == place(CpuState.MOVING)
    assert guest.silences == [4]


def test_a_blocked_task_on_an_idle_machine_is_a_place_too() -> None:
    blocked = place(CpuState.IDLE).model_copy(update={"blocked": [BlockedTask(name="init")]})
    guest = Guest(None, True)
    assert Patience(4, 15).wait(guest, Deadline(LONG), lambda: blocked).place == blocked
    assert guest.silences == [4]


def test_without_a_sooner_look_there_is_one_wait() -> None:
    guest = Guest(None)
    assert Patience(15, 15).wait(guest, Deadline(LONG), lambda: None) == Waited(None, 15, None)


def test_a_cause_that_is_known_needs_no_place() -> None:
    silent = Failure(kind=FailureKind.SILENCE, summary="no output for 4 s", where="L1")
    panic = Failure(kind=FailureKind.PANIC, summary="Kernel panic", where="L1")
    seen = place(CpuState.STUCK)
    assert placed(silent, seen).place == seen
    assert placed(silent, seen).summary == "no output for 4 s; f in L1, EL2, interrupts masked"
    assert placed(silent, None) == silent and placed(panic, seen) == panic
