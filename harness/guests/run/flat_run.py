# SPDX-License-Identifier: GPL-2.0-only
"""A suite in a guest of QEMU on this computer: no host under test, no KVM."""

from __future__ import annotations

from harness.base.deadline import Deadline
from harness.guests.run.suite_run import SuiteRun
from harness.hosts.events import Event
from harness.hosts.hang.patience import Look, Patience, placed, quiet
from harness.hosts.qemu.process import QemuProcess
from harness.suites.failures.guest_log import GuestLog

STREAMS = ["console", "results", "kmsg"]
DYING_SECONDS = 2.0  # for a dying guest to finish its trace


class FlatRun:
    """One pass of a suite in the guest that `qemu` runs; `look` says where its CPUs are."""

    def __init__(self, qemu: QemuProcess, patience: Patience, look: Look) -> None:
        self.qemu = qemu
        self.patience = patience
        self._look = look
        self.console = GuestLog("L1", "console.log")
        self.run = SuiteRun("L1", "results.log")

    def finish(self, deadline: Deadline) -> SuiteRun:
        """Wait for the end of the suite or of the guest; return what it reported."""
        waited = self.patience.wait(
            lambda silence: self.qemu.wait(self._see, deadline, silence), deadline, self._look
        )
        if waited.answer is None:
            cause = self.console.failure()
            silent = quiet(self.console, deadline, waited, "the suite")
            self.run.failure = placed(cause, waited.place) if cause else silent
        return self.run

    def _see(self, event: Event) -> bool | None:
        if event.source == "qemu":
            early = None if self.run.ended else self.qemu.why_ended()
            self.run.failure = self.console.failure() or early
            return True
        if event.source == "results" and event.line is not None and not self.run.take(event.line):
            return True
        if event.source == "console" and event.line is not None:
            failure_class = self.console.feed(event.line)
            if failure_class and failure_class.effect == "ends":
                self.qemu.wait(self._take_until_exit, Deadline(DYING_SECONDS))
                failure = self.console.failure()
                if failure and failure.kind.lockup:
                    failure = placed(failure, self._look())
                self.run.failure = failure
                return True
        return None

    def _take_until_exit(self, event: Event) -> bool | None:
        """Keep results and the trace that are in transit when the guest is lost."""
        if event.source == "results" and event.line is not None:
            self.run.take(event.line)
        elif event.source == "console" and event.line is not None:
            self.console.feed(event.line)
        return True if event.source == "qemu" else None
