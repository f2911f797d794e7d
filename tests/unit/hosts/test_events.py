# SPDX-License-Identifier: GPL-2.0-only
"""Silence: what counts as one, and what is remembered of those that ended."""

from __future__ import annotations

import threading

import pytest

from harness.base.deadline import Deadline
from harness.hosts import events
from harness.hosts.events import Event, EventQueue

NEVER = 1000.0  # seconds; who waits for that has not seen what there was to see
pytestmark = pytest.mark.timeout(60)  # a test that has to wait for NEVER has failed


class Held(EventQueue):
    """A source that is kept from running for `slices` looks, and then says `word` if it has one."""

    def __init__(self, slices: int, word: str = "") -> None:
        super().__init__()
        self.slices = slices
        self.word = word
        self.asked = 0

    def held(self) -> float:
        self.asked += 1
        if self.asked <= self.slices:
            return events.LOOK
        if self.word:
            self.events.put(Event("console", self.word))
        return 0.0


def line(event: Event) -> str | None:
    return event.line


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LOOK", 0.01)


def test_a_source_that_is_kept_from_running_is_not_silent() -> None:
    source = Held(30, "late")
    assert source.wait(line, Deadline(NEVER), silence=0.05) == "late"


def test_a_source_that_could_run_is_silent() -> None:
    source = Held(0)
    deadline = Deadline(NEVER)
    assert source.wait(line, deadline, silence=0.05) is None and not deadline.over
    assert source.asked == 5


def test_a_source_that_is_held_for_ever_ends_at_the_deadline() -> None:
    deadline = Deadline(0.2)
    assert Held(10**6).wait(line, deadline, silence=0.05) is None and deadline.over


def test_time_in_which_a_source_is_held_extends_its_deadline() -> None:
    source = Held(20, "late")
    assert source.wait(line, Deadline(0.08), silence=NEVER) == "late"


def test_the_longest_silence_that_an_event_ended() -> None:
    source = EventQueue()
    source.events.put(Event("console", "at once"))
    assert source.wait(line, Deadline(NEVER), silence=NEVER) == "at once"
    assert source.longest_silence() < NEVER
    late = threading.Timer(0.1, source.events.put, [Event("console", "later")])
    late.start()
    assert source.wait(line, Deadline(NEVER), silence=NEVER) == "later"
    late.join()
    assert 0.05 < source.longest_silence() < NEVER
    assert source.longest_silence() == 0.0
    assert source.wait(line, Deadline(NEVER), silence=0.02) is None  # no event ended that one
    assert source.longest_silence() == 0.0
