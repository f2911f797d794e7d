# SPDX-License-Identifier: GPL-2.0-only
"""The fidelity of a lab host: silicon shows everything, a virtual machine no figure that counts."""

from __future__ import annotations

from harness.guests.calibrate.fidelity import TCG_NEEDS
from harness.results.readings import FidelityRecord
from harness.results.records import HostRecord


def lab_fidelity(host: HostRecord) -> FidelityRecord:
    """Return the fidelity of `host`, with the limits of a virtual machine where it is one."""
    reason = f"{host.name} is a virtual machine: its timings and stores say nothing about hardware"
    limits = dict.fromkeys(TCG_NEEDS, reason) if host.virtual else {}
    return FidelityRecord(cpu=host.cpu, smp=host.cpus, el2=True, host=host.name, limits=limits)
