# SPDX-License-Identifier: GPL-2.0-only
"""Batches side by side, each in a worker: a process that was forked from this one.

A process has a main thread of its own, so a signal ends a worker's guests in the same good order
as those of a run that has but one. Of a worker that dies, only the batch it had is lost.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from harness.base.errors import ExitCode, MachineError, S2EvalError
from harness.base.process import die_with_parent
from harness.base.signals import end_in_good_order
from harness.evaluate.cell.batch import Batch
from harness.evaluate.cell.cell import Tools, blank
from harness.evaluate.engine.execute import Folder, Policy, execute
from harness.evaluate.engine.queue import Order
from harness.evaluate.events import Listener
from harness.hosts.qemu.binary import QemuBinary
from harness.results.failure_kinds import FailureKind
from harness.results.records import Cell, Failure

TERM_SECONDS = 60.0  # for a worker's guests and builds to end


@dataclass
class _Worker:
    process: BaseProcess
    link: Connection
    batch: int | None = None
    left: list[str] = field(default_factory=list)  # cells of the batch without a record


class Workers:
    """A context manager around `jobs` processes. Make it before any thread is started."""

    def __init__(
        self,
        jobs: int,
        batches: Sequence[Batch],
        qemu: QemuBinary,
        folder: Folder,
        policy: Policy,
    ) -> None:
        self._batches = batches
        self._workers: list[_Worker] = []
        context = multiprocessing.get_context("fork")
        for number in range(jobs):
            ours, theirs = context.Pipe()
            links = [worker.link for worker in self._workers] + [ours]
            work = (theirs, links, os.getpid(), batches, qemu, folder, policy)
            process = context.Process(target=_work, args=work, name=f"s2eval-worker-{number + 1}")
            process.start()
            theirs.close()
            self._workers.append(_Worker(process, ours))

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Idle workers end by themselves when their link is closed; others are told to."""
        for worker in self._workers:
            worker.link.close()
            if kind is not None and worker.process.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.process.pid or 0, signal.SIGTERM)
        for worker in self._workers:
            worker.process.join(TERM_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def run(self, order: Order, listener: Listener) -> Generator[Cell, None, None]:
        """Hand out batches as `order` says, and give back each cell as it is done."""
        while True:
            for worker in [w for w in self._workers if w.batch is None]:
                self._start(worker, order)
            busy = {w.link: w for w in self._workers if w.batch is not None}
            if not busy:
                return
            for link in wait(list(busy)):
                yield from self._told(busy[link], listener)  # type: ignore[index]

    def running(self) -> list[int]:
        """The numbers of the batches that are being run."""
        return [worker.batch for worker in self._workers if worker.batch is not None]

    def _start(self, worker: _Worker, order: Order) -> None:
        number = order.next(self.running())
        if number is None:
            return
        worker.batch = number
        worker.left = [request.name for request in self._batches[number]]
        with contextlib.suppress(OSError):  # a worker that has died: its link ends
            worker.link.send(number)

    def _told(self, worker: _Worker, listener: Listener) -> Iterator[Cell]:
        """What a worker says next; of one that has died, the cells it has lost."""
        try:
            what, *rest = worker.link.recv()
        except (EOFError, OSError):
            yield from self._lost(worker)
            return
        if what == "event":
            listener(rest[0])
        elif what == "cell":
            worker.left.remove(rest[0].name)
            yield rest[0]
        elif what == "end":
            worker.batch = None
        else:
            raise rest[0]

    def _lost(self, worker: _Worker) -> Iterator[Cell]:
        worker.process.join(TERM_SECONDS)
        self._workers.remove(worker)
        worker.link.close()
        code = worker.process.exitcode or 0
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        summary = f"the worker process of this cell ended with {how}"
        for request in self._batches[worker.batch] if worker.batch is not None else ():
            if request.name in worker.left:
                cell = blank(request)
                cell.failure = Failure(kind=FailureKind.MACHINE, summary=summary, where="harness")
                yield cell
        if not self._workers:
            raise MachineError("all worker processes have ended; go on with s2eval run --resume")


def _work(
    link: Connection,
    others: Sequence[Connection],
    parent: int,
    batches: Sequence[Batch],
    qemu: QemuBinary,
    folder: Folder,
    policy: Policy,
) -> None:
    """The life of a worker: batches as they are handed out, until there are no more."""
    end_in_good_order()
    die_with_parent(parent, signal.SIGTERM)
    for other in others:  # ends of the links of other workers, that came along
        other.close()
    tools = Tools(qemu, lambda event: link.send(("event", event)))
    try:
        while True:
            try:
                number = link.recv()
            except (EOFError, OSError):
                return
            _run(link, batches[number], tools, folder, policy)
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(ExitCode.INTERRUPTED)


def _run(link: Connection, batch: Batch, tools: Tools, folder: Folder, policy: Policy) -> None:
    try:
        with contextlib.closing(execute(batch, tools, folder, policy)) as cells:
            for cell in cells:
                link.send(("cell", cell))
        link.send(("end",))
    except S2EvalError as error:
        link.send(("error", error))
