# SPDX-License-Identifier: GPL-2.0-only
"""Page tables of a guest as its host shows them: targets of a walk, and readings.

A host has a TableSource or None. The one of L1 uses QEMU's gdb stub and the file behind the
machine's memory (harness/hosts/qemu/stub_tables.py), the one of a host with nothing outside a
module in its kernel (harness/hosts/module_tables.py). The walk itself is harness/arm/tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from harness.arm.bits import bit
from harness.arm.regs import Regs, exception_level, own_regime, runs_guest
from harness.arm.tables.census import StageTables
from harness.arm.tables.params import FaultKind, stage1_table
from harness.arm.tables.result import Walk
from harness.base.deadline import Deadline
from harness.base.errors import MachineError

TABLE_REGISTERS = ("TTBR0_EL1", "TTBR1_EL1")
GDB_STUB, MODULE = "gdb stub", "module"  # what a reading was made with


@dataclass(frozen=True)
class Target:
    """An address to walk for: a VA of the guest, or with `stage2_only` an IPA.

    With `register` the address is `address` bytes behind the page which that register points to.
    With `host` the address is a VA of the VMM that runs the guest.
    """

    name: str
    address: int = 0
    stage2_only: bool = False
    register: str = ""
    host: bool = False

    def resolve(self, values: Mapping[str, int], regs: Regs) -> int:
        """Return the address; `values` are the registers by name, `regs` the same in walk form.

        Raise MachineError when the CPU has no such register, or when a TTBR names no table.
        """
        if not self.register:
            return self.address
        if self.register not in values:
            raise MachineError(f"the CPU has no register {self.register}")
        if self.register in TABLE_REGISTERS:  # a TTBR holds an ASID and flags beside the address
            value = stage1_table(regs, TABLE_REGISTERS.index(self.register))
        else:
            value = values[self.register]
        return (value & ~0xFFF) + self.address


@dataclass(frozen=True)
class Sight:
    """The state a vCPU was seen in: PSTATE as gdb shows it, HCR_EL2 (0 on a CPU without EL2)."""

    vcpu: int
    cpsr: int
    hcr: int

    @property
    def el(self) -> int:
        """Return PSTATE.EL, 0 to 3."""
        return exception_level(self.cpsr)

    @property
    def own_regime(self) -> bool:
        """Return whether the EL1&0 regime translates."""
        return own_regime(self.cpsr, self.hcr)

    @property
    def in_guest(self) -> bool:
        """Return whether the vCPU runs a guest of the hypervisor at EL2 (HCR_EL2.VM=1)."""
        return runs_guest(self.cpsr, self.hcr)

    def describe(self) -> str:
        """Return the exception level and whose it is, for a message."""
        if self.in_guest:
            return f"EL{self.el} of a guest (HCR_EL2.VM=1)"
        if self.own_regime:
            return f"EL{self.el} without stage 2 (HCR_EL2.VM=0)"
        return f"EL{self.el} of the hypervisor"


def may_be_isolated(sight: Sight, result: Walk) -> bool:
    """Return whether a fault may only mean that a kernel with page-table isolation was at EL0.

    TTBR1_EL1 then holds a trampoline that maps next to nothing, so another stop has to tell.
    """
    unmapped = result.fault is not None and result.fault.kind is FaultKind.TRANSLATION
    return sight.el == 0 and unmapped and result.stage1 is None and bit(result.va, 55)


@dataclass(frozen=True)
class Reading:
    """A target's walk, the address walked and the registers the walk was made with.

    `stopped` is how long the VM stood still for it (s), with all targets read in the same stop;
    `seconds` the time from asking to the end of that stop, which was the `stops`-th attempt.
    `source` is GDB_STUB or a View of a module's (harness/hosts/module_tables.py). `census` are all
    tables of stage 2 from the same stop, None where the source does not give them.
    """

    target: Target
    address: int
    walk: Walk
    sight: Sight
    regs: Regs
    stopped: float
    seconds: float
    stops: int
    source: str = GDB_STUB
    census: Census | None = None


class NoTablesError(MachineError):
    """A host's tables cannot be read at all, for a reason that is no fault: an audit is SKIP."""


@dataclass(frozen=True)
class Census:
    """All tables of stage 2, as they were while the VM stood still for `stopped` seconds."""

    tables: StageTables
    sight: Sight
    stopped: float


class TableReader(Protocol):
    """An open connection through which the tables of one host's guests are read."""

    def read(
        self, targets: Sequence[Target], deadline: Deadline, *, answer: Deadline | None = None
    ) -> list[Reading]:
        """Return a reading for each target.

        `deadline` is for finding a vCPU that runs the guest, `answer` for the reading itself.
        Raise MachineError when no vCPU was found, or the tables cannot be read.
        """


class TableSource(Protocol):
    """A way to read the stage-1 and stage-2 tables of a host's guests."""

    def open(self, deadline: Deadline) -> AbstractContextManager[TableReader]:
        """Return a context with an open reader. Raise MachineError when it cannot be opened."""
