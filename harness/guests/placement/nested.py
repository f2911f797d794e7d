# SPDX-License-Identifier: GPL-2.0-only
"""Nested: the suite runs in L2, on an L1 that the last cell left, that is restored or boots."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from harness.base.errors import MachineError
from harness.guests.placement.placement import RunContext
from harness.guests.run.suite_run import SuiteOutcome, SuitePass, SuiteRun
from harness.guests.vmm import vmm_of
from harness.guests.vmm.vmm import APPEND, MONITOR, STREAMS, Chardev, GuestSpec, Vmm, guest_script
from harness.hosts.host import HostLost
from harness.hosts.l1.host import SHARE, L1Host
from harness.hosts.l1.saved import SavedState, state_of
from harness.hosts.l1.userland import l1_root
from harness.hosts.machines.machine import Machine
from harness.hosts.qemu.command import BootFiles, command_line
from harness.results.phases import PhaseName

ERROR = "# s2eval: error "  # begins a line of the guest's init (docs/guest-protocol.md)


class NestedPlacement:
    """L1 runs the kernel under test as its KVM host and hands the device to L2."""

    name = "nested"
    el2 = True
    has_guest = True
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
        """Return shell for L1 that starts L2. Raise UsageError when it cannot be made."""
        spec = GuestSpec(machine, f"{SHARE}/Image", f"{SHARE}/initrd", append, chardev, more)
        return guest_script(vmm_of(machine), spec)

    def run(self, context: RunContext) -> SuiteOutcome:
        """Run the suite in L2; again on an L1 that boots where saving or restoring went wrong.

        Raise MachineError or OSError when L1 cannot be run.
        """
        machine = context.machine
        # A host of this machine comes from this placement.
        host = cast("L1Host | None", context.pool.acquire(machine, context.image))
        if host:
            host.begin_cell(context.logs)
        else:
            host = new_host(context, saved_state(context))
        if not host.state:
            return run_suite_on(host, context)
        try:
            return run_suite_on(host, context)
        except (MachineError, OSError) as error:
            # A kernel must not be blamed for an effect of saving or restoring L1.
            if host.restored:
                host.state.discard()
            else:
                host.state.refuse()
            forget_first_try(context, str(error))
        return run_suite_on(new_host(context), context)


def new_host(context: RunContext, state: SavedState | None = None) -> L1Host:
    """Return an L1 that is not started yet, to be restored from `state` or saved there."""
    streams = [*STREAMS, MONITOR] if state else list(STREAMS)
    return L1Host(
        context.machine, context.qemu, context.image, streams, state, coverage=context.coverage
    )


def saved_state(context: RunContext) -> SavedState | None:
    """Return the state that L1 is restored from or is to be saved as; None when L1 only boots.

    An L1 is saved the second time that a run wants the same L1 with the same guest.
    """
    machine, vmm = context.machine, vmm_of(context.machine)
    saves = machine.accel == "tcg" and not machine.icount and machine.device.saved
    if context.fresh or not saves or vmm.monitor is None:
        return None
    root = l1_root()
    files = BootFiles(Path("/"), context.image, root, rootfs=root)
    command = command_line(
        machine,
        context.qemu,
        files,
        str,
        gdb_socket=Path("gdb"),
        monitor=True,
        more=context.coverage_options(files),
    )
    guest = [context.archive.name, first_guest(machine, vmm)]
    state = state_of([*command, context.qemu.version], guest, context.qemu.path)
    return state if state.exists or state.request() else None


def first_guest(machine: Machine, vmm: Vmm) -> str:
    """Return the script that starts the first guest of a host that is to be saved.

    Its text is a part of the saved state's key. Raise UsageError when the VMM cannot run the guest.
    """
    spec = GuestSpec(machine, f"{SHARE}/Image", f"{SHARE}/initrd", APPEND, vmm.port, paused=True)
    return guest_script(vmm, spec)


def forget_first_try(context: RunContext, reason: str) -> None:
    """Remove the cell's audits and logs of an L1 that was saved or restored, and tell the user."""
    context.note(f"L1 boots again, without a saved state: {reason}")
    context.audits.clear()
    for log in context.logs.iterdir():
        log.unlink()


def run_suite_on(host: L1Host, context: RunContext) -> SuiteOutcome:
    """Start `host` unless it is up, and run the suite in its guests; pool the host or end it.

    Raise MachineError or OSError when L1 cannot be run, and MachineError when saving or restoring
    the host may have influenced the results.
    """
    try:
        if host.usable:
            context.started(host.command, host.pid, restored=host.restored)
        else:
            context.begin(PhaseName.START_L1)
            # They take 60 ms, and L1's memory is copied for longer, by the kernel.
            threading.Thread(target=_import_readers, daemon=True).start()
            host.launch(context.logs)
            context.started(host.command, host.pid, restored=host.restored)
            context.begin(PhaseName.RESTORE_L1 if host.restored else PhaseName.BOOT_L1)
        outcome = boot_and_run(host, context)
        if host.state and (reason := reason_to_distrust(outcome)):
            raise MachineError(reason)
        from harness.suites.device_trace import trace_observations  # noqa: PLC0415 - not before QEMU

        outcome.traced = trace_observations(
            context.suite.name,
            outcome.lines,
            host.trace,
            context.machine.device.traced,
            context.machine.device_bdf,
        )
        if host.usable and may_be_shared(host.machine):
            context.pool.release(host)
        return outcome
    finally:
        if context.coverage:
            host.keep_coverage(context.logs)
        if not context.pool.contains(host):
            context.begin(PhaseName.END_L1)
            host.close()
        context.begin(None)


def _import_readers() -> None:
    """Import what boot_and_run() needs to read tables and to run guests."""
    from harness.guests.audit import linux, run_audit  # noqa: F401, PLC0415
    from harness.guests.run import passes  # noqa: F401, PLC0415


def boot_and_run(host: L1Host, context: RunContext) -> SuiteOutcome:
    """Boot or restore L1 unless it is up, and run the suite in its guests.

    An L1 that is lost is a failure in the outcome. Raise MachineError when L1 cannot be restored.
    """
    # See _import_readers().
    from harness.guests.audit.census import run_census  # noqa: PLC0415
    from harness.guests.audit.linux import linux_targets  # noqa: PLC0415
    from harness.guests.audit.run_audit import RunAudit  # noqa: PLC0415
    from harness.guests.run.passes import GuestImages, SuitePasses  # noqa: PLC0415

    machine, vmm = context.machine, vmm_of(context.machine)
    images = GuestImages(context.image, context.archive)
    host.longest_silence()  # of an earlier cell
    booted: dict[str, float] = {}
    try:
        if not host.usable:
            if not host.restored:  # the VMM in a restored L1 has the images already
                host.put(images.files())
            host.boot(context.deadline(machine.limits.boot, machine.key("boot")))
            phase = PhaseName.RESTORE_L1 if host.restored else PhaseName.BOOT_L1
            booted[phase] = host.longest_silence()
    except HostLost as lost:
        run = SuiteRun("L1", "console.log", failure=lost.failure)
        return SuiteOutcome([SuitePass(run, None)])
    if context.boot_only:
        return SuiteOutcome(quiet=booted)
    audit = RunAudit(
        host.tables(),
        linux_targets(vmm.memory_map),
        context.suite.promises,
        context.audits,
        context.limit,
    )
    passes = SuitePasses(host, vmm, machine, images, context.begin, host.snapshot, context.limit)
    with audit:
        outcome = passes.run(context.suite, audit)
    outcome.census = run_census(audit, machine, vmm.memory_map)
    outcome.quiet = {**booted, PhaseName.PROBE: host.longest_silence()}
    host.usable = passes.usable
    return outcome


def reason_to_distrust(outcome: SuiteOutcome) -> str:
    """Return an error or failure that saving or restoring L1 may have caused; "" without one.

    A guest that KVM gave up is no reason: the kernel itself says why.
    """
    errors = [line for line in outcome.lines if line.startswith(ERROR)]
    if errors:
        return errors[0]
    failures = [suite_pass.run.failure for suite_pass in outcome.passes]
    if outcome.checks:
        failures.append(outcome.checks.log)
    return next((f.summary for f in failures if f and not f.kind.of_guest), "")


def may_be_shared(machine: Machine) -> bool:
    """Return whether cells may share an L1: not where instructions or accesses are counted."""
    return not machine.icount and not machine.device.traced
