# SPDX-License-Identifier: GPL-2.0-only
"""Cells without a guest: what stands in for run_batch(), and what an engine is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.evaluate.cell.batch import Batch
from harness.evaluate.cell.cell import Tools, blank
from harness.evaluate.engine.crew import Crew, ThisProcess
from harness.evaluate.engine.engine import AfterRun, Engine, Surroundings
from harness.evaluate.engine.new_run import new_run
from harness.evaluate.events import Event, GuestStarted, PhaseBegan
from harness.evaluate.plan.plan import CellRequest, Plan, cells_of
from harness.evaluate.progress import Progress, Snapshot
from harness.hosts.qemu.binary import QemuBinary
from harness.results.failure_kinds import FailureKind
from harness.results.phases import PhaseName
from harness.results.records import Cell, Failure, KernelRecord, Observation, Run, Status
from harness.results.store import RunStore

QEMU = QemuBinary(Path("/none"), (), "10.0.0", (10, 0, 0))
PLAN = Plan(
    kernels=["debian-6.1", "debian-6.12"],
    machines=["flat-tcg"],
    suites=["wcprobe", "stage-types"],
    retries=0,
)
REQUESTS = cells_of(PLAN)  # two batches of two cells
WAY_ON = "go on with 's2eval run --resume {run}'"


def passed(request: CellRequest) -> Cell:
    """A cell whose guest came to its end."""
    cell = blank(request)
    cell.status = Status.PASS
    cell.kernel = KernelRecord(name=request.kernel.name, build_key="key")
    cell.observations = [Observation(path=f"{request.suite.name}.x", status=Status.PASS)]
    return cell


def failed(request: CellRequest, kind: FailureKind, summary: str) -> Cell:
    """A cell that ended early."""
    cell = blank(request)
    cell.failure = Failure(kind=kind, summary=summary, where="harness")
    return cell


@dataclass
class FakeBatches:
    """In the place of run_batch(): `boot` gives each cell; `booted` are the names, in order."""

    boot: Callable[[CellRequest], Cell] = passed
    booted: list[str] = field(default_factory=list)
    tools: list[Tools] = field(default_factory=list)
    closed: int = 0

    def __call__(self, batch: Batch, tools: Tools, folder: Callable[[str], Path]) -> Iterator[Cell]:
        try:
            for request in batch:
                self.tools.append(tools)
                logs = folder(request.name)
                (logs / "console.log").write_text("x\n")
                tools.listener(PhaseBegan(request.name, PhaseName.PROBE))
                tools.listener(GuestStarted(request.name, 0))
                self.booted.append(request.name)
                cell = self.boot(request)
                cell.logs = ["console.log"]
                yield cell
        finally:
            self.closed += 1


@dataclass
class Watcher:
    """A view that keeps what it is shown, and when it was stopped."""

    events: list[Event] = field(default_factory=list)
    last: Snapshot = field(default_factory=Snapshot)
    stopped: bool = False

    def start(self, look: Callable[[], Snapshot]) -> None:
        self.last = look()

    def event(self, event: Event, now: Snapshot) -> None:
        self.events.append(event)
        self.last = now

    def tick(self, now: Snapshot) -> None:
        self.last = now

    def stop(self) -> None:
        self.stopped = True


def engine_for(
    plan: Plan,
    *,
    resumed: tuple[RunStore, Run] | None = None,
    crew: Crew | None = None,
    after: AfterRun = lambda _run, _folder: None,
    view: Watcher | None = None,
) -> Engine:
    """An engine in a new run, or in one that is gone on with."""
    store, record = resumed or new_run("test", ["pytest"])
    if resumed is None:
        store.__enter__()
    progress = Progress(*([view] if view else []))
    around = Surroundings(crew or ThisProcess(), progress, QEMU, WAY_ON, after=after)
    return Engine(store, record, plan, around)


def names(cells: Sequence[Cell]) -> list[str]:
    return [cell.name for cell in cells]
