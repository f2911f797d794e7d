# SPDX-License-Identifier: GPL-2.0-only
"""Flat: the suite runs in L1 itself, a guest of QEMU on this computer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.base.scratch import scratch_folder
from harness.guests.placement.placement import RunContext
from harness.guests.run.flat_run import STREAMS, FlatRun
from harness.guests.run.suite_run import SuiteOutcome, SuitePass
from harness.guests.vmm.vmm import Chardev
from harness.hosts.coverage import record
from harness.hosts.l1.userland import l1_root
from harness.hosts.machines.machine import Machine
from harness.hosts.qemu.command import BootFiles, command_line
from harness.hosts.qemu.process import QemuProcess
from harness.results.phases import PhaseName
from harness.results.places import Place


class FlatPlacement:
    """The suite runs without KVM under test and without stage 2: stage 1 alone is probed."""

    name = "flat"
    el2 = False
    has_guest = False
    needs_userland = False
    is_here = True
    needs_nested_kvm = False

    def boot_files(
        self, folder: Path, image: Path, archive: Path, *, userland: bool = False
    ) -> BootFiles:
        """Return the boot files: the suite's own initramfs, with `userland` L1's root.

        Raise the errors of l1_root().
        """
        return BootFiles(folder, image, archive, rootfs=l1_root() if userland else None)

    def guest_script(
        self, machine: Machine, chardev: Chardev, append: str, more: Sequence[str] = ()
    ) -> str | None:
        """Return None: no guest runs in L1."""
        return None

    def run(self, context: RunContext) -> SuiteOutcome:
        """Boot L1 and return what the suite in L1 reported.

        Raise MachineError or OSError when QEMU cannot be run.
        """
        machine = context.machine
        with scratch_folder() as folder:
            files = self.boot_files(folder, context.image, context.archive)
            files.make_bar()
            context.begin(PhaseName.BOOT_AND_PROBE)
            with QemuProcess(folder, context.logs, STREAMS) as process:
                command = command_line(
                    machine,
                    context.qemu,
                    files,
                    process.chardev,
                    gdb_socket=process.gdb_socket,
                    more=context.coverage_options(files),
                )
                process.start(command)
                context.started(command, process.pid, restored=False)
                limit = context.suite_deadline()

                def look() -> Place | None:
                    # Few guests hang, and a guest should not start later for those.
                    from harness.hosts.qemu.stub_samples import QemuCpus  # noqa: PLC0415

                    return QemuCpus(process.gdb_socket, context.image).look()

                run = FlatRun(process, machine.patience, look).finish(limit)
            from harness.suites.device_trace import trace_observations  # noqa: PLC0415 - not before QEMU

            context.begin(None)
            record.keep(files.coverage, context.logs)
            bar = files.bar.read_bytes() if machine.device.host_file else None
            outcome = SuiteOutcome([SuitePass(run, bar)])
            outcome.quiet[PhaseName.BOOT_AND_PROBE] = process.longest_silence()
            outcome.traced = trace_observations(
                context.suite.name,
                outcome.lines,
                files.trace,
                machine.device.traced,
                machine.device_bdf,
            )
            return outcome
