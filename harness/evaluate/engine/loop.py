# SPDX-License-Identifier: GPL-2.0-only
"""One execution of the cells of a plan: each is recorded as it finishes, in whatever order."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.app.after_run import afterwards
from harness.base.errors import DiskFullError
from harness.base.scratch import sweep
from harness.evaluate.cell.batch import batches
from harness.evaluate.engine import known_paths, timings, unchanged
from harness.evaluate.engine.crew import crew_for
from harness.evaluate.engine.execute import Policy, disk_full
from harness.evaluate.engine.queue import Budget, Order
from harness.evaluate.engine.status import State, StatusFile
from harness.evaluate.events import CellDone, Event, GuestStarted, Listener, to_all, to_nobody
from harness.evaluate.plan.expect import judge, unexpected
from harness.evaluate.plan.mutants import concerning, judge_caught
from harness.evaluate.plan.plan import CellRequest, Plan
from harness.evaluate.progress import Progress
from harness.hosts.qemu.binary import QemuBinary
from harness.kernel.build import is_built
from harness.results.records import Cell, Run, Status, worst
from harness.results.store import RunStore


@dataclass(frozen=True)
class Options:
    """How a run is carried out, whatever the plan.

    `progress` makes what shows the run; `listener` is told of all events, too. `page`: write the
    run's page, also that of an interrupted one.
    """

    jobs: int = 1
    progress: Callable[[], Progress] = Progress
    listener: Listener = to_nobody
    page: bool = False


class Loop:
    """One execution of a plan's cells that are not in `record` yet."""

    def __init__(
        self,
        plan: Plan,
        requests: Sequence[CellRequest],
        record: Run,
        store: RunStore,
        qemu: QemuBinary,
        options: Options,
    ) -> None:
        self.plan, self.requests, self.record = plan, requests, record
        self.store, self.qemu, self.options = store, qemu, options
        self.places = {request.name: at for at, request in enumerate(requests)}
        self.before = record.run.seconds
        self.started = time.monotonic()
        self.new: list[Cell] = []

    def run(self) -> Run:
        """Run them, and write the record however it ends."""
        try:
            return self._run()
        except DiskFullError as error:
            again = f"s2eval run --resume {self.store.folder.name}"
            raise DiskFullError(f"{error}, then go on with '{again}'") from None

    def _run(self) -> Run:
        sweep()
        state: State = "interrupted"
        folder, name = self.store.folder, self.record.run.plan
        watched = StatusFile(folder, name, total=len(self.requests), before=self.before)
        try:
            self._cells(watched)
            state = "stopped" if self.record.run.stopped else "finished"
        finally:
            try:
                self._write()
            finally:
                watched.end(state)
            afterwards(self.record, folder, self.plan, page=self.options.page)
        return self.record

    def _cells(self, watched: StatusFile) -> None:
        plan, options = self.plan, self.options
        before = [cell.name for cell in self.record.cells]
        for cell in self._carried([r for r in self.requests if r.name not in before]):
            self._keep(cell)
        done = {cell.name for cell in self.record.cells}
        left = [request for request in self.requests if request.name not in done]
        known = timings.load()
        work = batches(left)
        order = Order(
            work,
            known,
            Budget.here() if options.jobs > 1 else None,
            limit=plan.limits.run,
            built=lambda batch: is_built(batch[0].kernel),
        )
        policy = Policy(plan.repeat, plan.retries, plan.limits.cell, plan.fresh)
        folder = self.store.cell_folder
        crew = crew_for(options.jobs, work, self.qemu, folder, policy)
        with crew, options.progress() as progress:
            progress.show(watched)
            guesses = {r.name: timings.guess(r.name, known) for r in left}
            progress.plan(
                len(self.requests),
                {name: took.seconds for name, took in guesses.items() if took},
                done=Counter(c.status for c in self.record.cells if c.name in before),
                jobs=options.jobs,
            )
            for cell in self.new:
                progress(CellDone(cell.name, cell.status, summary_of(cell)))
            with contextlib.closing(crew.run(order, to_all(progress, self._prepare))) as cells:
                self._collect(cells, order, progress)

    def _prepare(self, event: Event) -> None:
        """Get ready while a guest boots what is wanted when it has ended."""
        if isinstance(event, GuestStarted):
            unchanged.harness_hash()  # reads all of the harness, once
        self.options.listener(event)

    def _collect(self, cells: Iterator[Cell], order: Order, progress: Progress) -> None:
        try:
            for cell in cells:
                self._keep(cell)
                progress(CellDone(cell.name, cell.status, summary_of(cell)))
                if disk_full(cell) and cell.failure:
                    order.stop(cell.failure.summary)
        except DiskFullError as error:
            order.stop(str(error))
            raise
        finally:
            if len(self.record.cells) < len(self.requests):
                self.record.run.stopped = order.stopped

    def _carried(self, left: Sequence[CellRequest]) -> Iterator[Cell]:
        if not self.plan.skip_unchanged or not left:
            return iter(())
        folder = self.store.folder
        return unchanged.carry_over(left, self.qemu, self.plan.repeat, folder.parent, folder)

    def _keep(self, cell: Cell) -> None:
        """Judge a finished cell and put it on disk."""
        request = self.requests[self.places[cell.name]]
        if cell.kernel.build_key and not cell.carried:
            key = cell.kernel.build_key
            cell.inputs = unchanged.inputs_hash(request, key, self.qemu, self.plan.repeat)
        cell.expectations = judge(cell, self.plan.expect)
        cell.expectations += judge_caught(cell, self.plan.caught, self.record.cells)
        self.store.add(cell)
        self.record.cells.append(cell)
        self.new.append(cell)

    def _write(self) -> None:
        """The whole record, in the plan's order, whatever was done first."""
        record, plan = self.record, self.plan
        record.cells.sort(key=lambda cell: self.places[cell.name])
        for cell in record.cells:  # the reference of a mutant may have come after it
            cell.expectations = judge(cell, plan.expect)
            cell.expectations += judge_caught(cell, plan.caught, record.cells)
        record.run.interrupted = len(record.cells) < len(self.requests)
        record.run.seconds = round(self.before + time.monotonic() - self.started, 3)
        record.status = run_status(record, plan)
        self.store.write(record)
        with contextlib.suppress(OSError):  # a guess less the next time
            timings.remember(self.new)
            known_paths.remember((self.requests[self.places[cell.name]], cell) for cell in self.new)


def summary_of(cell: Cell) -> str:
    """One line: the failure, or how many observations of each status."""
    if cell.carried:
        return f"unchanged since {cell.carried}"
    again = f" (boot {len(cell.retried) + 1})" if cell.retried else ""
    if cell.failure:
        return cell.failure.summary + again
    counts = {s: sum(o.status == s for o in cell.outcomes()) for s in Status}
    return ", ".join(f"{n} {s.value}" for s, n in counts.items() if n) + again


def run_status(record: Run, plan: Plan) -> Status:
    """The run's verdict: a FAIL that the plan expects, or waits for, is no failure of the run."""
    statuses = [Status.MISS] if record.run.interrupted else []
    for cell in record.cells:
        statuses += [e.status for e in cell.expectations]
        if not concerning(cell, plan.caught) and unexpected(cell, plan.expect):
            statuses.append(Status.FAIL)
        statuses += [o.status for o in cell.outcomes() if o.status != Status.FAIL]
        if not cell.outcomes():
            statuses.append(cell.status)
    return worst(statuses)
