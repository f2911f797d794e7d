# SPDX-License-Identifier: GPL-2.0-only
"""Talking to an L1 that runs, through its agent and its other channels."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Sequence

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.event_host import EventHost
from harness.hosts.events import Event
from harness.hosts.hang.patience import Patience, placed, quiet
from harness.hosts.host import Completed, HostLost
from harness.hosts.l1 import agent
from harness.hosts.qemu.process import QemuProcess

END = "qemu"  # the source of L1's last event
OPEN_TRIES = 1000  # to open the port of a stream, a hundredth of a second apart
JOB_REPORT = re.compile(r"^s2eval: job-(pid|exit) (\d+)$")  # by the shell that runs a job


class L1Job:
    """A command that runs in L1: a Job (harness/hosts/host.py)."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.pid = 0
        self.status: int | None = None

    def take(self, event: Event) -> bool:
        """Take pid or status from a line of the job's shell; return whether it is such a line."""
        if event.source != self.stream or not (report := JOB_REPORT.match(event.line or "")):
            return False
        if report[1] == "pid":
            self.pid = int(report[2])
        else:
            self.status = int(report[2])
        return True


class L1Link(EventHost):
    """The methods of a Host (harness/hosts/host.py) that need no more than L1's QEMU process.

    `streams` are the channels of jobs on L1. `boot_patience` is for
    L1's boot, `patience` for all after it. Every method that asks L1 raises HostLost when L1 dies
    or does not answer within its deadline.
    """

    name = "L1"
    end = END

    def __init__(
        self, streams: Sequence[str], patience: Patience, boot_patience: Patience | None = None
    ) -> None:
        super().__init__(streams, patience)
        self.boot_patience = boot_patience or patience
        self._idents = itertools.count(1)

    def attach(self, process: QemuProcess) -> None:
        """Use `process`, which L1 runs in; no other method works before."""
        self._process = process
        self.listen(process)

    def wait_ready(self, deadline: Deadline) -> None:
        """Wait for READY. Raise HostLost after a panic, silence, QEMU's exit or `deadline`."""

        def see(event: Event) -> bool | None:
            self._see(event)
            return True if event == Event(agent.CHANNEL, agent.READY) else None

        waited = self.boot_patience.wait(
            lambda silence: self._wait_aside(see, deadline, silence), deadline, self.look
        )
        if waited.answer is None:
            silent = quiet(self.console, deadline, waited, "L1's boot")
            raise HostLost(self.console.failure() or silent)

    def run(self, command: str, deadline: Deadline) -> Completed:
        """Run a shell command in L1 to its end; return its status and output."""
        answer = self._ask(command, deadline)
        out, err = (text.decode("utf-8", errors="replace") for text in (answer.out, answer.err))
        return Completed(command, answer.status, out, err)

    def start(self, command: str, stream: str, deadline: Deadline) -> L1Job:
        """Start a shell command, whose lines are events of `stream`; return its job.

        Raise MachineError when the command cannot be started.
        """
        inner = f'{command} & echo "s2eval: job-pid $!"; wait $!'
        report = 'code=$?; echo; echo "s2eval: job-exit $code"'
        job = self.adopt(stream)
        # A virtio port has one opener (drivers/char/virtio_console.c, port_fops_open): the shell of
        # the job before this one has reported, but may not have ended yet. Then nothing is run.
        once = f"({inner}; {report}) > /run/ports/{stream} 2>&1"
        again = f"n=0; until {once} || [ $((n += 1)) -gt {OPEN_TRIES} ]; do sleep 0.01; done"
        self.run(f"({again}) &", deadline).check()
        return job

    def adopt(self, stream: str) -> L1Job:
        """Return a job for the command of `stream` that a restored L1 runs already."""
        job = L1Job(stream)
        self._jobs = [*(other for other in self._jobs if other.stream != stream), job]
        return job

    def read(self, path: str, deadline: Deadline) -> bytes:
        """Return the contents of a file of L1. Raise MachineError when it cannot be read."""
        answer = self._ask(agent.reading(path), deadline)
        if answer.status:
            reason = answer.err.decode("utf-8", errors="replace") or f"error {answer.status}"
            raise MachineError(f"{path} on the host under test: {reason}")
        return answer.out

    def unmount(self, deadline: Deadline) -> bool:
        """Unmount the shared folder until the next command. Return False when it is in use."""
        return self.run(agent.UNMOUNT, deadline).status == 0

    def wake(self, deadline: Deadline) -> None:
        """Set the timers that QEMU does not save (guest-tests/init/l1.c).

        Raise MachineError when L1 cannot.
        """
        self.run(agent.WAKE, deadline).check()

    def send(self, channel: str, text: str) -> bool:
        """Send `text` to the reader of `channel`. Return False when there is none."""
        return self._process.send(channel, text)

    def answers(self, deadline: Deadline) -> bool:
        """Return whether L1 runs a command; asked when a guest on it has gone silent."""
        with contextlib.suppress(HostLost):
            return self._ask("true", deadline, look=False).status == 0
        return False

    def _ask(self, command: str, deadline: Deadline, *, look: bool = True) -> agent.Answer:
        """Return the agent's answer. Raise HostLost, with `look` and where L1's CPUs are."""
        ident = next(self._idents)
        if not self._process.send(agent.CHANNEL, agent.question(ident, command)):
            self._lose()

        def see(event: Event) -> agent.Answer | None:
            self._see(event)
            if event.source != agent.CHANNEL or not agent.is_answer(ident, event.line):
                return None
            return agent.answer(event.line or "")

        answer = self._wait_aside(see, deadline)
        if answer is None:
            silent = self.console.quiet(deadline, self.patience.whole, f"'{command}' in L1")
            raise HostLost(placed(silent, self.look() if look else None))
        return answer
