# SPDX-License-Identifier: GPL-2.0-only
"""Calls to a lab host while its console is watched: what the console shows counts at once."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.event_host import CONSOLE, DYING_SECONDS, EventHost
from harness.hosts.events import Event
from harness.hosts.hang.patience import Patience
from harness.hosts.host import HostLost
from harness.hosts.lab.console import Console
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.hostfile import HostFile
from harness.results.failure_kinds import FailureKind
from harness.results.records import Failure

T = TypeVar("T")
BANNER = "Linux version "  # in the first line of a kernel
DONE = "lab.done"  # the source of the events of calls that are over
LOST = "lab.lost"  # the source of the event of a stream whose connection was lost
MARGIN = 10.0  # seconds behind a call's deadline in which the call itself tells that it was late
LOOK = 0.25  # seconds between tries to put an event into a full queue


class LabEvents(Console):
    """The events of a lab host: its console's lines, and those of streams and calls over SSH."""

    def put(self, event: Event) -> None:
        """Queue an event of another thread; drop it once the console is closed."""
        while not self._closing.is_set():
            with contextlib.suppress(queue.Full):
                self.events.put(event, timeout=LOOK)
                return

    def why_ended(self) -> Failure:
        """Return the failure of a host whose console shows none."""
        summary = f"{self.host.name} ended, and its console shows no reason"
        return Failure(kind=FailureKind.MACHINE, summary=summary, where="host", log="console.log")


class WatchedHost(EventHost):
    """A lab host whose console is watched during each call. `events` is open from before a boot.

    While `leaving` is True another kernel still runs than the one to be judged: its lines do not
    count. The first line of the next kernel ends that.
    """

    name = "host"

    def __init__(self, host: HostFile, streams: Sequence[str], events: LabEvents) -> None:
        silence = host.limits.silence
        key = host.key_of("silence")
        super().__init__(streams, Patience(silence, silence, key, key))
        self.host = host
        self.events = events
        self.listen(events)
        self.leaving = False
        self._calls = itertools.count(1)

    def call(self, work: Callable[[], T], deadline: Deadline, silence: float | None = None) -> T:
        """Return what `work` returns, which runs in a thread and ends at `deadline` by itself.

        With `silence` a console that shows nothing for that long ends the call with LabError.

        Raise HostLost as soon as the console shows the host's end; and where `work` raises
        LabError, when the console then shows why. Other errors of `work` are raised as they are.
        """
        ident = str(next(self._calls))
        results: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(work())
            except BaseException as error:
                errors.append(error)
            self.events.put(Event(DONE, ident))

        threading.Thread(target=run, name="lab-call", daemon=True).start()

        def see(event: Event) -> bool | None:
            self._see(event)
            return True if event == Event(DONE, ident) else None

        limit = Deadline(deadline.left() + MARGIN)
        over = self._wait_aside(see, limit, silence if self.events.there else None)
        if over is None:
            seconds = deadline.seconds if limit.over or silence is None else silence
            raise self.fault(Step.SSH, f"nothing came for {seconds:.3g} s")
        if errors:
            if isinstance(errors[0], LabError):
                self.blame_console()
            raise errors[0]
        return results[0]

    def blame_console(self) -> None:
        """Raise HostLost when the console shows a failure of the host, now or in a moment."""

        def see(event: Event) -> None:
            if event.source != LOST:
                self._see(event)

        self._wait_aside(see, Deadline(DYING_SECONDS), silence=DYING_SECONDS / 2)
        if failure := self.console.failure():
            raise HostLost(failure)

    def fault(self, step: Step, cause: str) -> LabError:
        """Return the fault of the lab in `step`."""
        return LabError(self.host.name, step, cause)

    def _see(self, event: Event) -> None:
        """Do as EventHost. Raise LabError when the connection of a stream was lost."""
        if event.source == LOST:
            self.blame_console()
            raise self.fault(Step.SSH, self.why_lost())
        if self.leaving and event.source == CONSOLE:
            # What the kernel before says at its end is nothing of the one to be judged.
            if BANNER not in (event.line or ""):
                return
            self.leaving = False
        super()._see(event)

    def why_lost(self) -> str:
        """Return what is known of a lost connection, for a message."""
        return "the connection was lost while guests ran, and the console shows no reason"


def quietly(work: Callable[[], object]) -> None:
    """Do `work` at an end, where a fault of the lab changes nothing any more."""
    with contextlib.suppress(MachineError):
        work()
