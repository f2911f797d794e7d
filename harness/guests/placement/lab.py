# SPDX-License-Identifier: GPL-2.0-only
"""Lab: the suite runs in L2 on a real machine, which boots the kernel under test for that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from harness.base.errors import MachineError
from harness.guests.audit.host_module import host_tables
from harness.guests.audit.linux import linux_targets
from harness.guests.audit.run_audit import RunAudit
from harness.guests.placement.placement import RunContext
from harness.guests.run.passes import GuestImages, SuitePasses
from harness.guests.run.suite_run import SuiteOutcome, SuitePass, SuiteRun
from harness.guests.vmm import vmm_of
from harness.guests.vmm.vmm import STREAMS, Chardev, GuestSpec, guest_script
from harness.hosts.host import HostLost
from harness.hosts.lab.host import LabHost
from harness.hosts.lab.machine import LabMachine
from harness.hosts.lab.record import host_record
from harness.hosts.lab.userland.root import lab_root
from harness.hosts.machines.machine import Machine
from harness.hosts.qemu.command import BootFiles
from harness.results.phases import PhaseName


class LabPlacement:
    """The kernel under test is KVM's host on a real machine, which hands its device to L2."""

    name = "lab"
    el2 = True
    has_guest = True
    needs_userland = False
    needs_nested_kvm = False
    is_here = False

    def boot_files(
        self, folder: Path, image: Path, archive: Path, *, userland: bool = False
    ) -> BootFiles:
        """Raise MachineError: this computer's QEMU does not run the machine."""
        raise MachineError("a lab machine is no guest of this computer: s2eval host shell NAME")

    def guest_script(
        self, machine: Machine, chardev: Chardev, append: str, more: Sequence[str] = ()
    ) -> str | None:
        """Return shell for the host that starts L2. Raise UsageError when it cannot be made."""
        spec = GuestSpec(machine, "/share/Image", "/share/initrd", append, chardev, more)
        return guest_script(vmm_of(machine), spec)

    def run(self, context: RunContext) -> SuiteOutcome:
        """Run the suite in L2 on the machine.

        Raise MachineError, LabError among them, when the machine or this computer is at fault.
        """
        # A host of this machine comes from this placement.
        host = cast("LabHost | None", context.pool.acquire(context.machine, context.image))
        if host:
            host.begin_cell(context.logs)
        else:
            machine = cast("LabMachine", context.machine)
            lab_root()  # made before the machine is reserved
            host = LabHost(machine, context.image, context.archive, STREAMS, context.note)
        try:
            outcome = boot_and_run(host, context)
            if host.usable:
                context.pool.release(host)
            return outcome
        finally:
            if not context.pool.contains(host):
                context.begin(PhaseName.END_L1)
                host.close()
            context.begin(None)


def boot_and_run(host: LabHost, context: RunContext) -> SuiteOutcome:
    """Boot the machine unless it runs the kernel already, and run the suite in its guests.

    A host that is lost is a failure in the outcome. Raise LabError when the lab is at fault.
    """
    machine, vmm = context.machine, vmm_of(context.machine)
    host.longest_silence()  # of an earlier cell
    booted: dict[str, float] = {}
    try:
        if not host.usable:
            context.begin(PhaseName.START_L1)
            host.launch(context.logs)
            context.begin(PhaseName.BOOT_L1)
            host.boot(context.deadline(machine.limits.boot, machine.key("boot")))
            booted[PhaseName.BOOT_L1] = host.longest_silence()
        context.on_host(host.command, host_record(host))
    except HostLost as lost:
        run = SuiteRun(host.name, "console.log", failure=lost.failure)
        return SuiteOutcome([SuitePass(run, None)])
    if context.boot_only:
        return SuiteOutcome(quiet=booted)
    images = GuestImages(context.image, context.archive)
    passes = SuitePasses(host, vmm, machine, images, context.begin, None, context.limit)
    with (
        host_tables(host, context.make_module) as tables,
        RunAudit(
            tables,
            linux_targets(vmm.memory_map),
            context.suite.promises,
            context.audits,
            context.limit,
        ) as audit,
    ):
        outcome = passes.run(context.suite, audit)
    outcome.quiet = {**booted, PhaseName.PROBE: host.longest_silence()}
    host.usable = host.usable and passes.usable
    return outcome
