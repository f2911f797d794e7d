# SPDX-License-Identifier: GPL-2.0-only
"""The guests of one cell on a host under test, until one ends well or there may be no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.base.deadline import Deadline
from harness.guests.audit.run_audit import RunAudit
from harness.guests.run.nested_run import NestedRun
from harness.guests.run.suite_run import PostChecks, SuiteOutcome, SuitePass, SuiteRun
from harness.guests.vmm.vmm import APPEND, WORDS, GuestSpec, Vmm, guest_script
from harness.hosts.host import Host, HostLost, Snapshot
from harness.hosts.machines.machine import Machine
from harness.results.phases import PhaseName
from harness.results.records import Failure
from harness.suites.facts import Begin
from harness.suites.ktap import parse_lines
from harness.suites.suite import Suite

ANSWER = 10.0  # seconds for a host to say that it lives, also when it has been restored
SHARED = "/share"  # where the host has the first guest's files


@dataclass(frozen=True)
class GuestImages:
    """What the guests of a cell boot: the kernel, and an initramfs with the suite."""

    kernel: Path
    archive: Path

    def files(self) -> dict[str, Path]:
        """Return them by the names that they have on the host."""
        return {"Image": self.kernel, "initrd": self.archive}


def first_guest(machine: Machine, vmm: Vmm) -> str:
    """Return the script that starts the first guest of a host that is to be saved.

    Its text is a part of what a saved host is found by.
    """
    spec = GuestSpec(machine, f"{SHARED}/Image", f"{SHARED}/initrd", APPEND, vmm.port, paused=True)
    return guest_script(vmm, spec)


class SuitePasses:
    """Runs one suite on `host`; `usable` while nothing has hurt the host.

    `step` is told what begins. `snapshot` is that of a host that is saved while its first guest's
    VMM waits, or was restored so. `limit` is the cell's.
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
        """Run the suite's guests; a host that dies is in the last pass."""
        outcome = SuiteOutcome()
        actions = _actions(suite)
        resume = ""
        while True:
            run = self._run_guest(self._nested(audit, actions), suite, resume)
            outcome.passes.append(SuitePass(run, self._host.device_memory()))
            test = _last_begun(run)
            if not (self.usable and run.failure and len(outcome.passes) < suite.guests):
                break
            if test in ("", resume):  # it would only die there again
                break
            resume = test
            self._host.new_log()
        if suite.destructive and self.usable and test and len(outcome.passes) == 1:
            # It survived: a new guest, which finds nothing to do, shows that the device did too.
            run = self._run_guest(self._nested(audit, {}), suite, test)
            outcome.passes.append(SuitePass(run, self._host.device_memory()))
        if suite.destructive or len(outcome.passes) > 1:
            outcome.checks = self._check(outcome.passes)
        # What did harm, or may have, must not decide what the next suite sees.
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
            run = nested.finish(self._deadline(suite.limit * limits.slowdown))
            gone = nested.stop(self._deadline(ANSWER))
            self._harm = self._harm or self._host.harm()
            self.usable = gone and self._harm is None
            return run
        except HostLost as lost:
            self.usable = False
            return nested.lost(lost)

    def _start(self, nested: NestedRun, resume: str, deadline: Deadline) -> None:
        """Start a guest, or let the one go on that a restored host has; save a host in between."""
        snapshot = self._snapshot
        if snapshot is None or not snapshot.pending:
            nested.start(self._put_script(resume, paused=False), deadline)
        elif snapshot.restored:
            nested.adopt(snapshot.wake(WORDS, self._deadline(ANSWER)), deadline)
            nested.begin()
        else:
            nested.start(self._put_script(resume, paused=True), deadline)
            if nested.ready(deadline):
                snapshot.take(deadline)
                nested.begin()
            else:
                snapshot.skip()

    def _put_script(self, resume: str, *, paused: bool) -> str:
        """Bring to the host what the guest boots; return the command that starts it."""
        places = self._host.put(self._images.files())
        append = f"{APPEND} s2eval.after={resume}" if resume else APPEND
        spec = GuestSpec(
            self._machine,
            places["Image"],
            places["initrd"],
            append,
            self._vmm.port,
            paused=paused,
        )
        script = self._host.put({"l2": guest_script(self._vmm, spec)})
        return f". {script['l2']}"

    def _deadline(self, seconds: float) -> Deadline:
        return Deadline(seconds, within=self._limit)

    def _check(self, passes: list[SuitePass]) -> PostChecks:
        answers = self._host.answers(self._deadline(ANSWER))
        device = bool(passes[-1].run.lines) if len(passes) > 1 else None
        return PostChecks(answers, self._harm or self._host.harm(), device)


def _actions(suite: Suite) -> Mapping[str, str]:
    """The suite's scripts for the host, host/NAME.sh, by their names."""
    return {path.stem: path.read_text() for path in sorted(suite.folder.glob("host/*.sh"))}


def _last_begun(run: SuiteRun) -> str:
    """The test that the guest announced last."""
    begun = [fact.test for fact in parse_lines(run.lines).facts if isinstance(fact, Begin)]
    return begun[-1] if begun else ""
