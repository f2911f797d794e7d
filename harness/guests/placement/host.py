# SPDX-License-Identifier: GPL-2.0-only
"""On the host: the suite runs on L1 itself, where the kernel under test is KVM's host."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from harness.guests.audit.leaf import LeafAudit
from harness.guests.placement.placement import RunContext
from harness.guests.run.host_run import ANSWER, STREAMS, HostRun, begin_script
from harness.guests.run.suite_run import PostChecks, SuiteOutcome, SuitePass, SuiteRun
from harness.guests.vmm.vmm import Chardev
from harness.hosts.host import HostLost
from harness.hosts.l1.host import SHARE, L1Host
from harness.hosts.l1.userland import l1_root
from harness.hosts.machines.machine import Machine
from harness.hosts.qemu.command import BootFiles
from harness.results.phases import PhaseName
from harness.suites.ktap import parse_lines
from harness.suites.observe import last_begun

AUDIT = "s2eval.audit=1"  # on L1's command line: the suite's requests are answered


class HostPlacement:
    """The suite runs on the KVM host under test, beside the VMs that it makes itself."""

    name = "host"
    el2 = True
    has_guest = False
    needs_userland = True
    is_here = True
    needs_nested_kvm = True

    def boot_files(
        self, folder: Path, image: Path, archive: Path, *, userland: bool = False
    ) -> BootFiles:
        """Return the boot files, with L1's own root. Raise the errors of l1_root()."""
        return BootFiles(folder, image, archive, rootfs=l1_root())

    def guest_script(
        self, machine: Machine, chardev: Chardev, append: str, more: Sequence[str] = ()
    ) -> str | None:
        """Return shell for L1 that runs the suite of /share, which starts its VMs itself."""
        return begin_script(f"{SHARE}/initrd")

    def run(self, context: RunContext) -> SuiteOutcome:
        """Run the suite on L1; where L1 dies in a test, the next L1 goes on behind that test.

        Raise MachineError or OSError when L1 cannot be run.
        """
        outcome = SuiteOutcome()
        resume: str | None = None
        while True:
            checks = run_on_new_host(context, resume, outcome)
            outcome.checks = outcome.checks if outcome.checks and outcome.checks.log else checks
            run = outcome.passes[-1].run
            test = last_begun(parse_lines(run.lines).facts)
            if not run.failure or test in (None, resume):
                return outcome
            if len(outcome.passes) >= context.suite.guests:
                return outcome
            resume = test


def run_on_new_host(context: RunContext, resume: str | None, outcome: SuiteOutcome) -> PostChecks:
    """Boot L1, run the suite behind the test `resume`, add the pass; return how L1 is afterwards.

    An L1 that is lost is the failure of the pass. Raise MachineError when L1 cannot be run.
    """
    words = f"{context.machine.append} {AUDIT}" + (f" s2eval.after={resume}" if resume else "")
    machine = context.machine.model_copy(update={"append": words.strip()})
    with (
        L1Host(machine, context.qemu, context.image, STREAMS, coverage=context.coverage) as host,
        contextlib.ExitStack() as stack,
    ):
        if context.coverage:
            stack.callback(host.keep_coverage, context.logs)
        context.begin(PhaseName.START_L1)
        host.launch(context.logs)
        context.started(host.command, host.pid, restored=False)
        with LeafAudit(host.tables(), context.limit) as audit:
            run = HostRun(host, audit)
            suite_pass = SuitePass(run_suite(host, run, context, outcome.quiet), None)
            outcome.passes.append(suite_pass)
        harm = host.harm()
        answers = host.usable and host.answers(context.deadline(ANSWER))
        suite_pass.bar = host.device_memory()
        context.begin(PhaseName.END_L1)
    context.begin(None)
    return PostChecks(answers, harm, None, has_guests=False)


def run_suite(host: L1Host, run: HostRun, context: RunContext, quiet: dict[str, float]) -> SuiteRun:
    """Boot `host` and return what the suite on it reported; note its silences in `quiet`."""
    machine = context.machine
    try:
        context.begin(PhaseName.BOOT_L1)
        host.boot(context.deadline(machine.limits.boot, machine.key("boot")))
        quiet[PhaseName.BOOT_L1] = host.longest_silence()
        context.begin(PhaseName.PROBE)
        paths = host.put({"initrd": context.archive})
        run.start(paths["initrd"], context.deadline(machine.limits.boot))
        done = run.finish(context.suite_deadline())
        quiet[PhaseName.PROBE] = host.longest_silence()
        return done
    except HostLost as lost:
        host.usable = False
        return run.lost(lost)
