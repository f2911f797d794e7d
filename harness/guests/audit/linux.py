# SPDX-License-Identifier: GPL-2.0-only
"""Targets of the audit in every Linux guest, whatever its suite maps: its memory and its GIC."""

from __future__ import annotations

from harness.guests.audit.record import Expectation
from harness.guests.vmm.vmm import MemoryMap
from harness.hosts.tables import Target

# Ordinary memory at any address: kernel text that the guest surely executed (the exception
# vectors), and a page that it surely read (the kernel's first table).
TEXT = Target("l2-text", register="VBAR_EL1")
TABLE = Target("l2-table", register="TTBR1_EL1", stage2_only=True)
GIC = "l2-gic"

RAM_TEXT = Expectation(
    "Normal-WB", "Normal-WB", read=True, execute=True, shareability="inner shareable"
)
RAM_TABLE = Expectation(stage2="Normal-WB", read=True, write=True, shareability="inner shareable")
EMULATED = Expectation(stage2="Device", execute=False, may_trap=True)


def linux_targets(memory_map: MemoryMap) -> dict[Target, Expectation]:
    """Return the targets to read in a Linux guest of a VMM, and what is expected of each."""
    targets = {TEXT: RAM_TEXT, TABLE: RAM_TABLE}
    if memory_map.gic is not None:
        targets[Target(GIC, memory_map.gic, stage2_only=True)] = EMULATED
    return targets
