# SPDX-License-Identifier: GPL-2.0-only
"""One pass of a suite on the host under test itself, whose programs may run VMs of their own."""

from __future__ import annotations

from harness.base.deadline import Deadline
from harness.guests.audit.leaf import LeafAudit
from harness.guests.run.suite_run import FACT, SuiteRun
from harness.hosts.events import Event
from harness.hosts.hang.patience import Waited, placed, quiet
from harness.hosts.host import Host, HostLost, Job
from harness.results.failure_kinds import FailureKind
from harness.results.places import Place
from harness.results.records import Failure
from harness.suites.facts import Audit, End
from harness.suites.failures.guest_log import GuestLog
from harness.suites.ktap import Parser

RESULTS, OUTPUT = "results", "suite"  # the host's channels; the second has what is no result
STREAMS = (RESULTS, OUTPUT)
LAST_LINES = 0.3  # seconds for lines in transit at the suite's end
ANSWER = 10.0  # seconds for the host to answer a command


class HostRun:
    """A suite on `host`, with an answer to each of its requests to read a VM's page tables.

    Methods that wait for the host raise HostLost when it dies.
    """

    def __init__(self, host: Host, audit: LeafAudit) -> None:
        self.run = SuiteRun(host.name, f"{RESULTS}.log")
        self._output = GuestLog(host.name, f"{OUTPUT}.log")
        self._host = host
        self._audit = audit
        self._job: Job | None = None
        self._parser = Parser()

    def start(self, archive: str, deadline: Deadline) -> None:
        """Unpack `archive`, an initramfs with the suite, on the host, and start its init there.

        Raise MachineError when that cannot be started.
        """
        script = self._host.put({"begin": begin_script(archive)})
        self._job = self._host.start(f". {script['begin']}", OUTPUT, deadline)

    def finish(self, deadline: Deadline) -> SuiteRun:
        """Wait for the suite's end; return what it reported. Raise HostLost when the host dies."""
        waited = self._host.patience.wait(
            lambda silence: self._host.wait(self._see, deadline, silence), deadline, self._look
        )
        if waited.answer is None:
            self.run.failure = self.run.failure or self._quiet(deadline, waited)
        return self.run

    def lost(self, lost: HostLost) -> SuiteRun:
        """Return what the suite had reported when its host was lost, with the host's failure."""
        self._host.drain(self._take, Deadline(LAST_LINES))
        self.run.failure = lost.failure
        return self.run

    def _look(self) -> Place | None:
        self._audit.release()  # QEMU's gdb stub serves one at a time
        return self._host.look()

    def _quiet(self, deadline: Deadline, waited: Waited[bool]) -> Failure:
        """Return the failure of a suite gone silent; the host's when the host does not answer."""
        if self._host.answers(Deadline(ANSWER)):
            return quiet(self._output, deadline, waited, "the suite on the host")
        silent = self._host.console.silence(waited.silence)
        return placed(self._host.console.failure() or silent, waited.place)

    def _see(self, event: Event) -> bool | None:
        self._take(event)
        if self.run.failure:
            return True
        if self._job and self._job.status is not None:
            self._host.wait(self._take, Deadline(LAST_LINES), silence=0)
            self.run.failure = self._early_end(self._job.status)
            return True
        if event.source == RESULTS and FACT in (event.line or ""):
            self._answer(event.line or "")
        return None

    def _answer(self, line: str) -> None:
        """Answer a request of the suite, if `line` is one."""
        for fact in self._parser.line(line):
            if isinstance(fact, Audit):
                self.run.lines += self._audit.lines(fact)
                self._host.send(RESULTS, "audited\n")
            elif isinstance(fact, End):
                self._host.send(RESULTS, "ended\n")

    def _early_end(self, status: int) -> Failure | None:
        if self.run.ended:
            return None
        last = next((line for line in reversed(self._output.lines) if line.strip()), "no message")
        summary = f"the suite ended early, with status {status}: {last}"
        return Failure(
            kind=FailureKind.VMM_EXIT, summary=summary, where=self.run.where, log=self._output.name
        )

    def _take(self, event: Event) -> None:
        """Append a line to the results, or to the suite's other output."""
        if event.line is None:
            return
        if event.source == RESULTS:
            self.run.take(event.line)
        elif event.source == OUTPUT:
            self._output.feed(event.line)


def begin_script(archive: str) -> str:
    """Return shell for the host that becomes the init of `archive`, in a root of its own."""
    return (
        f"mkdir -p /run/suite && cd /run/suite && busybox cpio -i < {archive} || exit 1\n"
        "exec busybox chroot . /init\n"
    )
