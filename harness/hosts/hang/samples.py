# SPDX-License-Identifier: GPL-2.0-only
"""What was read of a CPU at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.arm.bits import bit
from harness.arm.regs import exception_level, runs_guest

IRQ_MASKED = 7  # PSTATE.I (Arm ARM C5.2.2, DAIF)
MMU_ON = 0  # SCTLR_EL1.M


@dataclass(frozen=True)
class Frame:
    """An address of code: of the next instruction, or one that a function returns to.

    `physical` is None in a guest of the machine's own hypervisor, and where nothing is mapped.
    """

    address: int
    physical: int | None = None


@dataclass(frozen=True)
class CpuSample:
    """One CPU at one moment. `frames` has pc first, then the return addresses of the stack.

    `link` is the link register, `vbar` VBAR_EL1. A `halted` CPU waits for an interrupt (WFI), or
    has not been started; it has no frames.
    """

    cpu: int
    cpsr: int
    hcr: int
    halted: bool
    frames: tuple[Frame, ...] = ()
    link: Frame | None = None
    vbar: int = 0
    sctlr: int = 0

    @property
    def el(self) -> int:
        """Return PSTATE.EL, 0 to 3."""
        return exception_level(self.cpsr)

    @property
    def masked(self) -> bool:
        """Return whether the CPU takes no interrupts (PSTATE.I)."""
        return bit(self.cpsr, IRQ_MASKED)

    @property
    def in_guest(self) -> bool:
        """Return whether the CPU runs a guest of the hypervisor at EL2."""
        return runs_guest(self.cpsr, self.hcr)

    @property
    def translates(self) -> bool:
        """Return whether stage 1 of EL1&0 is on."""
        return bit(self.sctlr, MMU_ON)


Round = Sequence[CpuSample]  # all CPUs at one moment
