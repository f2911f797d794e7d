# SPDX-License-Identifier: GPL-2.0-only
"""Lines of several sources (a console, a suite's results, a VMM) in the order they came."""

from __future__ import annotations

import contextlib
import queue
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from harness.base.deadline import Deadline

T = TypeVar("T")
QUEUE_LIMIT = 10_000  # events; a source that says more at once has to wait


@dataclass(frozen=True)
class Event:
    """One line of a source (without its end), or `line` None: the source has ended."""

    source: str
    line: str | None


Events = queue.Queue[Event]


class EventSource(Protocol):
    """Where lines come from, and where answers go."""

    def wait(
        self,
        see: Callable[[Event], T | None],
        deadline: Deadline,
        silence: float | None = None,
    ) -> T | None:
        """Hand events to `see` until it returns something, and return that.

        None when `deadline` is over or no event came for `silence` seconds; which of the two
        `deadline.over` tells. OutOfTimeError when the limit is over that `deadline` is within.
        """

    def send(self, channel: str, text: str) -> bool:
        """Send `text` to whoever reads `channel`; False when nobody is there to take it."""

    def requeue(self, events: Iterable[Event]) -> None:
        """Let the next wait() see these first: they were not for the last one."""


class EventQueue:
    """The waiting half of an EventSource: readers put events into `events`, wait() takes them.

    `recorded_events` has all events since record() was called; None where nobody wants them.
    """

    def __init__(self) -> None:
        self.events: Events = queue.Queue(QUEUE_LIMIT)
        self.recorded_events: list[Event] | None = None
        self._first: deque[Event] = deque()

    def wait(
        self,
        see: Callable[[Event], T | None],
        deadline: Deadline,
        silence: float | None = None,
    ) -> T | None:
        """As EventSource.wait()."""
        while not deadline.over:
            patience = deadline.left() if silence is None else min(silence, deadline.left())
            try:
                event = self._first.popleft() if self._first else self._next(patience)
            except queue.Empty:
                deadline.left()  # which raises when it is the limit of the whole that is over
                return None
            answer = see(event)
            if answer is not None:
                return answer
        return None

    def requeue(self, events: Iterable[Event]) -> None:
        """As EventSource.requeue()."""
        self._first.extendleft(reversed(list(events)))

    def record(self, *, on: bool) -> None:
        """Keep all events from now on in `recorded_events`, or forget them."""
        self.recorded_events = [] if on else None

    def poll(self) -> None:
        """Record what has come by now, though nobody has waited for it yet."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._first.append(self._next(0))

    def _next(self, patience: float) -> Event:
        event = self.events.get(timeout=patience)
        if self.recorded_events is not None:
            self.recorded_events.append(event)
        return event
