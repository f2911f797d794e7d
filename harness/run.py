# SPDX-License-Identifier: GPL-2.0-only
"""The loop: every cell of a plan, recorded as it finishes."""

from __future__ import annotations

import datetime
import itertools
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from harness.batch import batches, run_batch
from harness.cell import Tools
from harness.errors import ExitCode, UsageError
from harness.guest.qemubin import find_qemu
from harness.mutants import concerning, judge_caught
from harness.plan import CellRequest, Plan, cells_of, judge, load_plan, unexpected
from harness.report.progress import Progress
from harness.results.records import Cell, HostInfo, Run, RunInfo, Status, exit_code_of, worst
from harness.results.store import RunStore


@dataclass(frozen=True)
class Outcome:
    """A finished run, where it is, and what the command returns."""

    run: Run
    folder: Path
    exit_code: ExitCode


def plan_of(path: Path | None, kernels: list[str], machines: list[str], suites: list[str]) -> Plan:
    """The plan file, or a plan of the names given. UsageError when it is neither or both."""
    named = bool(kernels or machines or suites)
    if path and named:
        raise UsageError("give a plan file or --kernel/--machine/--suite, not both")
    if path:
        return load_plan(path)
    if "" in [*kernels, *machines, *suites]:
        raise UsageError("a kernel, machine or suite without a name")
    if not kernels:
        raise UsageError("nothing to run: name a plan file or at least --kernel (s2eval list)")
    return Plan(kernels=kernels, machines=machines or ["nested-tcg"], suites=suites or ["wcprobe"])


def host_info() -> HostInfo:
    return HostInfo(
        system=f"{platform.system()} {platform.release()}",
        machine=platform.machine(),
        cpus=os.cpu_count() or 1,
        python=platform.python_version(),
        s2eval=version("s2eval"),
    )


def run_plan(
    plan: Plan,
    name: str,
    command: list[str],
    *,
    quiet: bool = False,
    idle: Callable[[], object] = lambda: None,
) -> Outcome:
    """Run every cell; what finished is on disk even when the rest never does.

    `idle` is called while each guest boots, to get ready what is wanted afterwards.

    UsageError for bad input, before anything is started. An interrupt is recorded and raised on.
    """
    requests = cells_of(plan)
    started = time.monotonic()
    with Progress(quiet=quiet) as progress:
        tools = Tools(find_qemu(), progress, idle)
        now = datetime.datetime.now(datetime.UTC)
        store = RunStore.create(name, now)
        info = RunInfo(
            id=store.folder.name,
            plan=name,
            started=now.isoformat(timespec="seconds"),
            command=command,
            host=host_info(),
            interrupted=True,
            comparisons=plan.compare,
        )
        record = Run(run=info, status=Status.MISS)
        try:
            _run_cells(requests, plan, record, store, tools)
            info.interrupted = False
        finally:
            info.seconds = round(time.monotonic() - started, 3)
            record.status = _run_status(record, plan)
            store.write(record)
    return Outcome(record, store.folder, exit_code_of(record.status))


def _run_cells(
    requests: list[CellRequest], plan: Plan, record: Run, store: RunStore, tools: Tools
) -> None:
    done = (run_batch(batch, tools, store.cell_folder) for batch in batches(requests))
    for cell in itertools.chain.from_iterable(done):
        cell.expectations = judge(cell, plan.expect)
        cell.expectations += judge_caught(cell, plan.caught, record.cells)
        record.cells.append(cell)
        store.write(record)
        tools.progress.done(cell.name, cell.status, summary_of(cell))


def summary_of(cell: Cell) -> str:
    """One line: the failure, or how many observations of each status."""
    if cell.failure:
        return cell.failure.summary
    counts = {s: sum(o.status == s for o in cell.observations) for s in Status}
    return ", ".join(f"{n} {s.value}" for s, n in counts.items() if n)


def _run_status(record: Run, plan: Plan) -> Status:
    """The run's verdict: a FAIL that the plan expects, or waits for, is no failure of the run."""
    statuses = [Status.MISS] if record.run.interrupted else []
    for cell in record.cells:
        statuses += [e.status for e in cell.expectations]
        if not concerning(cell, plan.caught) and unexpected(cell, plan.expect):
            statuses.append(Status.FAIL)
        statuses += [o.status for o in cell.observations if o.status != Status.FAIL]
        if not cell.observations:
            statuses.append(cell.status)
    return worst(statuses)
