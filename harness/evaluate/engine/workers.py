# SPDX-License-Identifier: GPL-2.0-only
"""Tasks side by side, each in a worker: a process that was forked from this one.

A process has a main thread of its own, so a signal ends a worker's guests in the same good order
as those of a run that has but one. Of a worker that dies, only the task it had is lost.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler, recv_handle, send_handle

from harness.base.errors import ExitCode, MachineError
from harness.base.process import die_with_parent
from harness.base.signals import end_in_good_order, signals_held
from harness.evaluate.cell.cell import blank
from harness.evaluate.engine.execute import Cells, execute
from harness.evaluate.engine.queue import Order
from harness.evaluate.engine.task import Task
from harness.evaluate.events import Listener
from harness.results.failure_kinds import FailureKind
from harness.results.records import Cell, Failure

TERM_SECONDS = 60.0  # for a worker's guests and builds to end


@dataclass(frozen=True)
class _Hold:
    """To a worker: the descriptor of a lock follows."""


@dataclass(frozen=True)
class _TaskEnded:
    """From a worker: it waits for the next task."""


@dataclass(frozen=True)
class _Failed:
    """From a worker: what a record cannot hold, and where it was raised."""

    error: BaseException
    trace: str


class WorkerTraceback(Exception):  # noqa: N818 - it is where an error came from
    """The traceback of an error that a worker has raised."""

    def __str__(self) -> str:
        return f"\n\nin a worker process:\n{self.args[0]}"


@dataclass
class _Worker:
    process: BaseProcess
    link: Connection
    task: int | None = None
    left: list[str] = field(default_factory=list)  # cells of the task without a record


class Workers:
    """A Crew of `jobs` processes, each of which waits for a task."""

    def __init__(self, jobs: int, work: Callable[[Task, Listener], Cells] = execute) -> None:
        """`work` is what a worker does with a task."""
        self.jobs = jobs
        self._work = work
        self._workers: list[_Worker] = []

    def __enter__(self) -> Workers:
        try:
            for number in range(self.jobs):
                self._fork(f"s2eval-worker-{number + 1}")
        except BaseException:
            self._end(now=True)
            raise
        return self

    def _fork(self, name: str) -> None:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        links = [worker.link for worker in self._workers] + [ours]
        live = (theirs, links, os.getpid(), self._work)
        process = context.Process(target=_live, args=live, name=name)
        try:
            with signals_held():  # a process that was started is known, and ended
                process.start()
                self._workers.append(_Worker(process, ours))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Let workers that wait end by themselves; tell them to when something went wrong."""
        self._end(now=kind is not None)

    def _end(self, *, now: bool) -> None:
        for worker in self._workers:
            worker.link.close()
            if now and worker.process.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.process.pid or 0, signal.SIGTERM)
        for worker in self._workers:
            worker.process.join(TERM_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers.clear()

    def stop(self) -> None:
        """See Crew."""
        self._end(now=True)

    def hold(self, lock: int) -> None:
        """See Crew: the lock is gone when the last worker is."""
        for worker in self._workers:
            with contextlib.suppress(OSError):  # a worker that has died
                worker.link.send(_Hold())
                send_handle(worker.link, lock, worker.process.pid)

    def run(self, tasks: Sequence[Task], order: Order, listener: Listener) -> Cells:
        """See Crew. MachineError when no worker is left for what is still to be done."""
        while True:
            for worker in [w for w in self._workers if w.task is None]:
                self._start(worker, tasks, order)
            busy = {w.link: w for w in self._workers if w.task is not None}
            if not busy:
                break
            for link in wait(list(busy)):
                yield from self._receive(busy[link], tasks, listener)  # type: ignore[index]
        if not self._workers and order.left and not order.over():
            raise MachineError("all worker processes have ended")

    def running(self) -> list[int]:
        """Return the numbers of the tasks that are being run."""
        return [worker.task for worker in self._workers if worker.task is not None]

    def _start(self, worker: _Worker, tasks: Sequence[Task], order: Order) -> None:
        number = order.next(self.running())
        if number is None:
            return
        worker.task = number
        worker.left = tasks[number].cells
        with contextlib.suppress(OSError):  # a worker that has died: its link ends
            worker.link.send(tasks[number])

    def _receive(
        self, worker: _Worker, tasks: Sequence[Task], listener: Listener
    ) -> Iterator[Cell]:
        """Take one message of a worker; of one that has died, yield the cells that are lost."""
        try:
            message = worker.link.recv()
        except (EOFError, OSError):
            yield from self._lost(worker, tasks)
            return
        if isinstance(message, Cell):
            worker.left.remove(message.name)
            yield message
        elif isinstance(message, _TaskEnded):
            worker.task = None
        elif isinstance(message, _Failed):
            worker.task = None
            raise message.error from WorkerTraceback(message.trace)
        else:
            listener(message)

    def _lost(self, worker: _Worker, tasks: Sequence[Task]) -> Iterator[Cell]:
        worker.process.join(TERM_SECONDS)
        self._workers.remove(worker)
        worker.link.close()
        code = worker.process.exitcode or 0
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        summary = f"the worker process of this cell ended with {how}"
        for request in tasks[worker.task].batch if worker.task is not None else ():
            if request.name in worker.left:
                cell = blank(request)
                cell.failure = Failure(kind=FailureKind.MACHINE, summary=summary, where="harness")
                yield cell


def _live(
    link: Connection,
    others: Sequence[Connection],
    parent: int,
    work: Callable[[Task, Listener], Cells],
) -> None:
    """The life of a worker: tasks as they are handed out, until there are no more."""
    try:
        end_in_good_order()
        die_with_parent(parent, signal.SIGTERM)
        for other in others:  # ends of the links of other workers, that came along
            other.close()
        while True:
            try:
                message = link.recv()
                if isinstance(message, _Hold):
                    recv_handle(link)  # and keep it
                    continue
            except (EOFError, OSError):
                return
            _work_on(message, link, work)
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(ExitCode.INTERRUPTED)


def _work_on(task: Task, link: Connection, work: Callable[[Task, Listener], Cells]) -> None:
    one_at_a_time = threading.Lock()  # any thread may tell of an event

    def send(message: object) -> None:
        with one_at_a_time:
            link.send(message)

    try:
        with contextlib.closing(work(task, send)) as cells:
            for cell in cells:
                send(cell)
        send(_TaskEnded())
    except BrokenPipeError:
        raise
    except Exception as error:  # it ends the run, in the process that has begun it
        send(_failed(error))


def _failed(error: Exception) -> _Failed:
    """The error as a message; one that cannot be sent becomes a RuntimeError in its words."""
    trace = traceback.format_exc()
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:  # whatever the pickling of an exception may raise
        return _Failed(RuntimeError(f"{type(error).__name__}: {error}"), trace)
    return _Failed(error, trace)
