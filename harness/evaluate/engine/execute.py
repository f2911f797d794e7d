# SPDX-License-Identifier: GPL-2.0-only
"""A batch in this process: its repeats, another boot for what came to no verdict, its limit."""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import os
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from harness.evaluate.cell.batch import Batch, run_batch
from harness.evaluate.cell.cell import Tools
from harness.evaluate.engine.meter import Meter
from harness.results.records import Cell, Status
from harness.results.repeats import merge_takes, renamed_copy


class Folder(Protocol):
    """Makes the folder for the logs of a cell's boot, which are counted from 1."""

    def __call__(self, cell: str, boot: int = 1) -> Path: ...


# Failures that another boot would not change.
LASTING = ("build", "input")


@dataclass(frozen=True)
class Policy:
    """How often a cell is run, how many more boots it gets, seconds it may take (None: any).

    `fresh`: L1 boots in each, instead of being restored.
    """

    repeat: int = 1
    retries: int = 0
    limit: float | None = None
    fresh: bool = False


@dataclass
class _Boots:
    """The boots of one cell so far."""

    takes: list[Cell] = field(default_factory=list)
    retried: list[Cell] = field(default_factory=list)

    def add(self, cell: Cell, policy: Policy) -> None:
        count = len(self.takes) + len(self.retried)
        cell = renamed_copy(cell, str(count + 1)) if count else cell
        again = _worth_a_boot(cell) and len(self.retried) < policy.retries
        (self.retried if again else self.takes).append(cell)

    def complete(self, policy: Policy) -> bool:
        return len(self.takes) >= policy.repeat or any(t.status is Status.SKIP for t in self.takes)


def _worth_a_boot(cell: Cell) -> bool:
    if cell.status is not Status.MISS or disk_full(cell):
        return False
    return cell.failure is None or cell.failure.kind not in LASTING


def disk_full(cell: Cell) -> bool:
    """Whether a cell ended for want of space, as the next ones would."""
    failure = cell.failure
    return failure is not None and os.strerror(errno.ENOSPC).lower() in failure.summary.lower()


def execute(
    batch: Batch, tools: Tools, folder: Folder, policy: Policy
) -> Generator[Cell, None, None]:
    """Run the cells of `batch`, hand out each record when all its boots are done.

    A MISS gets another boot; a FAIL does not, for it is the kernel's. Errors of the harness itself
    and Ctrl-C pass through.
    """
    boots = {request.name: _Boots() for request in batch}
    left = batch
    tools = replace(tools, limit=policy.limit)
    with Meter() as meter:
        for boot in itertools.count(1):
            # Who asks for more than one boot wants to see what differs between them.
            fresh = policy.fresh or policy.repeat > 1 or boot > 1
            running = run_batch(
                left, replace(tools, fresh=fresh), functools.partial(folder, boot=boot)
            )
            # A generator: closing it ends the guest that it keeps for the next cell.
            with contextlib.closing(running):
                for cell in running:
                    cell.usage = meter.take()
                    mine = boots[cell.name]
                    mine.add(cell, policy)
                    if mine.complete(policy):
                        yield merge_takes(mine.takes, mine.retried)
            left = tuple(r for r in left if not boots[r.name].complete(policy))
            if not left:
                return
