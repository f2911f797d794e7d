# SPDX-License-Identifier: GPL-2.0-only
"""What runs tasks: this process, one after the other, or worker processes side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Protocol

from harness.evaluate.engine.execute import Cells, execute
from harness.evaluate.engine.queue import Order
from harness.evaluate.engine.task import Task
from harness.evaluate.events import Listener


class Crew(Protocol):
    """A context manager that runs tasks, `jobs` at once; nothing that it started is left behind.

    A task is data, so that a crew may send it elsewhere.
    """

    jobs: int

    def __enter__(self) -> Crew: ...
    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None: ...

    def stop(self) -> None:
        """End all that still runs; nothing can be run afterwards."""

    def hold(self, lock: int) -> None:
        """Keep the lock of a run, a descriptor, as long as something may write to its folder."""

    def run(self, tasks: Sequence[Task], order: Order, listener: Listener) -> Cells:
        """Run `tasks` as `order` says; yield each cell's record as soon as it is done.

        Raise what a cell's record cannot hold: a full disk, a bug of the harness.
        """


class ThisProcess:
    """A Crew of this process alone."""

    jobs = 1

    def __enter__(self) -> ThisProcess:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def stop(self) -> None:
        """See Crew: what runs here ends with run()."""

    def hold(self, lock: int) -> None:
        """See Crew: this process has the lock."""

    def run(self, tasks: Sequence[Task], order: Order, listener: Listener) -> Cells:
        """See Crew."""
        while (number := order.next(())) is not None:
            with contextlib.closing(execute(tasks[number], listener)) as cells:
                for cell in cells:
                    yield cell
                    if order.over():
                        return


def crew_for(jobs: int) -> Crew:
    """Return what runs `jobs` tasks at once. Enter it before any thread is started: it forks."""
    if jobs > 1:
        from harness.evaluate.engine.workers import Workers  # noqa: PLC0415 - most runs have none

        return Workers(jobs)
    return ThisProcess()
