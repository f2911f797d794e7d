# SPDX-License-Identifier: GPL-2.0-only
"""How far a run is, from the events of its cells."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from harness.evaluate.events import CellDone, Event, Note, PhaseBegan, notes, to_all
from harness.evaluate.progress import Progress, Snapshot, duration
from harness.results.phases import PhaseName
from harness.results.records import Status

BUILD, PROBE = PhaseName.BUILD, PhaseName.PROBE


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Seen:
    """A view that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.snapshots: list[Snapshot] = []
        self.ticks: list[Snapshot] = []
        self.calls: list[str] = []

    def start(self, look: Callable[[], Snapshot]) -> None:
        assert look().done >= 0
        self.calls.append("start")

    def event(self, event: Event, now: Snapshot) -> None:
        self.events.append(event)
        self.snapshots.append(now)

    def tick(self, now: Snapshot) -> None:
        self.ticks.append(now)

    def stop(self) -> None:
        self.calls.append("stop")


def watched() -> tuple[Progress, Clock, Seen]:
    clock, seen = Clock(), Seen()
    progress = Progress(seen, clock=clock)
    expected = {"a/m/s": 10.0, "b/m/s": 20.0}
    progress.plan(4, expected, done=Counter([Status.PASS]), jobs=2)
    return progress, clock, seen


def test_a_snapshot_says_how_far_a_run_is() -> None:
    progress, clock, seen = watched()
    progress(PhaseBegan("a/m/s", BUILD))
    clock.now += 4
    progress(PhaseBegan("a/m/s", PROBE))
    progress(PhaseBegan("b/m/s", BUILD))
    clock.now += 1
    now = progress.snapshot()
    assert (now.total, now.done, now.seconds) == (4, 1, 5)
    first, second = now.running
    assert (first.cell, first.phase, first.seconds, first.phase_seconds) == ("a/m/s", "probe", 5, 1)
    assert (first.expected, second.seconds) == (10.0, 1)
    # 5 and 19 are left of those that run, 15 (the mean) of the one that waits; two at once.
    assert now.left == (5 + 19 + 15) / 2
    progress(CellDone("b/m/s", Status.FAIL, ""))
    last = seen.snapshots[-1]
    assert last.counts == {Status.PASS: 1, Status.FAIL: 1} and len(last.running) == 1
    assert seen.events[-1] == CellDone("b/m/s", Status.FAIL, "", seconds=1)


def test_the_time_to_go_is_at_least_that_of_the_longest() -> None:
    clock = Clock()
    progress = Progress(clock=clock)
    progress.plan(2, {"a/m/s": 1.0, "b/m/s": 100.0}, jobs=2)
    progress(PhaseBegan("a/m/s", PROBE))
    progress(PhaseBegan("b/m/s", PROBE))
    assert progress.snapshot().left == 100
    clock.now += 500  # longer than ever before
    assert progress.snapshot().left is None


def test_without_a_plan_nothing_is_guessed() -> None:
    assert Progress().snapshot().left is None


def test_a_plan_that_grows_forgets_nothing_that_is_done() -> None:
    progress, _, _ = watched()
    progress(CellDone("a/m/s", Status.PASS, ""))
    progress.plan(6, {}, jobs=2)
    assert (progress.snapshot().total, progress.snapshot().done) == (6, 2)


def test_a_note_belongs_to_its_cell_or_to_the_newest() -> None:
    progress, _, seen = watched()
    progress(PhaseBegan("a/m/s", BUILD))
    progress(PhaseBegan("b/m/s", BUILD))
    notes(progress, "a/m/s")("first")
    notes(progress)("second")
    assert [(one.cell, one.note) for one in progress.snapshot().running] == [
        *(("a/m/s", "first"), ("b/m/s", "second"))
    ]
    assert seen.events[-2:] == [Note("first", "a/m/s"), Note("second")]


def test_views_are_started_told_each_second_and_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.evaluate.progress.TICK", 0.01)
    first, second = Seen(), Seen()
    with pytest.raises(KeyboardInterrupt), Progress(first) as progress:
        progress.show(second)
        until = time.monotonic() + 30
        while not (first.ticks and second.ticks) and time.monotonic() < until:
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert first.ticks and second.ticks
    assert first.calls == second.calls == ["start", "stop"]
    assert not [t for t in threading.enumerate() if t.name == "progress"]


def test_all_listeners_are_told_in_their_order() -> None:
    told: list[tuple[int, Event]] = []
    both = to_all(lambda e: told.append((1, e)), lambda e: told.append((2, e)))
    both(Note("x"))
    assert told == [(1, Note("x")), (2, Note("x"))]


def test_threads_may_call() -> None:
    seen = Seen()
    with Progress(seen) as progress:
        calls = [threading.Thread(target=progress, args=(Note("x"),)) for _ in range(20)]
        for call in calls:
            call.start()
        for call in calls:
            call.join()
    assert seen.events == [Note("x")] * 20


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
