# SPDX-License-Identifier: GPL-2.0-only
"""Batches: the cells of one kernel on one machine, which run one after the other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from harness.evaluate.cell.cell import Tools, run_cell
from harness.evaluate.plan.plan import CellRequest
from harness.hosts.pool import HostPool
from harness.kernel.spec import KernelSpec
from harness.results.records import Cell

Batch = tuple[CellRequest, ...]


def batches(requests: Sequence[CellRequest]) -> list[Batch]:
    """Return the cells in groups of one kernel and one machine, in the order of first cells."""
    groups: dict[tuple[KernelSpec, str], list[CellRequest]] = {}
    for request in requests:
        groups.setdefault((request.kernel, request.machine.name), []).append(request)
    return [tuple(group) for group in groups.values()]


def run_batch(
    batch: Batch, tools: Tools, folder: Callable[[str], Path]
) -> Generator[Cell, None, None]:
    """Run the cells of `batch` and yield each record when its cell is done.

    `folder(name)` makes and returns the folder for the logs of the cell `name`. Errors are in the
    records, as run_cell() has them.
    """
    pool = HostPool()
    with pool:
        for request in batch:
            last = request is batch[-1]
            yield run_cell(request, tools, folder(request.name), pool, last=last)
