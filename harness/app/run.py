# SPDX-License-Identifier: GPL-2.0-only
"""Runs of a plan: a new one, or one that is taken up again."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.app.after_run import say
from harness.base.errors import ExitCode, UsageError
from harness.evaluate.engine import known_paths
from harness.evaluate.engine.loop import Loop, Options
from harness.evaluate.engine.status import seconds_of
from harness.evaluate.plan.plan import CellRequest, Plan, cells_of, load_plan
from harness.hosts.qemu.binary import find_qemu
from harness.kernel import source
from harness.results.records import Cell, HostInfo, Run, RunInfo, Status, exit_code_of
from harness.results.store import RunStore, load_run, run_folder

PLAN = "plan.json"


@dataclass(frozen=True)
class Outcome:
    """A finished run, where it is, and what the command returns."""

    run: Run
    folder: Path
    exit_code: ExitCode


@dataclass(frozen=True)
class Changes:
    """What a command line changes in a plan; None: nothing."""

    repeat: int | None = None
    retries: int | None = None
    skip_unchanged: bool | None = None
    fresh: bool | None = None

    def of(self, plan: Plan) -> Plan:
        given = {key: value for key, value in asdict(self).items() if value is not None}
        return plan.model_copy(update=given)

    def any(self) -> bool:
        return any(value is not None for value in asdict(self).values())


class SavedPlan(BaseModel):
    """plan.json: what a run needs to be taken up again. `refs` are the commits of local trees,
    `folder` is where relative names of the plan begin."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_: Literal["s2eval-plan-1"] = Field(default="s2eval-plan-1", alias="schema")
    name: str
    folder: str
    refs: dict[str, str]
    resumed: int = 0
    plan: Plan


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
    return Plan(
        kernels=kernels,
        machines=machines or ["nested-tcg"],
        suites=suites or ["wcprobe"],
        retries=0,
    )


def start(
    path: Path | None,
    names: Sequence[list[str]],
    changes: Changes,
    resume: str | None,
    options: Options,
) -> Outcome:
    """What `s2eval run` is asked for: a plan file, the `names` of kernels, machines and suites, or
    the run `resume` to go on with."""
    if resume is None:
        plan = changes.of(plan_of(path, *names))
        return run_plan(plan, str(path or ""), sys.argv, options)
    if path or any(names) or changes.any():
        raise UsageError("--resume goes on with a run's own plan: give no other, nor changes to it")
    return resume_run(resume, options)


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
    options: Options,
) -> Outcome:
    """Run every cell of a plan; what finished is on disk even when the rest never does.

    UsageError for bad input, before anything is started. An interrupt is recorded and raised on.
    """
    path = Path(name) if name and Path(name).is_file() else None
    requests, refs = pinned(cells_of(plan, path), {})
    for warning in known_paths.not_seen_yet(plan, requests, path):
        say(warning)
    qemu = find_qemu()
    now = datetime.datetime.now(datetime.UTC)
    with RunStore.create(name, now) as store:
        info = RunInfo(
            id=store.folder.name,
            plan=name,
            started=now.isoformat(timespec="seconds"),
            command=command,
            host=host_info(),
            interrupted=True,
            comparisons=plan.compare,
            refs=refs,
            jobs=options.jobs,
        )
        store.keep(PLAN, SavedPlan(name=name, folder=str(Path.cwd()), refs=refs, plan=plan))
        record = Run(run=info, status=Status.MISS)
        store.write(record)
        return _outcome(Loop(plan, requests, record, store, qemu, options))


def resume_run(name: str, options: Options) -> Outcome:
    """Run what an interrupted run has not done, and what failed for want of something here.

    UsageError when there is no such run, when it still goes on, or has no plan.
    """
    folder = run_folder(name)
    with RunStore(folder) as store:
        saved, record = _saved(folder), load_run(folder)
        before = max(record.run.seconds, seconds_of(folder))
        saved.resumed += 1
        store.keep(PLAN, saved)
        update = {"interrupted": True, "stopped": "", "resumed": saved.resumed}
        record.run = record.run.model_copy(update={**update, "seconds": before})
        with contextlib.chdir(_there(saved.folder)):
            requests, _ = pinned(cells_of(saved.plan), saved.refs)
            record.cells = [cell for cell in record.cells if not _lacked(cell)]
            return _outcome(Loop(saved.plan, requests, record, store, find_qemu(), options))


def _saved(folder: Path) -> SavedPlan:
    try:
        return SavedPlan.model_validate_json((folder / PLAN).read_bytes())
    except (OSError, ValidationError):
        raise UsageError(f"{folder / PLAN}: no plan to go on with: run the plan anew") from None


def _there(folder: str) -> Path:
    if not Path(folder).is_dir():
        raise UsageError(f"{folder} is gone, where the names of the run's plan begin")
    return Path(folder)


def _lacked(cell: Cell) -> bool:
    """Whether a cell has no verdict for want of something: space, a tool, a worker."""
    return cell.status is Status.MISS and cell.failure is not None and cell.failure.kind.ours


def pinned(
    requests: Sequence[CellRequest], refs: dict[str, str]
) -> tuple[list[CellRequest], dict[str, str]]:
    """The cells with each ref of a local tree resolved to its commit, and those commits.

    `refs` are commits known from before. A tree that moves on during a run does not move the run.
    """
    found: dict[str, str] = {}
    made = []
    for one in requests:
        kernel = one.kernel
        if not kernel.source.tree:
            made.append(one)
            continue
        if kernel.name not in found:
            found[kernel.name] = refs.get(kernel.name) or _commit(one)
        ref = kernel.source.model_copy(update={"ref": found[kernel.name]})
        made.append(CellRequest(kernel.model_copy(update={"source": ref}), one.machine, one.suite))
    return made, found


def _commit(request: CellRequest) -> str:
    """The commit of a local tree; what is edited there and not committed is not part of it."""
    tree = request.kernel.source
    if source.has_changes(tree):
        print(f"{tree.tree} has uncommitted changes: not part of {tree.ref}", file=sys.stderr)
    base = source.find(tree)
    if base is None:
        raise AssertionError("a local tree always has a commit or raises")
    return base.commit


def _outcome(loop: Loop) -> Outcome:
    record = loop.run()
    return Outcome(record, loop.store.folder, exit_code_of(record.status))


def still_to_do(outcome: Outcome) -> str:
    """Why a run ended before its last cell, and the way on; "" for one that is complete."""
    info = outcome.run.run
    if not info.interrupted:
        return ""
    why = info.stopped or "interrupted"
    return f"stopped: {why}: go on with 's2eval run --resume {info.id}'"
