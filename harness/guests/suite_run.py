# SPDX-License-Identifier: GPL-2.0-only
"""One pass of a suite in a guest: its results as they come, and how the guest ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.base.deadline import Deadline
from harness.base.text import clean
from harness.hosts.l1.host import LAST_WORDS, MONITOR, GuestDied, L1Host, vmm_exit, vmm_failure
from harness.hosts.qemu.channel import Event
from harness.hosts.qemu.process import QemuProcess
from harness.results.failure_kinds import FailureKind
from harness.results.records import Failure
from harness.suites.facts import Device, End, Fact, HostAction
from harness.suites.failures import classify
from harness.suites.failures.guest_log import GuestLog
from harness.suites.ktap import Parser

if TYPE_CHECKING:
    from harness.guests.audit.run_audit import RunAudit

FACT = "# s2eval: "
END = f"{FACT}end"
VMM_TOLD = re.compile(r"^s2eval: vmm-(pid|exit) (\d+)$")  # by the shell that runs it
LAST_LINES = 0.3  # seconds for what was said before a guest's end and is still on its way
ANSWER = 10.0  # seconds for L1 to say that it lives
ACTION = 20.0  # seconds for a script of the suite in L1; the guest waits longer
ANSWER_LENGTH = 200  # characters of it that the guest is told
RESULTS_LIMIT = 16 * 2**20  # characters; a suite that says more is out of its mind


@dataclass
class SuiteRun:
    """What the guest `where` reported (`lines` of KTAP), and why it ended early, if it did.

    `log` is the file with the lines, in the cell's folder.
    """

    where: str
    log: str
    lines: list[str] = field(default_factory=list)
    failure: Failure | None = None
    ended: bool = False
    size: int = 0

    def take(self, line: str) -> bool:
        """Keep a line; the empty ones that drain the port after the end say nothing.

        False when the suite has said more than anybody could want to know.
        """
        self.size += len(line) + 1
        if self.size > RESULTS_LIMIT:
            summary = f"the suite said more than {RESULTS_LIMIT >> 20} MiB"
            self.failure = Failure(
                kind=FailureKind.FLOOD, summary=summary, where=self.where, log=self.log
            )
            return False
        if not self.ended or line.strip():
            self.lines.append(line)
        self.ended = self.ended or line == END
        return True


class FlatRun:
    """A suite in a guest of this machine's own QEMU."""

    def __init__(self, qemu: QemuProcess, silence: float) -> None:
        self.qemu = qemu
        self.silence = silence
        self.console = GuestLog("L1", "console.log")
        self.run = SuiteRun("L1", "results.log")

    def finish(self, deadline: Deadline) -> SuiteRun:
        """Wait for the end of the suite or of the guest."""
        if self.qemu.wait(self._see, deadline, self.silence) is None:
            quiet = self.console.quiet(deadline, self.silence, "the suite")
            self.run.failure = self.console.failure() or quiet
        return self.run

    def _see(self, event: Event) -> bool | None:
        if event.source == "qemu":
            early = None if self.run.ended else vmm_exit(self.qemu)
            self.run.failure = self.console.failure() or early
            return True
        if event.source == "results" and event.line is not None and not self.run.take(event.line):
            return True
        if event.source == "console" and event.line is not None:
            found = self.console.feed(event.line)
            if found and found.effect == "ends":
                self.qemu.wait(self._last_words, Deadline(LAST_WORDS))
                self.run.failure = self.console.failure()
                return True
        return None

    def _last_words(self, event: Event) -> bool | None:
        """What is on its way when the guest is lost: results, and the trace."""
        if event.source == "results" and event.line is not None:
            self.run.take(event.line)
        elif event.source == "console" and event.line is not None:
            self.console.feed(event.line)
        return True if event.source == "qemu" else None


class NestedRun:
    """A suite in L2, on a host under test that is an L1 guest."""

    def __init__(
        self, host: L1Host, audit: RunAudit, actions: Mapping[str, str] | None = None
    ) -> None:
        """`actions`: shell scripts for L1 by the names that the suite's requests use."""
        self.host = host
        self._actions = actions or {}
        self._bdf = ""
        self._started = False
        self._pid = 0  # of the VMM in L1
        self._status: int | None = None  # the VMM's, when it has ended
        self.run = SuiteRun("L2", "l2.results.log")
        self.console = GuestLog("L2", "l2.console.log")
        self.vmm = GuestLog("VMM", "l2.vmm.log", source="vmm")
        self._audit = audit
        self._parser = Parser()

    def start(self, command: str, bdf: str, deadline: Deadline) -> None:
        """Start L2's VMM in L1, with the device `bdf`; it runs on while its results are read."""
        vmm = f'{command} & echo "s2eval: vmm-pid $!"; wait $!'
        told = 'code=$?; echo; echo "s2eval: vmm-exit $code"'
        self.host.run(f"({vmm}; {told}) > /run/ports/l2.vmm 2>&1 &", deadline).check()
        self.adopt(bdf, deadline)

    def adopt(self, bdf: str, deadline: Deadline) -> None:
        """L2's VMM runs in L1, with the device `bdf`."""
        self._bdf = bdf
        self._started = True
        resources = self.host.read(f"/sys/bus/pci/devices/{bdf}/resource", deadline)
        self._audit.host_resources(resources)

    def ready(self, deadline: Deadline) -> bool:
        """Wait until a VMM that has a monitor could let its guest begin; False when it does not."""

        def see(event: Event) -> bool | None:
            self._take(event)
            if self._gone:
                return False
            return True if event.source == MONITOR and '"return"' in (event.line or "") else None

        self.host.qemu.send(MONITOR, '{"execute": "qmp_capabilities"}\n')
        return bool(self.host.qemu.wait(see, deadline))

    def begin(self) -> None:
        """Let the guest of such a VMM begin."""
        self.host.qemu.send(MONITOR, '{"execute": "cont"}\n')

    def stop(self, deadline: Deadline) -> bool:
        """End an L2 that is still there, paused or hanging; False when it cannot be ended."""
        if not self._gone:
            if self._pid:  # the shell that starts it has come that far
                self.host.run(f"kill -9 {self._pid}", deadline)
            self.host.qemu.wait(self._take_until_gone, deadline)
        return self._gone

    @property
    def _gone(self) -> bool:
        return not self._started or self._status is not None

    def finish(self, deadline: Deadline) -> SuiteRun:
        """Wait for the end of L2. GuestDied only when L1 died; L2's death is in the result."""
        if self.host.qemu.wait(self._see, deadline, self.host.silence) is None:
            self.run.failure = self._cause(None) or self._quiet(deadline)
        return self.run

    def lost(self, died: GuestDied) -> SuiteRun:
        """L1 died and took L2 along: what L2 had said is kept."""
        self.host.qemu.wait(self._take_rest, Deadline(LAST_LINES))
        self.run.failure = died.failure
        return self.run

    def _quiet(self, deadline: Deadline) -> Failure:
        """Nothing came: L1's fault when it does not answer any more."""
        quiet = self.console.quiet(deadline, self.host.silence, "the suite in L2")
        if self.host.answers(Deadline(ANSWER, within=self.host.limit)):
            return quiet
        return self.host.console.failure() or self.host.console.silence(self.host.silence)

    def _see(self, event: Event) -> bool | None:
        self._take(event)
        line = event.line
        if line is None:
            return None
        if self.run.failure:
            return True
        if self._status is not None:
            if not self.run.ended:  # channels are read apart: the last results may come later
                self.host.qemu.wait(self._take_until_end, Deadline(LAST_LINES))
            self.host.qemu.wait(self._take, Deadline(LAST_LINES), silence=0)
            self.run.failure = self._cause(self._status)
            return True
        if event.source == "l2.vmm" and classify.vmm([line], None):
            # The VMM stays, paused. KVM's reason comes on L1's console at about the same time.
            self.host.qemu.wait(self._take, Deadline(LAST_LINES))
            self.run.failure = self._cause(None)
            return True
        if event.source == "l2.results" and FACT in line:  # the rest is parsed when there is time
            for fact in self._parser.line(line):
                self._answer(fact)
        return None

    def _answer(self, fact: Fact) -> None:
        """Do what the suite asks for, if it does."""
        if isinstance(fact, Device):  # before the first audit, and the guest goes on meanwhile
            maps = f"/proc/{self._pid}/maps"
            self._audit.vmm_maps(self.host.read(maps, Deadline(ACTION, within=self.host.limit)))
        if self._audit.see(fact):
            self.host.qemu.send("l2.results", "audited\n")
        elif isinstance(fact, HostAction):
            told = self._act(fact.action)
            self.host.qemu.send("l2.results", f"{told}hosted\n")
        elif isinstance(fact, End):
            self.host.qemu.send("l2.results", "ended\n")

    def _act(self, action: str) -> str:
        """Do in L1 what the suite asks for; the first line that it said, for the guest.

        What goes wrong becomes a line of the results.
        """
        script = self._actions.get(action)
        if script is None:
            self.run.lines.append(f"# s2eval: error command=host:{action} errno=ENOENT")
            return ""
        done = self.host.run(f"BDF={self._bdf}\n{script}", Deadline(ACTION, within=self.host.limit))
        words = [line for line in (done.out + done.err).splitlines() if line.strip()]
        self.run.lines += [f"# host {action}: {clean(line)}" for line in words]
        if done.status:
            self.run.lines.append(f"# s2eval: error command=host:{action} errno=exit-{done.status}")
        return f"{clean(words[0], ANSWER_LENGTH)}\n" if words else ""

    def _take(self, event: Event) -> None:
        """Keep a line where it belongs; GuestDied when it is the end of L1."""
        logs = {"l2.console": self.console, "l2.vmm": self.vmm}
        if event.source == "l2.results" and event.line is not None:
            self.run.take(event.line)
        elif event.source == "l2.vmm" and (told := VMM_TOLD.match(event.line or "")):
            if told[1] == "pid":
                self._pid = int(told[2])
            else:
                self._status = int(told[2])
        elif event.source in logs and event.line is not None:
            logs[event.source].feed(event.line)
        elif not event.source.startswith("l2."):
            self.host.see(event)

    def _take_rest(self, event: Event) -> bool | None:
        if event.source.startswith("l2."):
            self._take(event)
        return True if event.source == "qemu" else None

    def _take_until_gone(self, event: Event) -> bool | None:
        self._take(event)
        return self._gone or None

    def _take_until_end(self, event: Event) -> bool | None:
        self._take(event)
        return True if self.run.ended else None

    def _cause(self, status: int | None) -> Failure | None:
        """Why L2 ended, by its first cause: L1's and KVM's own words, L2's, the VMM's.

        `status` is the VMM's exit code, None while it is there. None when all went well.
        """
        words = [line for line in self.vmm.lines if line]
        vmm = vmm_failure(words, status, self.vmm.name)
        if status == 0 and not self.run.ended:
            early = "L2 powered off before its suite had ended"
            vmm = Failure(kind=FailureKind.VMM_EXIT, summary=early, where="VMM", log=self.vmm.name)
        return classify.first_cause(self.host.console.failure(), self.console.failure(), vmm)
