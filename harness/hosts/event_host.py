# SPDX-License-Identifier: GPL-2.0-only
"""The part of a Host (harness/hosts/host.py) that all hosts share whose lines come as events.

A host's own console and the jobs on it are sources of one queue. This module tells them apart, and
finds the host's end in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from harness.base.deadline import Deadline
from harness.hosts.events import Event
from harness.hosts.hang.patience import Patience, placed
from harness.hosts.host import HostLost
from harness.results.places import Place
from harness.results.records import Failure
from harness.suites.failures import classify
from harness.suites.failures.guest_log import GuestLog

T = TypeVar("T")
CONSOLE = "console"  # the source of the host's own lines
DYING_SECONDS = 2.0  # for a dying host to finish its trace


class HostEvents(Protocol):
    """The events of a host and of all that runs on it (harness/hosts/events.py)."""

    def wait(
        self, see: Callable[[Event], T | None], deadline: Deadline, silence: float | None = None
    ) -> T | None:
        """Hand events to `see` and return its result, as EventSource.wait()."""

    def requeue(self, events: Iterable[Event]) -> None:
        """Hand `events` to the next wait() first, as EventSource.requeue()."""

    def longest_silence(self) -> float:
        """Return the longest silence that an event ended (s), since this was asked last."""

    def why_ended(self) -> Failure:
        """Return the failure of a host that has ended, when its log does not show one."""


class ReportedJob(Protocol):
    """A Job (harness/hosts/host.py) that learns from the host's events."""

    stream: str
    pid: int
    status: int | None

    def take(self, event: Event) -> bool:
        """Take what a line of the job's shell tells; return whether it is such a line."""


class EventHost:
    """Methods of a Host (harness/hosts/host.py) that need no more than its events.

    `streams` are the sources of jobs on the host; all other events are the host's own, `end` is
    the source of its last one.
    """

    name: str
    end = ""

    def __init__(self, streams: Sequence[str], patience: Patience) -> None:
        self.patience = patience
        self.console = GuestLog(self.name, "console.log")
        self._streams = streams
        self._aside: list[Event] = []
        self._jobs: list[ReportedJob] = []
        self._events: HostEvents

    def listen(self, events: HostEvents) -> None:
        """Use `events`; no other method works before."""
        self._events = events

    def wait(
        self, see: Callable[[Event], T | None], deadline: Deadline, silence: float | None = None
    ) -> T | None:
        """Hand events of jobs to `see`, return its result. Raise HostLost when the host ends."""

        def look(event: Event) -> T | None:
            if event.source not in self._streams:
                self._see(event)
                return None
            of_shell = any(job.take(event) for job in self._jobs)
            return see(Event(event.source, "") if of_shell else event)

        return self._wait_aside(look, deadline, silence)

    def drain(self, see: Callable[[Event], object], deadline: Deadline) -> None:
        """Hand the jobs' events that are still in transit to `see`, after the host has ended."""

        def look(event: Event) -> bool | None:
            if event.source in self._streams:
                see(event)
            return True if event.source == self.end else None

        self._events.wait(look, deadline)

    def requeue(self, events: Iterable[Event]) -> None:
        """Hand `events` to the next wait() first."""
        self._events.requeue(events)

    def new_log(self) -> None:
        """Empty `console`, so that the lines about an earlier guest do not count any more."""
        self.console = GuestLog(self.name, "console.log")

    def harm(self) -> Failure | None:
        """Return the failure of the host itself in its log; lines about a guest do not count."""
        lines = [line for line in self.console.lines if not _is_about_guest(line)]
        return classify.console(lines, self.console.where, self.console.name)

    def look(self) -> Place | None:
        """Return where the CPUs of the host and its guests are; None where they cannot be seen."""
        return None

    def longest_silence(self) -> float:
        """Return the longest silence that an event ended (s), since this was asked last."""
        return self._events.longest_silence()

    def _see(self, event: Event) -> None:
        """Log an event of the host, set a job's event aside. Raise HostLost at the host's end."""
        if event.source in self._streams:
            self._aside.append(event)
        if event.source == self.end:
            raise HostLost(self.console.failure() or self._events.why_ended())
        if event.source != CONSOLE or event.line is None:
            return
        failure_class = self.console.feed(event.line)
        if failure_class and failure_class.effect == "ends" and not failure_class.kind.of_guest:
            self._lose()

    def _wait_aside(
        self, see: Callable[[Event], T | None], deadline: Deadline, silence: float | None = None
    ) -> T | None:
        """Wait for the host's own events; requeue those of jobs that were set aside meanwhile."""
        try:
            return self._events.wait(see, deadline, silence)
        finally:
            self._events.requeue(self._aside)
            self._aside = []

    def _lose(self) -> None:
        """Wait until the host has printed its trace, then raise HostLost."""

        def see(event: Event) -> bool | None:
            if event.source in self._streams:
                self._aside.append(event)
            elif event.source == CONSOLE and event.line is not None:
                self.console.feed(event.line)
            return True if event.source == self.end else None

        self._wait_aside(see, Deadline(DYING_SECONDS))
        failure = self.console.failure() or self._events.why_ended()
        raise HostLost(placed(failure, self.look() if failure.kind.lockup else None))


def _is_about_guest(line: str) -> bool:
    failure_class = classify.class_of(line)
    return failure_class is not None and failure_class.kind.of_guest
