# SPDX-License-Identifier: GPL-2.0-only
"""Deadlines, and limits that they are within."""

from __future__ import annotations

import threading
import time

import pytest

from harness.base.deadline import Deadline
from harness.base.errors import OutOfTimeError


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("harness.base.deadline.time.monotonic", clock)
    return clock


def test_it_counts_down_and_no_further(clock: Clock) -> None:
    deadline = Deadline(5)
    clock.now += 2
    assert (deadline.left(), deadline.over) == (3, False)
    clock.now += 4
    assert (deadline.left(), deadline.over) == (0, True)


def test_a_part_of_the_work_is_never_later(clock: Clock) -> None:
    deadline = Deadline(5)
    clock.now += 2
    assert deadline.at_most(10).left() == 3 and deadline.at_most(1).left() == 1


def test_a_wait_ends_with_the_limit_that_it_is_within_and_says_so(clock: Clock) -> None:
    cell = Deadline(8, reason="took longer than the plan's limit of 8 s for a cell")
    boot = Deadline(60, within=cell)
    assert boot.left() == 8
    part = boot.at_most(30)
    clock.now += 8
    for one in (boot, part, Deadline(1, within=cell), Deadline(1, within=boot)):
        with pytest.raises(OutOfTimeError, match="the plan's limit of 8 s for a cell"):
            one.left()
        with pytest.raises(OutOfTimeError):
            _ = one.over


def test_its_own_end_is_no_end_of_the_limit(clock: Clock) -> None:
    boot = Deadline(2, within=Deadline(8))
    clock.now += 3
    assert boot.over and boot.left() == 0


def test_in_whatever_thread() -> None:
    """A limit by a signal would hold in the main thread alone."""
    caught: list[BaseException] = []

    def wait() -> None:
        boot = Deadline(60, within=Deadline(0.05))
        try:
            while not boot.over:
                time.sleep(boot.left())
        except OutOfTimeError as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(30)
    assert [str(error) for error in caught] == ["took longer than 0.05 s"]


def test_a_deadline_is_extended_up_to_four_times_itself_and_within_its_limit() -> None:
    deadline = Deadline(1000)
    deadline.extend(500)
    assert 1400 < deadline.left() <= 1500
    deadline.extend(100_000)
    deadline.extend(100_000)
    assert 3900 < deadline.left() <= 4000
    limited = Deadline(1000, within=Deadline(1200))
    limited.extend(500)
    assert 1100 < limited.left() <= 1200
