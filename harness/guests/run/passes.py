# SPDX-License-Identifier: GPL-2.0-only
"""The guests of one cell on a host under test, until a guest ends well or no more are allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.guests.audit.run_audit import RunAudit
from harness.guests.run.nested_run import NestedRun
from harness.guests.run.suite_run import PostChecks, SuiteOutcome, SuitePass, SuiteRun, suite_limit
from harness.guests.vmm.vmm import APPEND, VMM_OUTPUT, GuestSpec, Vmm, guest_script
from harness.hosts.host import Host, HostLost, Snapshot
from harness.hosts.machines.machine import Machine
from harness.results.phases import PhaseName
from harness.results.records import Failure
from harness.suites.suite import Suite

ANSWER = 10.0  # seconds for a host to answer a command, also when it has been restored
LEAKS = "/sys/kernel/debug/kmemleak"
# Tells the host's log of what was lost since its boot: what is older than 5 s, and what two scans
# find without a reference, and unchanged (mm/kmemleak.c).
LOOK_FOR_LEAKS = f"""
echo 1 > /sys/module/kmemleak/parameters/verbose
sleep 6
echo scan > {LEAKS}
echo scan > {LEAKS}
"""
LEAK_SCAN = 60.0  # seconds for all of it


@dataclass(frozen=True)
class GuestImages:
    """The images that the guests of a cell boot: a kernel, and an initramfs with the suite."""

    kernel: Path
    archive: Path

    def files(self) -> dict[str, Path]:
        """Return the images by the names that they have on the host."""
        return {"Image": self.kernel, "initrd": self.archive}


class SuitePasses:
    """Runs one suite on `host`; `usable` while nothing has harmed the host.

    `step` is called with each phase that begins. `snapshot` belongs to a host that is saved while
    its first guest's VMM waits, or was restored so. `limit` is the limit of the cell.
    """

    def __init__(
        self,
        host: Host,
        vmm: Vmm,
        machine: Machine,
        images: GuestImages,
        step: Callable[[PhaseName], None],
        snapshot: Snapshot | None = None,
        limit: Deadline | None = None,
    ) -> None:
        self.usable = True
        self._host = host
        self._vmm = vmm
        self._machine = machine
        self._images = images
        self._step = step
        self._snapshot = snapshot
        self._limit = limit
        self._harm: Failure | None = None

    def run(self, suite: Suite, audit: RunAudit) -> SuiteOutcome:
        """Run the suite's guests and return all passes; a lost host is the last pass's failure.

        Raise MachineError when a guest cannot be started or the host cannot be saved.
        """
        outcome = SuiteOutcome()
        actions = _actions(suite)
        resume = ""
        while True:
            run = self._run_guest(self._nested(audit, actions), suite, resume)
            outcome.passes.append(SuitePass(run, self._host.device_memory()))
            test = _last_begun(run)
            if not (self.usable and run.failure and len(outcome.passes) < suite.guests):
                break
            if test in ("", resume):  # a new guest would only die there again
                break
            resume = test
            self._host.new_log()
        if suite.destructive and self.usable and test and len(outcome.passes) == 1:
            # The guest survived: a new guest without tests shows whether the device did too.
            run = self._run_guest(self._nested(audit, {}), suite, test)
            outcome.passes.append(SuitePass(run, self._host.device_memory()))
        if suite.destructive or len(outcome.passes) > 1:
            outcome.checks = self._check(outcome.passes)
        if self.usable:
            self._look_for_leaks(outcome.passes[-1].run)
        # A host that was or may be harmed must not influence the next suite.
        self.usable = self.usable and not suite.destructive
        return outcome

    def _nested(self, audit: RunAudit, actions: Mapping[str, str]) -> NestedRun:
        return NestedRun(self._host, self._vmm, audit, actions, self._limit)

    def _run_guest(self, nested: NestedRun, suite: Suite, resume: str) -> SuiteRun:
        limits = self._machine.limits
        try:
            self._step(PhaseName.START_L2)
            self._start(nested, resume, self._deadline(limits.boot))
            self._step(PhaseName.PROBE)
            seconds, key = suite_limit(suite, self._machine)
            run = nested.finish(Deadline(seconds, within=self._limit, key=key))
            if run.failure and run.failure.kind.timeout and run.failure.where == self._host.name:
                self.usable = False  # it does not answer: nothing can be asked of it any more
                return run
            gone = nested.stop(self._deadline(ANSWER))
            self._harm = self._harm or self._host.harm()
            self.usable = gone and self._harm is None
            return run
        except HostLost as lost:
            self.usable = False
            return nested.lost(lost)

    def _start(self, nested: NestedRun, resume: str, deadline: Deadline) -> None:
        """Start a guest, or let a restored host's guest begin; save the host if that is due."""
        snapshot = self._snapshot
        if snapshot is None or not snapshot.pending:
            nested.start(self._put_script(resume, paused=False), deadline)
        elif snapshot.restored:
            nested.adopt(snapshot.wake(VMM_OUTPUT, self._deadline(ANSWER)), deadline)
            nested.begin()
        else:
            nested.start(self._put_script(resume, paused=True), deadline)
            if nested.ready(deadline):
                snapshot.take(deadline)
                nested.begin()
            else:
                snapshot.skip()

    def _put_script(self, resume: str, *, paused: bool) -> str:
        """Copy the images and the start script to the host; return the command for the script."""
        paths = self._host.put(self._images.files())
        append = f"{APPEND} s2eval.after={resume}" if resume else APPEND
        spec = GuestSpec(
            self._machine,
            paths["Image"],
            paths["initrd"],
            append,
            self._vmm.port,
            paused=paused,
        )
        script = self._host.put({"l2": guest_script(self._vmm, spec)})
        return f". {script['l2']}"

    def _deadline(self, seconds: float) -> Deadline:
        return Deadline(seconds, within=self._limit)

    def _look_for_leaks(self, run: SuiteRun) -> None:
        """Have a host whose kernel has kmemleak look for what the guests made it lose.

        A host that dies of that is the failure of `run`, the last one.
        """
        try:
            self._host.read(LEAKS, self._deadline(ANSWER))
            self._host.run(LOOK_FOR_LEAKS, self._deadline(LEAK_SCAN))
        except MachineError:  # no kmemleak, or no debugfs
            return
        except HostLost as lost:
            self.usable = False
            run.failure = run.failure or lost.failure

    def _check(self, passes: list[SuitePass]) -> PostChecks:
        answers = self._host.answers(self._deadline(ANSWER))
        device = bool(passes[-1].run.lines) if len(passes) > 1 else None
        return PostChecks(answers, self._harm or self._host.harm(), device)


def _actions(suite: Suite) -> Mapping[str, str]:
    """Return the suite's scripts for the host, host/NAME.sh, by their names."""
    return {path.stem: path.read_text() for path in sorted(suite.folder.glob("host/*.sh"))}


def _last_begun(run: SuiteRun) -> str:
    """Return the test that the guest announced last; "" when it announced none."""
    # A flat guest has none of these: it starts 15 ms earlier without them.
    from harness.suites.facts import Begin  # noqa: PLC0415
    from harness.suites.ktap import parse_lines  # noqa: PLC0415

    begun = [fact.test for fact in parse_lines(run.lines).facts if isinstance(fact, Begin)]
    return begun[-1] if begun else ""
