# SPDX-License-Identifier: GPL-2.0-only
"""How far a run is: kept from the events of its cells, and shown by views."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from harness.evaluate.events import CellDone, Event, GuestStarted, Note, PhaseBegan
from harness.results.records import Status

TICK = 1.0  # seconds between looks at the clock


@dataclass
class Running:
    """A cell that is being run: seconds since it and its phase began, and what it should take."""

    cell: str
    phase: str
    seconds: float
    phase_seconds: float
    expected: float | None
    note: str


@dataclass
class Snapshot:
    """A run as it is now. `left` is a guess of the seconds to go, None when there is none."""

    total: int = 0
    done: int = 0
    counts: dict[Status, int] = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)
    seconds: float = 0.0
    left: float | None = None

    def words(self) -> str:
        """Return `3 of 20 cells done (2 PASS, 1 FAIL), 65 s, about 120 s to go`."""
        counts = ", ".join(f"{n} {status.value}" for status, n in self.counts.items())
        done = f"{self.done} of {self.total} cells done" + (f" ({counts})" if counts else "")
        left = "" if self.left is None else f", about {duration(self.left)} to go"
        return f"{done}, {duration(self.seconds)}{left}"


def duration(seconds: float) -> str:
    """Return `42 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class View(Protocol):
    """Shows a run to somebody. Any thread may call, one at a time is not promised."""

    def start(self, look: Callable[[], Snapshot]) -> None:
        """Begin to show; `look` gives the run as it is at any moment."""

    def event(self, event: Event, now: Snapshot) -> None:
        """Show what has happened; `now` is the run after it."""

    def tick(self, now: Snapshot) -> None:
        """Show the run once a second."""

    def stop(self) -> None:
        """Show nothing any more."""


@dataclass
class _Cell:
    phase: str
    start: float
    phase_start: float
    note: str = ""


class Progress:
    """A listener of events, and a context manager around the views that show them.

    `clock` gives seconds, monotonic.
    """

    def __init__(self, *views: View, clock: Callable[[], float] = time.monotonic) -> None:
        self._views = list(views)
        self._clock = clock
        self._lock = threading.Lock()  # of the fields below: views look from their own threads
        self._cells: dict[str, _Cell] = {}
        self._counts: Counter[Status] = Counter()
        self._expected: dict[str, float] = {}
        self._total = 0
        self._jobs = 1
        self._start = clock()
        self._end = threading.Event()
        self._ticker: threading.Thread | None = None

    def plan(
        self,
        total: int,
        expected: Mapping[str, float],
        *,
        done: Counter[Status] | None = None,
        jobs: int = 1,
    ) -> None:
        """Say what is ahead: of `total` cells those that are not `done`, `jobs` at once.

        `expected` are the seconds of those that are known. May be said again when it changes;
        without `done` what has been done stays.
        """
        with self._lock:
            self._total, self._jobs = total, jobs
            self._expected = dict(expected)
            if done is not None:
                self._counts = Counter(done)

    def show(self, view: View) -> None:
        """Show the run to one more view, from now on."""
        view.start(self.snapshot)
        self._views.append(view)

    def __enter__(self) -> Progress:
        for view in self._views:
            view.start(self.snapshot)
        self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
        self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Show nothing any more; what comes after the cells may print lines of its own."""
        if self._end.is_set():
            return
        for view in self._views:
            view.stop()
        self._end.set()
        if self._ticker:
            self._ticker.join()

    def __call__(self, event: Event) -> None:
        """Take note of an event and show it."""
        with self._lock:
            event = self._take(event)
        if isinstance(event, GuestStarted):
            return
        now = self.snapshot()
        for view in self._views:
            view.event(event, now)

    def _take(self, event: Event) -> Event:
        now = self._clock()
        if isinstance(event, PhaseBegan):
            started = self._cells[event.cell].start if event.cell in self._cells else now
            self._cells[event.cell] = _Cell(event.phase, started, now)
        elif isinstance(event, Note):
            mine = self._cells.get(event.cell or next(reversed(self._cells), ""))
            if mine:
                mine.note = event.text
        elif isinstance(event, CellDone):
            mine = self._cells.pop(event.cell, None)
            self._counts[event.status] += 1
            return replace(event, seconds=now - mine.start if mine else 0.0)
        return event

    def snapshot(self) -> Snapshot:
        """Return how far the run is."""
        now = self._clock()
        with self._lock:
            running = [
                Running(
                    name,
                    cell.phase,
                    now - cell.start,
                    now - cell.phase_start,
                    self._expected.get(name),
                    cell.note,
                )
                for name, cell in self._cells.items()
            ]
            done = self._counts.total()
            found = Snapshot(self._total, done, dict(self._counts), running, now - self._start)
            found.left = self._left(found)
        return found

    def _left(self, now: Snapshot) -> float | None:
        """The seconds to go, from what cells took last time, and their mean for the others."""
        if not self._expected or not now.total:
            return None
        mean = sum(self._expected.values()) / len(self._expected)
        waiting = max(0, now.total - now.done - len(now.running))
        rest = [max(0.0, (one.expected or mean) - one.seconds) for one in now.running]
        whole = (waiting * mean + sum(rest)) / min(self._jobs, max(1, waiting + len(rest)))
        return max(whole, *rest, 0.0) or None

    def _tick(self) -> None:
        while not self._end.wait(TICK):
            now = self.snapshot()
            for view in self._views:
                view.tick(now)
