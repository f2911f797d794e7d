# SPDX-License-Identifier: GPL-2.0-only
"""The calibration of a machine of qemu-configs."""

from __future__ import annotations

from harness.base.deadline import Deadline
from harness.guests.calibrate.fidelity import Fidelity, calibrate
from harness.guests.placement import placement_of
from harness.hosts.machines.machine import Machine
from harness.hosts.qemu.binary import QemuBinary


def calibrate_machine(machine: Machine, qemu: QemuBinary, deadline: Deadline) -> Fidelity:
    """Return the fidelity of `machine` with this QEMU, measured once and cached.

    Raise MachineError when QEMU cannot run the calibration guest, BuildError when the guest
    cannot be built.
    """
    return calibrate(
        qemu.path,
        qemu.args,
        cpu=machine.cpu,
        smp=machine.smp,
        el2=placement_of(machine).el2,
        icount=machine.icount,
        accel=machine.accel,
        deadline=deadline,
    )
