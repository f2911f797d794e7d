# SPDX-License-Identifier: GPL-2.0-only
"""The audit of a suite that runs VMs itself: a line of its results for each reading."""

from __future__ import annotations

import contextlib

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.text import clean
from harness.hosts.tables import Reading, TableReader, TableSource, Target
from harness.suites.facts import NO_LEAF, UNREAD, Audit, leaf_line

BUDGET = 4.0  # seconds for a request; the guest spins meanwhile
NO_TABLES = "this host has no way to the page tables of its guests"


class LeafAudit:
    """Reads the tables of a host's guests where a suite asks for it. A context manager.

    `source` is the host's way to page tables, `limit` the limit of the cell.
    """

    def __init__(self, source: TableSource | None, limit: Deadline | None = None) -> None:
        self._source = source
        self._limit = limit
        self._stack = contextlib.ExitStack()
        self._reader: TableReader | None = None

    def __enter__(self) -> LeafAudit:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def release(self) -> None:
        """Close the tables, so that others can look at the machine; the next request opens them."""
        self._stack.close()
        self._reader = None

    def lines(self, fact: Audit) -> list[str]:
        """Return the lines that tell what the tables say of `fact`, whose mapping is a test."""
        target = Target(fact.mapping, fact.va)
        budget = Deadline(BUDGET, within=self._limit)
        try:
            if self._reader is None:
                if self._source is None:
                    raise MachineError(NO_TABLES)
                self._reader = self._stack.enter_context(self._source.open(budget))
            (reading,) = self._reader.read([target], budget, answer=budget)
        except MachineError as error:
            self._stack.close()
            self._reader = None
            return [f"# audit: {clean(str(error))}", leaf_line(fact.mapping, stage2=UNREAD)]
        return _lines(reading)


def _lines(reading: Reading) -> list[str]:
    """Return a leaf line, behind the fault when the walk came to none."""
    walk, test = reading.walk, reading.target.name
    stage1 = walk.stage1.attributes.type.name if walk.stage1 else ""
    if walk.stage2 is None or walk.fault:
        fault = walk.fault.describe() if walk.fault else "stage 2 is off"
        return [f"# audit: {clean(fault)}", leaf_line(test, stage1=stage1, stage2=NO_LEAF)]
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
        )
    ]
