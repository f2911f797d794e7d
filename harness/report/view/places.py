# SPDX-License-Identifier: GPL-2.0-only
"""Where the CPUs of a silent guest were, a line each. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from harness.base.text import clean
from harness.results.places import CpuPlace, CpuState, Place

CALLERS = 6  # of a stack that are named


def place_lines(place: Place) -> list[str]:
    """Return a line for each CPU and each blocked task, with functions and their callers."""
    blocked = [
        f"{clean(task.name)}: blocked in {clean(task.at)}{_callers(task.stack)}"
        for task in place.blocked
    ]
    return [*map(_cpu, place.cpus), *blocked]


def _cpu(cpu: CpuPlace) -> str:
    whose = f"CPU {cpu.cpu}, {clean(cpu.where)}"
    if cpu.state is CpuState.IDLE:
        return f"{whose}: idle"
    where = clean(cpu.at or cpu.function) or "many functions"
    level = f"EL{cpu.el}, interrupts {cpu.interrupts}"
    return f"{whose}: {cpu.state.value} in {where}, {level}{_callers(cpu.stack)}"


def _callers(stack: Sequence[str]) -> str:
    names = [clean(name) for name in stack[1 : CALLERS + 1]]
    return f", called by {', '.join(names)}" if names else ""
