# SPDX-License-Identifier: GPL-2.0-only
"""Page tables of a guest as its host shows them: what to look at, and what was read.

A host has one way to them (its TableSource) or none: QEMU's gdb stub and the file behind the
machine's memory (harness/hosts/qemu/stub_tables.py). The walk itself is harness/arm/tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from harness.arm.regs import Regs, exception_level, own_regime, runs_guest
from harness.arm.tables.params import stage1_table
from harness.arm.tables.result import Walk
from harness.base.deadline import Deadline
from harness.base.errors import MachineError

TABLE_REGISTERS = ("TTBR0_EL1", "TTBR1_EL1")


@dataclass(frozen=True)
class Target:
    """What to look at: a VA of the guest, or with `stage2_only` an IPA.

    With `register` it is the page that register points to, `address` bytes further. With `host`
    it is a VA of the VMM that runs the guest.
    """

    name: str
    address: int = 0
    stage2_only: bool = False
    register: str = ""
    host: bool = False

    def resolve(self, values: Mapping[str, int], regs: Regs) -> int:
        """Return the address, `values` being all registers that were read and `regs` those of them.

        Raise MachineError when the CPU has no such register, or when a TTBR names no table.
        """
        if not self.register:
            return self.address
        if self.register not in values:
            raise MachineError(f"the CPU has no register {self.register}")
        if self.register in TABLE_REGISTERS:  # they hold more than an address
            value = stage1_table(regs, TABLE_REGISTERS.index(self.register))
        else:
            value = values[self.register]
        return (value & ~0xFFF) + self.address


@dataclass(frozen=True)
class Sight:
    """Where a vCPU was found: PSTATE as gdb shows it, and HCR_EL2 (0 on a CPU without EL2)."""

    vcpu: int
    cpsr: int
    hcr: int

    @property
    def el(self) -> int:
        """PSTATE.EL."""
        return exception_level(self.cpsr)

    @property
    def own_regime(self) -> bool:
        """Whether the EL1&0 regime translates."""
        return own_regime(self.cpsr, self.hcr)

    @property
    def in_guest(self) -> bool:
        """Whether the vCPU runs a guest of the hypervisor at EL2."""
        return runs_guest(self.cpsr, self.hcr)

    def describe(self) -> str:
        if self.in_guest:
            return f"EL{self.el} of a guest (HCR_EL2.VM=1)"
        if self.own_regime:
            return f"EL{self.el} without stage 2 (HCR_EL2.VM=0)"
        return f"EL{self.el} of the hypervisor"


@dataclass(frozen=True)
class Reading:
    """A target's walk, the address walked and the registers it was made with.

    `stopped` is how long its stop lasted (s), with all the targets that were read in it;
    `seconds` the time from asking to the end of that stop, which was the `stops`-th attempt.
    """

    target: Target
    address: int
    walk: Walk
    sight: Sight
    regs: Regs
    stopped: float
    seconds: float
    stops: int


class TableReader(Protocol):
    """An open way to the tables of the guests of one host."""

    def read(
        self, targets: Sequence[Target], deadline: Deadline, *, answer: Deadline | None = None
    ) -> list[Reading]:
        """Return a reading for each target.

        `deadline` is for finding a vCPU that runs the guest, `answer` for all that the reading
        itself takes. Raise MachineError when no vCPU was found, or nothing answers.
        """


class TableSource(Protocol):
    """Where the stage-1 and stage-2 tables of a host's guests can be read."""

    def open(self, deadline: Deadline) -> AbstractContextManager[TableReader]:
        """Open the way to them. Raise MachineError when that fails."""
