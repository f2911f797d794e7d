# SPDX-License-Identifier: GPL-2.0-only
"""Who runs the batches: this process one after the other, or workers side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from typing import Protocol

from harness.evaluate.cell.batch import Batch
from harness.evaluate.cell.cell import Tools
from harness.evaluate.engine.execute import Folder, Policy, execute
from harness.evaluate.engine.queue import Order
from harness.evaluate.events import Listener
from harness.hosts.qemu.binary import QemuBinary
from harness.results.records import Cell

Cells = Generator[Cell, None, None]  # to be closed: it ends the guests that still run


class Crew(Protocol):
    """A context manager; nothing that it started is left afterwards."""

    def __enter__(self) -> Crew: ...
    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None: ...
    def run(self, order: Order, listener: Listener) -> Cells:
        """Run the batches as `order` says; each cell's record as soon as it is done."""


class Here:
    """This process alone."""

    def __init__(
        self,
        batches: Sequence[Batch],
        qemu: QemuBinary,
        folder: Folder,
        policy: Policy,
    ) -> None:
        self._batches, self._qemu, self._folder = batches, qemu, folder
        self._policy = policy

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, order: Order, listener: Listener) -> Cells:
        """See Crew."""
        tools = Tools(self._qemu, listener)
        while (number := order.next(())) is not None:
            batch = self._batches[number]
            with contextlib.closing(execute(batch, tools, self._folder, self._policy)) as cells:
                for cell in cells:
                    yield cell
                    if order.over():
                        return


def crew_for(
    jobs: int,
    batches: Sequence[Batch],
    qemu: QemuBinary,
    folder: Folder,
    policy: Policy,
) -> Crew:
    """Whoever runs `jobs` batches at once. Call it before any thread is started."""
    jobs = min(jobs, len(batches))
    if jobs > 1:
        from harness.evaluate.engine.workers import Workers  # noqa: PLC0415 - most runs have none

        return Workers(jobs, batches, qemu, folder, policy)
    return Here(batches, qemu, folder, policy)
