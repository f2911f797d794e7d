# SPDX-License-Identifier: GPL-2.0-only
"""The one loop that runs cells: whoever wants some asks it, as often as needed in one run."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import DiskFullError, MachineError
from harness.base.scratch import sweep
from harness.evaluate.cell.batch import batches
from harness.evaluate.engine import known_paths, timings, unchanged
from harness.evaluate.engine.crew import Crew
from harness.evaluate.engine.judging import judge_by, run_status, summary_of
from harness.evaluate.engine.queue import Budget, Order, RunLimit
from harness.evaluate.engine.status import State, StatusFile
from harness.evaluate.engine.task import Policy, Task
from harness.evaluate.events import CellDone, Event, GuestStarted, Listener, to_all, to_nobody
from harness.evaluate.plan.plan import CellRequest, Plan
from harness.evaluate.progress import Progress
from harness.hosts.qemu.binary import QemuBinary
from harness.kernel.build import is_built
from harness.results.records import Cell, Run, Status
from harness.results.repeats import merge_takes
from harness.results.store import RunStore

AfterRun = Callable[[Run, Path], None]  # with the record on disk, and the run's folder


@dataclass(frozen=True)
class Surroundings:
    """What an engine works with: who runs the cells, who is told, and what follows the run.

    `way_on` says how a run is gone on with that ended early; `{run}` in it is the run's name.
    """

    crew: Crew
    progress: Progress
    qemu: QemuBinary
    way_on: str
    listener: Listener = to_nobody
    after: AfterRun = lambda _run, _folder: None


class Engine:
    """One run of cells: they are run, or taken over, judged by a plan, and recorded.

    A context manager: however it ends, the record of what is done is written. Cells that `record`
    has already are not run again.
    """

    def __init__(self, store: RunStore, record: Run, plan: Plan, around: Surroundings) -> None:
        self.store, self.record, self.plan, self.around = store, record, plan, around
        # None: what the cells and the plan give.
        self.status: Status | None = None
        self.stopped = ""  # why no other cell is started
        self._requests: dict[str, CellRequest] = {}  # in the order in which they were announced
        self._dropped: set[str] = set()
        self._boots: dict[str, list[Cell]] = {}  # of cells of this run, where there are several
        self._aside: Counter[str] = Counter()  # boots beside the record of a cell
        self._done = {cell.name: cell for cell in record.cells}
        self._new: dict[str, Cell] = {}
        self._before = record.run.seconds
        self._known = timings.load()
        self._policy = Policy(plan.repeat, plan.retries, plan.limits.cell, plan.fresh)

    def __enter__(self) -> Engine:
        sweep()
        self._started = time.monotonic()
        self._limit = RunLimit(self.plan.limits.run)
        self.around.crew.hold(self.store.lock)
        self._statusfile = StatusFile(self.store.folder, self.record.run.plan, before=self._before)
        done = Counter(cell.status for cell in self.record.cells)
        self.around.progress.plan(0, {}, done=done, jobs=self.around.crew.jobs)
        self.around.progress.show(self._statusfile)
        self.store.write(self.record)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        if kind is not None:
            self.around.crew.stop()
        self.around.progress.stop()
        state: State = "finished"
        if kind is not None or self._missing():
            state = "stopped" if self.stopped else "interrupted"
        try:
            try:
                self._write(complete=state == "finished")
            finally:
                self._statusfile.end(state)
        except DiskFullError as full:
            raise self._way_on(full) from None
        self.around.after(self.record, self.store.folder)
        if isinstance(error, DiskFullError):
            raise self._way_on(error) from None

    def announce(self, requests: Sequence[CellRequest]) -> None:
        """Say which cells are wanted: the order of the record, and what the progress counts."""
        self._requests.update((request.name, request) for request in requests)
        self._plan_progress()

    def drop(self, requests: Sequence[CellRequest]) -> None:
        """Say that cells are not wanted after all."""
        self._dropped |= {request.name for request in requests} - self._done.keys()
        self._plan_progress()

    def run(self, requests: Sequence[CellRequest]) -> list[Cell]:
        """Run those cells that are not recorded yet; return the records of all that are done.

        Fewer come back than were asked for when the run is `stopped`. Raise what a record cannot
        hold: DiskFullError without room for it, bugs of the harness, KeyboardInterrupt.
        """
        self.announce([request for request in requests if request.name not in self._requests])
        wanted = [request.name for request in requests]
        self._take_over(self._left(requests))
        batched = batches(self._left(requests))
        self._work([self._task(batch, self._policy) for batch in batched])
        return [self._done[name] for name in wanted if name in self._done]

    def boot_again(self, request: CellRequest) -> Cell | None:
        """Boot a cell of this run once more, which becomes a repeat in its record.

        Return the record of this boot alone; None when the run is `stopped`.
        """
        before = self._boots.setdefault(request.name, [self._done[request.name]])
        count = len(before)
        self._plan_progress()
        policy = Policy(limit=self._policy.limit, fresh=True)
        self._work([self._task((request,), policy, boots_before=count)])
        return before[-1] if len(before) > count else None

    def boot_aside(self, request: CellRequest, *, boot_only: bool = False) -> Cell | None:
        """Boot a cell of this run once more and return that record; the cell's own stays as it is.

        With `boot_only` no guest runs on the host that boots. Return None when the run is
        `stopped`.
        """
        known = self._done.get(request.name)
        before = self._aside[request.name] + (known.repeats + len(known.retried) if known else 0)
        self._aside[request.name] += 1
        self._plan_progress()
        policy = Policy(limit=self._policy.limit, fresh=True, boot_only=boot_only)
        found: list[Cell] = []

        def take(cell: Cell) -> None:
            found.append(cell)
            self.around.progress(CellDone(cell.name, cell.status, summary_of(cell)))

        self._work([self._task((request,), policy, boots_before=before)], take)
        return found[0] if found else None

    def revise(self, cell: Cell) -> None:
        """Record `cell` in the place of the record of its name, judged anew."""
        self._done[cell.name] = self._new[cell.name] = cell
        self.record.cells = list(self._done.values())
        judge_by(self.plan, cell, self.record.cells)
        self.store.add(cell)

    def go_on(self) -> None:
        """Raise MachineError with the way on when the run is `stopped`."""
        if self.stopped:
            raise MachineError(still_to_do(self.record, self.around.way_on))

    def _task(self, batch: tuple[CellRequest, ...], policy: Policy, boots_before: int = 0) -> Task:
        return Task(batch, self.around.qemu, policy, self.store.folder, boots_before)

    def _left(self, requests: Sequence[CellRequest]) -> list[CellRequest]:
        return [request for request in requests if request.name not in self._done]

    def _missing(self) -> set[str]:
        return self._requests.keys() - self._done.keys() - self._dropped

    def _plan_progress(self) -> None:
        again = sum(len(boots) for boots in self._boots.values()) + self._aside.total()
        names = [name for name in self._requests if name not in self._dropped]
        guesses = {n: timings.guess(n, self._known) for n in names if n not in self._done}
        expected = {name: took.seconds for name, took in guesses.items() if took}
        self.around.progress.plan(len(names) + again, expected, jobs=self.around.crew.jobs)

    def _take_over(self, requests: Sequence[CellRequest]) -> None:
        """Record those cells that have not changed since an earlier run."""
        if not self.plan.skip_unchanged or not requests:
            return
        folder = self.store.folder
        for cell in unchanged.carry_over(
            requests, self.around.qemu, self.plan.repeat, folder.parent, folder
        ):
            self._keep(cell)

    def _work(self, tasks: Sequence[Task], keep: Callable[[Cell], None] | None = None) -> None:
        """Run tasks until they are done or the run is stopped; record each cell as it ends.

        `keep` is called with each cell in the place of recording it.
        """
        keep = keep or self._keep
        if not tasks:
            return
        crew, progress = self.around.crew, self.around.progress
        order = Order(
            [task.batch for task in tasks],
            self._known,
            Budget.here() if crew.jobs > 1 else None,
            limit=self._limit,
            built=lambda batch: is_built(batch[0].kernel),
        )
        order.stopped = self.stopped
        tell = to_all(progress, self._prepare, self.around.listener)
        try:
            with contextlib.closing(crew.run(tasks, order, tell)) as cells:
                for cell in cells:
                    keep(cell)
                    if cell.failure and cell.failure.kind.stops_run:
                        order.stop(cell.failure.summary)
        except DiskFullError as error:
            order.stop(str(error))
            raise
        finally:
            if order.stopped and (order.left or self._missing()):
                self.stopped = self.record.run.stopped = order.stopped

    def _prepare(self, event: Event) -> None:
        """Get ready while a guest boots what is wanted when it has ended."""
        if isinstance(event, GuestStarted):
            unchanged.harness_hash()  # reads all of the harness, once

    def _keep(self, boot: Cell) -> None:
        """Judge a finished cell, or one more boot of it, and put it on disk."""
        boots = self._boots.get(boot.name)
        if boots is None:
            cell = boot
            if cell.kernel.build_key and not cell.carried:
                request, key = self._requests[cell.name], cell.kernel.build_key
                cell.inputs = unchanged.inputs_hash(
                    request, key, self.around.qemu, self.plan.repeat
                )
        else:
            boots.append(boot)
            cell = merge_takes(boots, []).model_copy(update={"inputs": ""})
        self._done[cell.name] = self._new[cell.name] = cell
        self.record.cells = list(self._done.values())
        judge_by(self.plan, cell, self.record.cells)
        self.store.add(cell)
        self.around.progress(CellDone(boot.name, boot.status, summary_of(boot)))

    def _write(self, *, complete: bool) -> None:
        """Write the whole record, in the order of the announcements, whatever was done first."""
        record, places = self.record, {name: at for at, name in enumerate(self._requests)}
        record.cells.sort(key=lambda cell: places.get(cell.name, len(places)))
        for cell in record.cells:  # the reference of a mutant may have come after it
            judge_by(self.plan, cell, record.cells)
        record.run.interrupted = not complete
        record.run.seconds = round(self._before + time.monotonic() - self._started, 3)
        record.status = run_status(record, self.plan) if self.status is None else self.status
        self.store.write(record)
        with contextlib.suppress(OSError, MachineError):  # a guess less the next time
            timings.remember(self._new.values())
            known_paths.remember((self._requests[name], cell) for name, cell in self._new.items())

    def _way_on(self, error: DiskFullError) -> DiskFullError:
        again = self.around.way_on.format(run=self.record.run.id)
        return DiskFullError(f"{error}, then {again}")


def still_to_do(record: Run, way_on: str) -> str:
    """Return why a run ended before its last cell, and the way on; "" for a complete one."""
    info = record.run
    if not info.interrupted:
        return ""
    why = info.stopped or "interrupted"
    return f"stopped: {why}: {way_on.format(run=info.id)}"
