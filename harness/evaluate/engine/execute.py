# SPDX-License-Identifier: GPL-2.0-only
"""A task in this process: its repeats, and another boot for what came to no verdict."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial

from harness.evaluate.cell.batch import run_batch
from harness.evaluate.cell.cell import Tools
from harness.evaluate.engine.meter import Meter
from harness.evaluate.engine.task import Policy, Task
from harness.evaluate.events import Listener, to_all
from harness.results.records import Cell, Status
from harness.results.repeats import merge_takes, renamed_copy

Cells = Generator[Cell, None, None]  # to be closed: that ends the guests which still run


@dataclass
class _Boots:
    """The boots of one cell so far: those that count, and those that were given up."""

    policy: Policy
    before: int
    takes: list[Cell] = field(default_factory=list)
    retried: list[Cell] = field(default_factory=list)

    def add(self, cell: Cell) -> None:
        """Count one more boot, or give it up when another one may end better."""
        count = self.before + len(self.takes) + len(self.retried)
        cell = renamed_copy(cell, str(count + 1)) if count else cell
        again = _worth_a_boot(cell) and len(self.retried) < self.policy.retries
        (self.retried if again else self.takes).append(cell)

    @property
    def complete(self) -> bool:
        """Whether no other boot is wanted."""
        enough = len(self.takes) >= self.policy.repeat
        return enough or any(take.status is Status.SKIP for take in self.takes)


def _worth_a_boot(cell: Cell) -> bool:
    """Whether another boot of a cell may end better."""
    if cell.status is not Status.MISS:
        return False
    return cell.failure is None or not cell.failure.kind.lasting


def execute(task: Task, listener: Listener) -> Cells:
    """Run the cells of `task`, and yield each record when all its boots are done.

    A MISS gets another boot; a FAIL does not, for it is the kernel's. Raise errors of the harness
    itself, and KeyboardInterrupt.
    """
    policy = task.policy
    boots = {name: _Boots(policy, task.boots_before) for name in task.cells}
    left = task.batch
    with Meter() as meter:
        tell = to_all(meter, listener)
        for boot in itertools.count(1):
            # Who asks for more than one boot wants to see what differs between them.
            fresh = policy.fresh or policy.repeat > 1 or boot > 1
            tools = Tools(task.qemu, tell, policy.limit, fresh, policy.boot_only)
            running = run_batch(left, tools, partial(task.cell_folder, boot=boot))
            # A generator: closing it ends the guest that it keeps for the next cell.
            with contextlib.closing(running):
                for cell in running:
                    cell.usage = meter.take()
                    mine = boots[cell.name]
                    mine.add(cell)
                    if mine.complete:
                        yield merge_takes(mine.takes, mine.retried)
            left = tuple(request for request in left if not boots[request.name].complete)
            if not left:
                return
