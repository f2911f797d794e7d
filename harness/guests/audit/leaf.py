# SPDX-License-Identifier: GPL-2.0-only
"""The audit of a suite that runs VMs itself: a line of its results for each reading."""

from __future__ import annotations

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.text import clean
from harness.guests.audit.tables import BUDGET, OpenTables
from harness.hosts.tables import Reading, TableSource, Target
from harness.suites.facts import NO_LEAF, UNREAD, Audit, leaf_line


class LeafAudit(OpenTables):
    """Reads the tables of a host's guests where a suite asks for it. A context manager.

    `source` is the host's way to page tables, `limit` the limit of the cell.
    """

    def __init__(self, source: TableSource | None, limit: Deadline | None = None) -> None:
        super().__init__(source)
        self._limit = limit
        self._no_vmm = ""  # why the VMM's own tables cannot be read on this host

    def lines(self, fact: Audit) -> list[str]:
        """Return the lines that tell what the tables say of `fact`, whose mapping is a test."""
        target = Target(fact.mapping, fact.va)
        budget = Deadline(BUDGET, within=self._limit)
        try:
            (reading,) = self.read([target], budget, answer=budget)
        except MachineError as error:
            return [f"# audit: {clean(str(error))}", leaf_line(fact.mapping, stage2=UNREAD)]
        return _lines(reading, self._vmm_type(fact) if fact.vmm else "")

    def _vmm_type(self, fact: Audit) -> str:
        """Return the type in the VMM's tables; "" where they cannot be read, which is asked once.

        On a host without VHE no register holds them while a guest runs.
        """
        if self._no_vmm:
            return ""
        budget = Deadline(BUDGET, within=self._limit)
        try:
            (reading,) = self.read([Target("vmm", fact.vmm, host=True)], budget, answer=budget)
        except MachineError as error:
            self._no_vmm = str(error)
            return ""
        return reading.walk.stage1.attributes.type.name if reading.walk.stage1 else NO_LEAF


def _lines(reading: Reading, vmm: str) -> list[str]:
    """Return a leaf line, behind the fault when the walk came to none."""
    walk, test = reading.walk, reading.target.name
    stage1 = walk.stage1.attributes.type.name if walk.stage1 else ""
    of_vmm = {"vmm": vmm} if vmm else {}
    if walk.stage2 is None or walk.fault:
        fault = walk.fault.describe() if walk.fault else "stage 2 is off"
        leaf = leaf_line(test, stage1=stage1, stage2=NO_LEAF, **of_vmm)
        return [f"# audit: {clean(fault)}", leaf]
    stage2 = walk.stage2
    return [
        leaf_line(
            test,
            stage1=stage1,
            stage2=stage2.attr.name or "reserved",
            combined=walk.combined.name if walk.combined else "",
            access=stage2.el1.label if stage2.el1 else "",
            size=stage2.leaf.size,
            contiguous=int(stage2.leaf.contiguous),
            level=stage2.level,
            descriptor=stage2.descriptor,
            pa=stage2.pa,
            fwb=int(reading.regs.flag("hcr_el2", "FWB")),
            **of_vmm,
        )
    ]
