# SPDX-License-Identifier: GPL-2.0-only
"""What can be asked of an L1 that runs, through its agent and its other channels."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.events import Event
from harness.hosts.host import Completed, HostLost
from harness.hosts.l1 import agent
from harness.hosts.qemu.process import QemuProcess
from harness.results.records import Failure
from harness.suites.failures import classify
from harness.suites.failures.guest_log import GuestLog

T = TypeVar("T")
CONSOLE, END = "console", "qemu"  # sources of L1's own events, beside the agent
LAST_WORDS = 2.0  # seconds that a dying L1 gets to finish its trace
JOB_TOLD = re.compile(r"^s2eval: job-(pid|exit) (\d+)$")  # by the shell that runs a job


class L1Job:
    """A command that runs in L1; `pid` and `status` as hosts.host.Job has them."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.pid = 0
        self.status: int | None = None

    def take(self, event: Event) -> bool:
        """Learn from what the shell around the command says; whether this was such a line."""
        if event.source != self.stream or not (told := JOB_TOLD.match(event.line or "")):
            return False
        if told[1] == "pid":
            self.pid = int(told[2])
        else:
            self.status = int(told[2])
        return True


class L1Link:
    """The verbs of a Host (harness/hosts/host.py) that need no more than L1's QEMU.

    `streams` are the channels of what runs on L1; all other events are L1's own.
    """

    name = "L1"

    def __init__(self, streams: Sequence[str], silence: float) -> None:
        self.silence = silence
        self.console = GuestLog(self.name, "console.log")
        self._streams = streams
        self._aside: list[Event] = []
        self._idents = itertools.count(1)
        self._jobs: list[L1Job] = []

    def attach(self, process: QemuProcess) -> None:
        """Take the process that L1 runs in; nothing can be asked before."""
        self._process = process

    def wait_ready(self, deadline: Deadline) -> None:
        """Wait until L1's init answers. Raise HostLost: panic, silence, QEMU's exit, too slow."""

        def see(event: Event) -> bool | None:
            self._see(event)
            return True if event == Event(agent.CHANNEL, agent.READY) else None

        if self._wait_aside(see, deadline, self.silence) is None:
            quiet = self.console.quiet(deadline, self.silence, "L1's boot")
            raise HostLost(self.console.failure() or quiet)

    def run(self, command: str, deadline: Deadline) -> Completed:
        """Run a shell command in L1. Raise HostLost when L1 dies of it or does not answer."""
        done = self._ask(command, deadline)
        out, err = (text.decode("utf-8", errors="replace") for text in (done.out, done.err))
        return Completed(command, done.status, out, err)

    def start(self, command: str, stream: str, deadline: Deadline) -> L1Job:
        """Start a shell command whose lines are events of `stream`, which is one of L1's."""
        inner = f'{command} & echo "s2eval: job-pid $!"; wait $!'
        told = 'code=$?; echo; echo "s2eval: job-exit $code"'
        job = self.adopt(stream)
        self.run(f"({inner}; {told}) > /run/ports/{stream} 2>&1 &", deadline).check()
        return job

    def adopt(self, stream: str) -> L1Job:
        """Return the job of a restored L1 that runs there already; its pid is to come."""
        job = L1Job(stream)
        self._jobs = [*(one for one in self._jobs if one.stream != stream), job]
        return job

    def read(self, path: str, deadline: Deadline) -> bytes:
        """Return a file of L1. Raise MachineError when it cannot be read, HostLost as run()."""
        done = self._ask(agent.reading(path), deadline)
        if done.status:
            reason = done.err.decode("utf-8", errors="replace") or f"error {done.status}"
            raise MachineError(f"{path} on the host under test: {reason}")
        return done.out

    def unmount(self, deadline: Deadline) -> bool:
        """Let go of the shared folder until the next command; False when it is in use."""
        return self.run(agent.UNMOUNT, deadline).status == 0

    def wake(self, deadline: Deadline) -> None:
        """Set the timers going that QEMU does not save (guest-tests/init/l1.c)."""
        self.run(agent.WAKE, deadline).check()

    def wait(
        self, see: Callable[[Event], T | None], deadline: Deadline, silence: float | None = None
    ) -> T | None:
        """Hand events of what runs on L1 to `see`. Raise HostLost at the end of L1."""

        def look(event: Event) -> T | None:
            if event.source not in self._streams:
                self._see(event)
                return None
            told = any(job.take(event) for job in self._jobs)
            return see(Event(event.source, "") if told else event)

        return self._wait_aside(look, deadline, silence)

    def drain(self, see: Callable[[Event], object], deadline: Deadline) -> None:
        """Hand over what is still on its way when L1 is gone."""

        def look(event: Event) -> bool | None:
            if event.source in self._streams:
                see(event)
            return True if event.source == END else None

        self._process.wait(look, deadline)

    def send(self, channel: str, text: str) -> bool:
        """As Host.send()."""
        return self._process.send(channel, text)

    def requeue(self, events: Iterable[Event]) -> None:
        """As Host.requeue()."""
        self._process.requeue(events)

    def new_log(self) -> None:
        """Judge L1 by what it says from now on: a guest of before is over."""
        self.console = GuestLog(self.name, "console.log")

    def harm(self) -> Failure | None:
        """Return what L1's log tells of L1 itself; that KVM gave up a guest is none of it."""
        own = [line for line in self.console.lines if not _is_about_guest(line)]
        return classify.console(own, self.console.where, self.console.name)

    def answers(self, deadline: Deadline) -> bool:
        """Return whether L1 is still there, when something in it says nothing any more."""
        with contextlib.suppress(HostLost):
            return self.run("true", deadline).status == 0
        return False

    def _ask(self, command: str, deadline: Deadline) -> agent.Answer:
        ident = next(self._idents)
        if not self._process.send(agent.CHANNEL, agent.question(ident, command)):
            self._lose()

        def see(event: Event) -> agent.Answer | None:
            self._see(event)
            if event.source != agent.CHANNEL or not agent.is_answer(ident, event.line):
                return None
            return agent.answer(event.line or "")

        done = self._wait_aside(see, deadline)
        if done is None:
            raise HostLost(self.console.quiet(deadline, self.silence, f"'{command}' in L1"))
        return done

    def _see(self, event: Event) -> None:
        """Look at an event of L1 and leave all others for later; HostLost at the end of L1."""
        if event.source in self._streams:
            self._aside.append(event)
        if event.source == END:
            raise HostLost(self.console.failure() or self._process.why_ended())
        if event.source != CONSOLE or event.line is None:
            return
        found = self.console.feed(event.line)
        if found and found.effect == "ends" and not found.kind.of_guest:
            self._lose()

    def _wait_aside(
        self, see: Callable[[Event], T | None], deadline: Deadline, silence: float | None = None
    ) -> T | None:
        """Wait for L1's own events, after which nothing that others said is lost."""
        try:
            return self._process.wait(see, deadline, silence)
        finally:
            self._process.requeue(self._aside)
            self._aside = []

    def _lose(self) -> None:
        """Let the trace be printed, then give up on L1."""

        def see(event: Event) -> bool | None:
            if event.source in self._streams:
                self._aside.append(event)
            elif event.source == CONSOLE and event.line is not None:
                self.console.feed(event.line)
            return True if event.source == END else None

        self._wait_aside(see, Deadline(LAST_WORDS))
        raise HostLost(self.console.failure() or self._process.why_ended())


def _is_about_guest(line: str) -> bool:
    found = classify.class_of(line)
    return found is not None and found.kind.of_guest
