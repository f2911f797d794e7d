# SPDX-License-Identifier: GPL-2.0-only
"""One pass of a suite in L2, a guest that a VMM runs on a host under test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.text import clean
from harness.guests.audit.run_audit import BARS, MAPPINGS, RunAudit
from harness.guests.run.suite_run import FACT, SuiteRun
from harness.guests.vmm.vmm import CONSOLE, MONITOR, RESULTS, VMM_OUTPUT, Vmm
from harness.hosts.events import Event
from harness.hosts.hang.patience import Waited, placed, quiet
from harness.hosts.host import Host, HostLost, Job
from harness.results.failure_kinds import FailureKind
from harness.results.places import CpuState, Place
from harness.results.records import Failure
from harness.suites.facts import Device, End, Fact, HostAction
from harness.suites.failures import classify
from harness.suites.failures.guest_log import GuestLog
from harness.suites.ktap import Parser

LAST_LINES = 0.3  # seconds for lines in transit at a guest's end
ANSWER = 10.0  # seconds for the host to answer a command
KNOWN_ANSWER = 3.0  # where its CPUs have been seen: whether it answers says only who hangs
ACTION = 20.0  # seconds for a script of the suite on the host; the guest waits longer
# Only kernels from 6.12 on have it (arch/arm64/kvm/ptdump.c).
_DUMP = """
[ -d /sys/kernel/debug/kvm ] || mount -t debugfs debugfs /sys/kernel/debug
cat /sys/kernel/debug/kvm/@pid-*/stage2_page_tables
"""
ANSWER_LENGTH = 200  # characters of a script's first line that are sent to the guest


class NestedRun:
    """A suite in the guest that `vmm` runs on `host`.

    `actions` are shell scripts for the host by the names that the suite's requests use, `limit`
    is the limit of the whole cell. Methods that wait for the host raise HostLost when it dies.
    """

    def __init__(
        self,
        host: Host,
        vmm: Vmm,
        audit: RunAudit,
        actions: Mapping[str, str] | None = None,
        limit: Deadline | None = None,
    ) -> None:
        self.run = SuiteRun("L2", f"{RESULTS}.log")
        self.console = GuestLog("L2", f"{CONSOLE}.log")
        self.vmm_log = GuestLog("VMM", f"{VMM_OUTPUT}.log", source=vmm.source)
        self._host = host
        self._vmm = vmm
        self._audit = audit
        self._actions = actions or {}
        self._limit = limit
        self._job: Job | None = None  # the VMM
        self._parser = Parser()
        self._has_dump = True

    def start(self, command: str, deadline: Deadline) -> None:
        """Start the VMM on the host, without waiting for its end.

        Raise MachineError when it cannot be started.
        """
        self.adopt(self._host.start(command, VMM_OUTPUT, deadline), deadline)

    def adopt(self, job: Job, deadline: Deadline) -> None:
        """Watch the VMM `job`, which runs on the host already."""
        self._job = job
        path = f"/sys/bus/pci/devices/{self._host.bdf}/resource"
        try:
            self._audit.host_resources(self._host.read(path, deadline).decode(errors="replace"))
        except MachineError as error:
            self._audit.lacks(BARS, str(error))

    def ready(self, deadline: Deadline) -> bool:
        """Wait until the VMM could let its guest begin. Return False when that cannot be."""
        monitor = self._vmm.monitor
        if monitor is None:
            return False

        def see(event: Event) -> bool | None:
            self._take(event)
            if self._gone:
                return False
            return True if event.source == MONITOR and monitor.ready(event.line or "") else None

        self._host.send(MONITOR, monitor.hello)
        return bool(self._host.wait(see, deadline))

    def begin(self) -> None:
        """Tell a VMM that waits to let its guest begin."""
        if self._vmm.monitor:
            self._host.send(MONITOR, self._vmm.monitor.go)

    def stop(self, deadline: Deadline) -> bool:
        """End a guest that still runs, paused or hanging. Return False when it cannot be ended."""
        if self._job and not self._gone:
            if self._job.pid:  # the shell has started the VMM
                self._host.run(f"kill -9 {self._job.pid}", deadline)
            self._host.wait(self._take_until_gone, deadline)
        return self._gone

    @property
    def _gone(self) -> bool:
        return self._job is None or self._job.status is not None

    def finish(self, deadline: Deadline) -> SuiteRun:
        """Wait for the end of the guest; return what it reported.

        Raise HostLost only when the host died; the guest's death is in the result.
        """
        waited = self._host.patience.wait(
            lambda silence: self._host.wait(self._see, deadline, silence), deadline, self._look
        )
        if waited.answer is None:
            cause = self._cause(None)
            known = placed(cause, waited.place) if cause else None
            self.run.failure = known or self._quiet(deadline, waited)
        return self.run

    def lost(self, lost: HostLost) -> SuiteRun:
        """Return what the guest had reported when its host was lost, with the host's failure."""
        self._host.drain(self._take, Deadline(LAST_LINES))
        known = self.run.failure
        # A host that hangs does not answer when its guest is to be ended either.
        if known is None or not lost.failure.kind.symptom:
            self.run.failure = lost.failure
        return self.run

    def _look(self) -> Place | None:
        self._audit.release()  # QEMU's gdb stub serves one at a time
        return self._host.look()

    def _quiet(self, deadline: Deadline, waited: Waited[bool]) -> Failure:
        """Return the failure of a guest gone silent; the host's when the host does not answer."""
        patience = ANSWER if waited.place is None else KNOWN_ANSWER
        if self._host.answers(Deadline(patience, within=self._limit)):
            waited = replace(waited, place=_of_guest(waited.place))
            return quiet(self.console, deadline, waited, "the suite in L2")
        silent = self._host.console.silence(waited.silence)
        return placed(self._host.console.failure() or silent, waited.place)

    def _see(self, event: Event) -> bool | None:
        self._take(event)
        line = event.line
        if line is None:
            return None
        if self.run.failure:
            return True
        if self._job and self._job.status is not None:
            if not self.run.ended:  # channels have a reader each: the last results may come later
                self._host.wait(self._take_until_end, Deadline(LAST_LINES))
            self._host.wait(self._take, Deadline(LAST_LINES), silence=0)
            self.run.failure = self._cause(self._job.status)
            return True
        if event.source == VMM_OUTPUT and self._vmm.gave_up(line):
            # The VMM stays. KVM's reason comes on the host's console at about the same time.
            self._host.wait(self._take, Deadline(LAST_LINES))
            self.run.failure = self._cause(None)
            return True
        if event.source == RESULTS and FACT in line:  # all other lines are parsed after the run
            for fact in self._parser.line(line):
                self._answer(fact)
        return None

    def _answer(self, fact: Fact) -> None:
        """Carry out and answer a request of the suite, if `fact` is one."""
        if isinstance(fact, Device):  # before the first audit, and the guest goes on meanwhile
            self._read_maps()
        if self._audit.see(fact):
            self._read_dump()
            self._host.send(RESULTS, "audited\n")
        elif isinstance(fact, HostAction):
            line = self._act(fact.action)
            self._host.send(RESULTS, f"{line}hosted\n")
        elif isinstance(fact, End):
            self._host.send(RESULTS, "ended\n")

    def _read_maps(self) -> None:
        path = f"/proc/{self._job.pid if self._job else 0}/maps"
        try:
            maps = self._host.read(path, Deadline(ACTION, within=self._limit))
        except MachineError as error:
            self._audit.lacks(MAPPINGS, str(error))
        else:
            self._audit.vmm_maps(maps.decode(errors="replace"))

    def _read_dump(self) -> None:
        """Hand KVM's own dump of stage 2 to the audit, as long as the kernel has one."""
        if self._has_dump and self._job and self._audit.census:
            script = _DUMP.replace("@pid", str(self._job.pid))
            done = self._host.run(script, Deadline(ACTION, within=self._limit))
            self._has_dump = not done.status
            if self._has_dump:
                self._audit.dumped(done.out)

    def _act(self, action: str) -> str:
        """Run a script of the suite on the host; return its first line of output, for the guest.

        An unknown script and one that fails become error lines of the results.
        """
        script = self._actions.get(action)
        if script is None:
            self.run.lines.append(f"# s2eval: error command=host:{action} errno=ENOENT")
            return ""
        done = self._host.run(
            f"BDF={self._host.bdf}\n{script}", Deadline(ACTION, within=self._limit)
        )
        lines = [line for line in (done.out + done.err).splitlines() if line.strip()]
        self.run.lines += [f"# host {action}: {clean(line)}" for line in lines]
        if done.status:
            self.run.lines.append(f"# s2eval: error command=host:{action} errno=exit-{done.status}")
        return f"{clean(lines[0], ANSWER_LENGTH)}\n" if lines else ""

    def _take(self, event: Event) -> None:
        """Append a line to the results or the log of its source."""
        if event.line is None:
            return
        if event.source == RESULTS:
            self.run.take(event.line)
        elif event.source == CONSOLE:
            self.console.feed(event.line)
        elif event.source == VMM_OUTPUT:
            self.vmm_log.feed(event.line)

    def _take_until_gone(self, event: Event) -> bool | None:
        self._take(event)
        return self._gone or None

    def _take_until_end(self, event: Event) -> bool | None:
        self._take(event)
        return True if self.run.ended else None

    def _cause(self, status: int | None) -> Failure | None:
        """Return the first cause of the guest's end, from the logs of host, guest and VMM.

        `status` is the VMM's exit code, None while it runs. Return None when all went well.
        """
        lines = [line for line in self.vmm_log.lines if line]
        vmm = self._vmm.failure(lines, status, self.vmm_log.name)
        if status == 0 and not self.run.ended:
            early = "L2 powered off before its suite had ended"
            vmm = Failure(
                kind=FailureKind.VMM_EXIT, summary=early, where="VMM", log=self.vmm_log.name
            )
        return classify.first_cause(self._host.console.failure(), self.console.failure(), vmm)


def _of_guest(place: Place | None) -> Place | None:
    """Return the place of a silent guest whose host answers: a host that is idle waits for it."""
    if place is None or place.state is not CpuState.IDLE or place.function:
        return place
    return place.model_copy(update={"where": "L2"})
