# SPDX-License-Identifier: GPL-2.0-only
"""Events: lines of several sources (a console, a suite's results, a VMM), in order of arrival."""

from __future__ import annotations

import contextlib
import queue
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from harness.base.deadline import Deadline

T = TypeVar("T")
QUEUE_LIMIT = 10_000  # events; a source that sends more at once has to wait
LOOK = 0.5  # seconds of a silence after which held() is asked


@dataclass(frozen=True)
class Event:
    """One line of a source (without its end), or `line` None: the source has ended."""

    source: str
    line: str | None


Events = queue.Queue[Event]


class EventSource(Protocol):
    """A source of lines that also takes answers."""

    def wait(
        self,
        see: Callable[[Event], T | None],
        deadline: Deadline,
        silence: float | None = None,
    ) -> T | None:
        """Hand events to `see` until `see` returns something other than None, and return that.

        Return None when `deadline` is over or no event came for `silence` seconds; `deadline.over`
        tells which of the two. Time in which the source was kept from running is no silence, and
        extends the deadline. Raise OutOfTimeError when the limit that `deadline` is within is
        over.
        """

    def send(self, channel: str, text: str) -> bool:
        """Send `text` to the reader of `channel`. Return False when there is no reader."""

    def requeue(self, events: Iterable[Event]) -> None:
        """Hand `events`, which the last wait() did not use, to the next wait() first."""


class EventQueue:
    """The waiting half of an EventSource: readers put events into `events`, wait() takes them.

    `recorded_events` has all events since record(on=True) was called, and is None without it.
    """

    def __init__(self) -> None:
        self.events: Events = queue.Queue(QUEUE_LIMIT)
        self.recorded_events: list[Event] | None = None
        self._first: deque[Event] = deque()
        self._longest_silence = 0.0

    def held(self) -> float:
        """Return the seconds since the last call in which the source was kept from running."""
        return 0.0

    def longest_silence(self) -> float:
        """Return the longest silence that an event ended (s), since this was asked last.

        Only waits with a limit of silence count.
        """
        longest, self._longest_silence = self._longest_silence, 0.0
        return longest

    def wait(
        self,
        see: Callable[[Event], T | None],
        deadline: Deadline,
        silence: float | None = None,
    ) -> T | None:
        """Return what `see` returns, as EventSource.wait()."""
        while not deadline.over:
            event = self._first.popleft() if self._first else self._await(deadline, silence)
            if event is None:
                deadline.left()  # raises when the limit around this deadline is over
                return None
            answer = see(event)
            if answer is not None:
                return answer
        return None

    def requeue(self, events: Iterable[Event]) -> None:
        """Hand `events` to the next wait() first, as EventSource.requeue()."""
        self._first.extendleft(reversed(list(events)))

    def record(self, *, on: bool) -> None:
        """Keep all events from now on in `recorded_events`; with `on` False drop them."""
        self.recorded_events = [] if on else None

    def poll(self) -> None:
        """Record the events that have arrived, for which no wait() has asked yet."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._first.append(self._next(0))

    def _await(self, deadline: Deadline, silence: float | None) -> Event | None:
        """Return the next event, None when none comes in time."""
        if silence is None:
            with contextlib.suppress(queue.Empty):
                return self._next(deadline.left())
            return None
        quiet = 0.0  # seconds without an event in which the source could run
        asked = False
        while True:
            patience = max(0.0, min(LOOK, silence - quiet, deadline.left()))
            began = time.monotonic()
            with contextlib.suppress(queue.Empty):
                event = self._next(patience)
                quiet += min(patience, time.monotonic() - began)
                self._longest_silence = max(self._longest_silence, quiet)
                return event
            # The first answer is about the time before; `patience`, and not what has passed,
            # counts where this process itself was stopped meanwhile.
            held = min(self.held(), patience)
            if asked:
                deadline.extend(held)
            quiet += patience - held if asked else patience
            asked = True
            if quiet >= silence or deadline.over:
                return None

    def _next(self, patience: float) -> Event:
        event = self.events.get(timeout=patience)
        if self.recorded_events is not None:
            self.recorded_events.append(event)
        return event
