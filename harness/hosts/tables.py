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

from harness.arm.bits import bit
from harness.arm.regs import Regs
from harness.arm.tables.result import Walk
from harness.base.deadline import Deadline
from harness.base.errors import MachineError


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

    def resolve(self, values: Mapping[str, int]) -> int:
        """Return the address. Raise MachineError when the CPU has no such register."""
        if not self.register:
            return self.address
        if self.register not in values:
            raise MachineError(f"the gdb stub has no register {self.register}")
        value = values[self.register]
        # TTBRn_EL1 has the ASID above bit 47 and CnP in bit 0.
        page = value & 0xFFFF_FFFF_F000 if self.register.startswith("TTBR") else value & ~0xFFF
        return page + self.address


@dataclass(frozen=True)
class Sight:
    """Where a vCPU was found: PSTATE as gdb shows it, and HCR_EL2 (0 on a CPU without EL2)."""

    vcpu: int
    cpsr: int
    hcr: int

    @property
    def el(self) -> int:
        return self.cpsr >> 2 & 3

    @property
    def own_regime(self) -> bool:
        """Whether the EL1&0 regime translates: at EL0 or EL1, and not in a VHE host's EL0."""
        return self.el <= 1 and not bit(self.hcr, 27)

    @property
    def in_guest(self) -> bool:
        return self.own_regime and bit(self.hcr, 0)

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
