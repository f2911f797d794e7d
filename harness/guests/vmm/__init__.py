# SPDX-License-Identifier: GPL-2.0-only
"""VMMs, the programs that start a guest on a host: one file each, known by name."""

from __future__ import annotations

from harness.base.toml import unknown
from harness.guests.vmm.qemu import QemuVmm
from harness.guests.vmm.vmm import Vmm
from harness.hosts.machines.machine import Machine

VMMS: dict[str, Vmm] = {vmm.name: vmm for vmm in (QemuVmm(),)}


def vmm_of(machine: Machine) -> Vmm:
    """Return the VMM that `machine` names in its [l2] table.

    Raise UsageError when there is none of that name.
    """
    name = machine.l2.vmm if machine.l2 else QemuVmm.name
    if name not in VMMS:
        raise unknown("VMM", name, VMMS)
    return VMMS[name]
