# SPDX-License-Identifier: GPL-2.0-only
"""A suite in a guest of QEMU on this computer: no host under test, no KVM."""

from __future__ import annotations

from harness.base.deadline import Deadline
from harness.guests.run.suite_run import SuiteRun
from harness.hosts.events import Event
from harness.hosts.qemu.process import QemuProcess
from harness.suites.failures.guest_log import GuestLog

STREAMS = ["console", "results", "kmsg"]
DYING_SECONDS = 2.0  # for a dying guest to finish its trace


class FlatRun:
    """One pass of a suite in the guest that `qemu` runs."""

    def __init__(self, qemu: QemuProcess, silence: float) -> None:
        self.qemu = qemu
        self.silence = silence
        self.console = GuestLog("L1", "console.log")
        self.run = SuiteRun("L1", "results.log")

    def finish(self, deadline: Deadline) -> SuiteRun:
        """Wait for the end of the suite or of the guest; return what it reported."""
        if self.qemu.wait(self._see, deadline, self.silence) is None:
            quiet = self.console.quiet(deadline, self.silence, "the suite")
            self.run.failure = self.console.failure() or quiet
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
                self.run.failure = self.console.failure()
                return True
        return None

    def _take_until_exit(self, event: Event) -> bool | None:
        """Keep results and the trace that are in transit when the guest is lost."""
        if event.source == "results" and event.line is not None:
            self.run.take(event.line)
        elif event.source == "console" and event.line is not None:
            self.console.feed(event.line)
        return True if event.source == "qemu" else None
