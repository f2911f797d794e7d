# SPDX-License-Identifier: GPL-2.0-only
"""One pass of a suite in a guest: its results as they come, and how the guest ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.deadline import Deadline
from harness.guest import classify
from harness.guest.channel import Event
from harness.guest.classify import FailureClass
from harness.guest.host import LAST_WORDS, GuestDied, L1Host, vmm_exit
from harness.guest.log import GuestLog
from harness.guest.qemu import QemuProcess
from harness.guest.run_audit import RunAudit
from harness.probe.ktap import Parser
from harness.results.records import Failure

END = "# s2eval: end"
VMM_EXIT = "s2eval: vmm-exit "
LAST_LINES = 0.3  # seconds for what was said before a guest's end and is still on its way


@dataclass
class SuiteRun:
    """What a guest reported (`lines` of KTAP) and why it ended early, if it did."""

    lines: list[str] = field(default_factory=list)
    failure: Failure | None = None
    ended: bool = False

    def take(self, line: str) -> None:
        """Keep a line; the empty ones that drain the port after the end say nothing."""
        if not self.ended or line.strip():
            self.lines.append(line)
        self.ended = self.ended or line == END


class FlatRun:
    """A suite in a guest of this machine's own QEMU."""

    def __init__(self, qemu: QemuProcess, silence: float) -> None:
        self.qemu = qemu
        self.silence = silence
        self.console = GuestLog("L1", "console.log")
        self.run = SuiteRun()

    def finish(self, deadline: Deadline) -> SuiteRun:
        """Wait for the end of the suite or of the guest."""
        if self.qemu.wait(self._see, deadline, self.silence) is None:
            quiet = self.console.quiet(deadline, self.silence, "the suite")
            self.run.failure = self.console.failure() or quiet
        return self.run

    def _see(self, event: Event) -> bool | None:
        if event.source == "qemu":
            self.qemu.wait(self._rest, Deadline(LAST_WORDS))
            if not self.run.ended:
                self.run.failure = self.console.failure() or vmm_exit(self.qemu)
            return True
        found = self._take(event)
        if found and found.effect == "ends":
            self.qemu.wait(self._rest, Deadline(LAST_WORDS))
            self.run.failure = self.console.failure()
            return True
        return None

    def _take(self, event: Event) -> FailureClass | None:
        if event.source == "results" and event.line is not None:
            self.run.take(event.line)
        elif event.source == "console" and event.line is not None:
            return self.console.feed(event.line)
        return None

    def _rest(self, event: Event) -> bool | None:
        """What QEMU had sent before it ended: until the results are closed."""
        self._take(event)
        return True if event.source == "results" and event.line is None else None


class NestedRun:
    """A suite in L2, on a host under test that is an L1 guest."""

    def __init__(self, host: L1Host, audit: RunAudit) -> None:
        self.host = host
        self.run = SuiteRun()
        self.console = GuestLog("L2", "l2.console.log")
        self.vmm = GuestLog("VMM", "l2.vmm.log", source="vmm")
        self._audit = audit
        self._parser = Parser()
        self._pid = ""

    def start(self, command: str, bdf: str, deadline: Deadline) -> None:
        """Start L2's VMM in L1, with the device `bdf`; it runs on while its results are read."""
        vmm = f"({command}; echo '{VMM_EXIT}'$?) > /run/ports/l2.vmm 2>&1 & echo $!"
        resources = f"cat /sys/bus/pci/devices/{bdf}/resource"
        out = self.host.run(f"{vmm}\n{resources}", deadline).check().out
        self._pid, _, bars = out.partition("\n")
        self._audit.host_resources(bars)

    def finish(self, deadline: Deadline) -> SuiteRun:
        """Wait for the end of L2. GuestDied only when L1 died; L2's death is in the result."""
        if self.host.qemu.wait(self._see, deadline, self.host.silence) is None:
            quiet = self.console.quiet(deadline, self.host.silence, "the suite in L2")
            self.run.failure = self._death(None) or quiet
        self._end_vmm()
        return self.run

    def _see(self, event: Event) -> bool | None:
        self._take(event)
        line = event.line
        if line is None:
            return None
        if event.source == "l2.vmm" and line.startswith(VMM_EXIT):
            self._pid = ""
            if not self.run.ended:  # channels are read apart: the last results may come later
                self.host.qemu.wait(self._take_until_end, Deadline(LAST_LINES))
            if not self.run.ended:
                self.run.failure = self._death(int(line.removeprefix(VMM_EXIT)))
            return True
        if event.source == "l2.vmm" and classify.vmm([line], None):
            # The VMM stays, paused. KVM's reason comes on L1's console at about the same time.
            self.host.qemu.wait(self._take, Deadline(LAST_LINES))
            self.run.failure = self._death(None)
            return True
        if event.source == "l2.results":
            for fact in self._parser.line(line):
                if self._audit.see(fact):
                    self.host.qemu.send("l2.results", "audited\n")
        return None

    def _take(self, event: Event) -> None:
        """Keep a line where it belongs; GuestDied when it is the end of L1."""
        logs = {"l2.console": self.console, "l2.vmm": self.vmm}
        if event.source == "l2.results" and event.line is not None:
            self.run.take(event.line)
        elif event.source in logs and event.line is not None:
            logs[event.source].feed(event.line)
        else:
            self.host.see(event)

    def _take_until_end(self, event: Event) -> bool | None:
        self._take(event)
        return True if self.run.ended else None

    def _death(self, status: int | None) -> Failure | None:
        """L2's end by its first cause: its own console, KVM's words in L1, the VMM's."""
        words = [line for line in self.vmm.lines if not line.startswith(VMM_EXIT)]
        kvm = self.host.console.failure() if self.host.kvm_error else None
        vmm = classify.vmm(words, status, log=self.vmm.name)
        if status == 0:
            vmm = Failure(
                kind="vmm-exit",
                summary="L2 powered off before its suite had ended",
                excerpt=words[-20:],
                where="VMM",
                log=self.vmm.name,
            )
        return classify.first_cause(self.console.failure(), kvm, vmm)

    def _end_vmm(self) -> None:
        """Kill a VMM that is paused or hangs, so that the device is free for the next guest."""
        if not self._pid:
            return
        try:
            self.host.run("kill -9 $(pidof qemu-system-aarch64)", Deadline(5))
        except GuestDied as died:
            self.run.failure = self.run.failure or died.failure
        self._pid = ""
