# SPDX-License-Identifier: GPL-2.0-only
"""Whether this host can run a machine at all."""

from __future__ import annotations

from harness.base.tools import as_tuple
from harness.guests.placement import placement_of
from harness.hosts.machines.kvm import why_no_kvm, why_no_nested_kvm
from harness.hosts.machines.machine import Machine
from harness.hosts.qemu.binary import QemuBinary


def unusable(machine: Machine, qemu: QemuBinary | None = None) -> str | None:
    """Return why this host, or its `qemu`, cannot run `machine`; None when it can."""
    device = machine.device
    if qemu and device.qemu and qemu.version_info < as_tuple(device.qemu):
        return f"device {device.name} needs QEMU {device.qemu}: set S2EVAL_QEMU to such a QEMU"
    if machine.accel != "kvm":
        return None
    return why_no_nested_kvm() if placement_of(machine).needs_nested_kvm else why_no_kvm()
