# SPDX-License-Identifier: GPL-2.0-only
"""Where the CPUs of a guest that fell silent were (docs/results.md)."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from harness.results.base import Record

Interrupts = Literal["masked", "unmasked"]


class CpuState(StrEnum):
    """What a CPU did while it was looked at."""

    STUCK = "stuck"  # all the time in one function, whatever that called
    MOVING = "moving"  # now here, now there
    IDLE = "idle"  # it waited for an interrupt


class CpuPlace(Record):
    """One CPU of a silent guest, as it was seen in most of the samples.

    `where` is whose code it ran ("L1", "L2"), `function` the innermost one in which it always was,
    `stack` that function and its callers, `at` the position in it (`f+0x40/0x3a0`): of the next
    instruction when `exact`, else of the one after a call. `interrupts` is PSTATE.I.
    """

    cpu: int
    where: str
    state: CpuState
    el: int
    interrupts: Interrupts
    function: str = ""
    at: str = ""
    exact: bool = True
    stack: list[str] = Field(default_factory=list)


class BlockedTask(Record):
    """A task of an idle machine that waits where no signal reaches it, as CpuPlace has a CPU."""

    name: str
    function: str = ""
    at: str = ""
    stack: list[str] = Field(default_factory=list)


class Place(Record):
    """Where a guest hangs: `cpus` has all CPUs, the rest is that of the one that tells most.

    Where all CPUs are idle that is the first of the tasks that are `blocked`, if there is one.
    `file` and `line` are those of `at` in the kernel's source, "" and 0 where they are unknown.
    `boots` is in how many boots the guest hung here, `control` the seconds that its base then took
    to come further once more; None where no base was asked.
    """

    function: str = ""
    file: str = ""
    line: int = 0
    el: int
    interrupts: Interrupts
    where: str
    state: CpuState
    at: str = ""
    exact: bool = True
    cpus: list[CpuPlace] = Field(default_factory=list)
    blocked: list[BlockedTask] = Field(default_factory=list)
    boots: int = 1
    control: float | None = None

    @property
    def known(self) -> bool:
        """Return whether a CPU is stuck, or all are idle while a task is blocked."""
        return self.state is CpuState.STUCK or (self.state is CpuState.IDLE and bool(self.blocked))

    def shared(self, other: Place) -> Place | None:
        """Return the place at which two boots hang: one of the two; None where they differ.

        Where a CPU is in a loop over several functions, some samples agree on more of its stack
        than others do. So of two functions of which one has called the other, the caller counts.
        """
        if CpuState.MOVING in (self.state, other.state) or self.state is not other.state:
            return None
        if self.where != other.where:
            return None
        if self.function == other.function or other.function in self._callers():
            return other
        return self if self.function in other._callers() else None

    def _callers(self) -> list[str]:
        """The functions on the stack of the CPU or task that this is the place of."""
        seen: list[CpuPlace | BlockedTask] = [*self.cpus, *self.blocked]
        return next((one.stack for one in seen if one.function == self.function), [])

    def __str__(self) -> str:
        """Return the place as it stands in a sentence, `kvm_arch_init (arch/…/arm.c:2247)`."""
        if self.state is CpuState.IDLE and not self.function:
            return "all CPUs idle"
        source = f" ({self.file}:{self.line})" if self.file else f" ({self.at})" if self.at else ""
        return f"{self.function or 'many functions'}{source}"

    def described(self) -> str:
        """Return the place with whose it is, exception level and interrupts."""
        if self.state is CpuState.IDLE and not self.function:
            return f"{self} in {self.where}"
        if self.state is CpuState.IDLE:
            return f"{self.blocked[0].name} blocked in {self}, all CPUs idle in {self.where}"
        return f"{self} in {self.where}, EL{self.el}, interrupts {self.interrupts}"


def place_of(cpus: list[CpuPlace], blocked: list[BlockedTask]) -> Place | None:
    """Return the place that CPUs and blocked tasks of a silent guest tell of; None without a CPU.

    A CPU that is stuck tells most, of several one that takes no interrupts; then one that moves.
    """
    order = (CpuState.STUCK, CpuState.MOVING, CpuState.IDLE)
    if not cpus:
        return None
    first = min(cpus, key=lambda c: (order.index(c.state), c.interrupts != "masked", c.cpu))
    shown = blocked[0] if first.state is CpuState.IDLE and blocked else first
    return Place(
        function=shown.function, el=first.el, interrupts=first.interrupts, where=first.where,
        state=first.state, at=shown.at, exact=shown is first and first.exact, cpus=cpus,
        blocked=blocked,
    )  # fmt: skip
