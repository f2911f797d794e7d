# SPDX-License-Identifier: GPL-2.0-only
"""From samples of CPUs to where each of them is. Pure.

A CPU is stuck where its stacks agree: what it calls there comes and goes, what called it stays.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.hosts.hang.samples import CpuSample, Frame, Round
from harness.kernel.addresses.symbols import Position, Symbols
from harness.results.places import BlockedTask, CpuPlace, CpuState

TABLE = Path(__file__).with_name("functions.toml")
MOST = 0.7  # of the samples must agree; an interrupt or a function's first lines hide a frame
CALM = 0.25  # of the samples, outside of interrupts, are enough
USER = "user space"
UNKNOWN = "code outside of the kernel's image"  # a module


@dataclass(frozen=True)
class Step:
    """A function on a stack, and where in it; `exact` for the pc, not for a return address."""

    function: str
    position: Position | None
    exact: bool


Namer = Callable[[CpuSample, Frame], Position | None]


def namer(symbols: Symbols | None, ram: int, guest_ram: int) -> Namer:
    """Return what names a frame's function; RAM of machine and guest begin at these addresses."""

    def name(sample: CpuSample, frame: Frame) -> Position | None:
        if symbols is None:
            return None
        if not sample.in_guest:
            physical = frame.physical
            return None if physical is None else symbols.at_physical(physical, ram)
        if not sample.translates:
            return symbols.at_physical(frame.address, guest_ram)
        return symbols.at_virtual(frame.address, sample.vbar)

    return name


def cpu_places(rounds: Sequence[Round], name: Namer, host: str, guest: str) -> list[CpuPlace]:
    """Return where each CPU is; `host` and `guest` are the names of machine and nested guest."""
    numbers = sorted({sample.cpu for one in rounds for sample in one})
    by_cpu = [[s for one in rounds for s in one if s.cpu == number] for number in numbers]
    return [_cpu_place(samples, name, host, guest) for samples in by_cpu]


def _cpu_place(samples: Sequence[CpuSample], name: Namer, host: str, guest: str) -> CpuPlace:
    number = samples[0].cpu
    running = [sample for sample in samples if not sample.halted]
    if len(running) <= (1 - MOST) * len(samples):
        el = samples[-1].el
        return CpuPlace(cpu=number, where=host, state=CpuState.IDLE, el=el, interrupts="unmasked")
    nested = [sample for sample in running if sample.in_guest]
    inside = len(nested) >= len(running) / 2
    chosen = nested if inside else [sample for sample in running if not sample.in_guest]
    common = _common(_calm([_stack(sample, name) for sample in chosen]))
    innermost = next((n for n, step in enumerate(common) if step.function not in _names("waits")),
                     len(common))  # fmt: skip
    common = common[innermost:] if innermost < len(common) else common
    ways = (*_names("ways"), USER)
    stuck = len(running) == len(samples) and bool(common) and common[0].function not in ways
    at = [s for s in chosen if common and common[0].function in _functions(s, name)] or chosen
    first = common[0] if common else None
    return CpuPlace(
        cpu=number,
        where=guest if inside else host,
        state=CpuState.STUCK if stuck else CpuState.MOVING,
        el=Counter(sample.el for sample in at).most_common(1)[0][0],
        interrupts="masked" if all(sample.masked for sample in at) else "unmasked",
        function=first.function if first else "",
        at=str(first.position) if first and first.position else "",
        exact=first.exact if first else True,
        stack=[step.function for step in common],
    )


def blocked_task(task: str, sample: CpuSample, name: Namer) -> BlockedTask:
    """Return the place of a blocked task, whose stack is that of `sample`."""
    steps = [_step(sample, frame, name, exact=False) for frame in sample.frames]
    steps = [step for step in steps if step.function not in _names("waits")] or steps
    at = str(steps[0].position or "") if steps else ""
    stack = [step.function for step in steps]
    return BlockedTask(name=task, function=stack[0] if stack else "", at=at, stack=stack)


def _functions(sample: CpuSample, name: Namer) -> list[str]:
    return [step.function for step in _stack(sample, name)]


def _stack(sample: CpuSample, name: Namer) -> list[Step]:
    """Return a sample's functions, the innermost first."""
    if sample.el == 0:
        return [Step(USER, None, exact=True)]
    steps = [_step(sample, frame, name, exact=not n) for n, frame in enumerate(sample.frames)]
    if sample.link and steps:
        # A function without a frame of its own leaves its caller in the link register.
        caller = _step(sample, sample.link, name, exact=False)
        later = [step.function for step in steps[:2]]
        if caller.position and caller.function not in later:
            steps.insert(1, caller)
    known = max((n for n, step in enumerate(steps) if step.position), default=len(steps) - 1)
    return steps[: known + 1]  # what called the first function of all is no code


def _step(sample: CpuSample, frame: Frame, name: Namer, *, exact: bool) -> Step:
    position = name(sample, frame)
    return Step(position.function if position else UNKNOWN, position, exact)


def _calm(stacks: Sequence[Sequence[Step]]) -> Sequence[Sequence[Step]]:
    """Return the stacks without those of interrupts, which hide the function that is interrupted.

    Return all where a CPU is hardly ever seen outside of interrupts.
    """
    entries = _names("entries")
    calm = [stack for stack in stacks if not any(step.function in entries for step in stack)]
    return calm if len(calm) >= CALM * len(stacks) else stacks


def _common(stacks: Sequence[Sequence[Step]]) -> list[Step]:
    """Return the functions that most stacks share from the outermost on, the innermost first."""
    left = [list(reversed(stack)) for stack in stacks]
    common: list[Step] = []
    depth = 0
    while True:
        steps = [stack[depth] for stack in left if len(stack) > depth]
        counts = Counter(step.function for step in steps)
        function, count = counts.most_common(1)[0] if counts else ("", 0)
        if count < MOST * len(stacks):
            return common[::-1]
        left = [s for s in left if len(s) > depth and s[depth].function == function]
        common.append(_most([stack[depth] for stack in left]))
        depth += 1


def _most(steps: Sequence[Step]) -> Step:
    """Return the step seen most often; of those seen equally often the first in the function."""
    counts = Counter(steps)
    return min(
        counts, key=lambda step: (-counts[step], step.position.offset if step.position else 0)
    )


@cache
def _names(group: str) -> frozenset[str]:
    return frozenset(tomllib.loads(TABLE.read_text(encoding="utf-8"))[group])
