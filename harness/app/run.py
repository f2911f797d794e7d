# SPDX-License-Identifier: GPL-2.0-only
"""Runs of a plan: a new one, or one that is taken up again."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.app.after_run import say
from harness.app.surroundings import Options, surroundings
from harness.base.errors import ExitCode, UsageError
from harness.evaluate.cell.batch import batches
from harness.evaluate.engine import known_paths
from harness.evaluate.engine.engine import Engine, Surroundings, still_to_do
from harness.evaluate.engine.new_run import JOB, new_run, resumed
from harness.evaluate.plan.elsewhere import cells_named_in
from harness.evaluate.plan.plan import NO_LIMITS, CellRequest, Limits, Plan, cells_of, load_plan
from harness.kernel import source
from harness.results.records import Run, exit_code_of
from harness.results.store import RunStore, run_folder

PLAN = "plan.json"
WAY_ON = "go on with 's2eval run --resume {run}'"


@dataclass(frozen=True)
class Outcome:
    """A finished run, where it is, and what the command returns."""

    run: Run
    folder: Path
    exit_code: ExitCode


@dataclass(frozen=True)
class Named:
    """The kernels, machines and suites that a command line names, in the place of a plan."""

    kernels: Sequence[str] = ()
    machines: Sequence[str] = ()
    suites: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.kernels or self.machines or self.suites)


@dataclass(frozen=True)
class Changes:
    """What a command line changes in a plan; None: nothing."""

    repeat: int | None = None
    retries: int | None = None
    skip_unchanged: bool | None = None
    fresh: bool | None = None
    limits: Limits = NO_LIMITS

    def of(self, plan: Plan) -> Plan:
        """Return the plan with the changes made."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return plan.model_copy(update={**given, "limits": self.limits.or_else(plan.limits)})

    def __bool__(self) -> bool:
        return self != Changes()


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


def plan_of(path: Path | None, named: Named) -> Plan:
    """Return the plan file, or a plan of the names. UsageError when it is neither or both."""
    if path and named:
        raise UsageError("give a plan file or --kernel/--machine/--suite, not both")
    if path:
        return load_plan(path)
    if "" in [*named.kernels, *named.machines, *named.suites]:
        raise UsageError("a kernel, machine or suite without a name")
    if not named.kernels:
        raise UsageError("nothing to run: name a plan file or at least --kernel (s2eval list)")
    return Plan(
        kernels=list(named.kernels),
        machines=list(named.machines) or ["nested-tcg"],
        suites=list(named.suites) or ["wcprobe"],
        retries=0,
    )


def start(
    path: Path | None, named: Named, changes: Changes, resume: str | None, options: Options
) -> Outcome:
    """Run what `s2eval run` is asked for: a plan file, names, or the run `resume` to go on with."""
    if resume is None:
        plan = changes.of(plan_of(path, named))
        return run_plan(plan, str(path or ""), sys.argv, options)
    if path or named or changes:
        raise UsageError("--resume goes on with a run's own plan: give no other, nor changes to it")
    return resume_run(resume, options)


def run_plan(plan: Plan, name: str, command: list[str], options: Options) -> Outcome:
    """Run every cell of a plan; what finished is on disk even when the rest never does.

    Raise UsageError for bad input, before anything is started. An interrupt is recorded and raised
    on.
    """
    path = Path(name) if name and Path(name).is_file() else None
    requests, refs = pinned(cells_of(plan, path), {})
    for warning in known_paths.not_seen_yet(plan, requests, path):
        say(warning)
    with _surroundings(plan, requests, options) as around:
        store, record = new_run(name, command, jobs=options.jobs, compare=plan.compare, refs=refs)
        with store:
            store.keep(PLAN, SavedPlan(name=name, folder=str(Path.cwd()), refs=refs, plan=plan))
            return _run(Engine(store, record, plan, around), requests)


def resume_run(name: str, options: Options) -> Outcome:
    """Run what an interrupted run has not done, and what failed for want of something here.

    Raise UsageError when there is no such run, when it still goes on, or has no plan.
    """
    folder = run_folder(name)
    with RunStore(folder) as store:
        saved, record = _saved(folder), resumed(store)
        requests, _ = pinned(cells_named_in(saved.folder, saved.plan), saved.refs)
        with _surroundings(saved.plan, requests, options) as around:
            return _run(Engine(store, record, saved.plan, around), requests)


def _surroundings(
    plan: Plan, requests: Sequence[CellRequest], options: Options
) -> contextlib.AbstractContextManager[Surroundings]:
    most = len(batches(requests))
    return surroundings(options, way_on=WAY_ON, most=most, retention=plan.retention)


def _run(engine: Engine, requests: Sequence[CellRequest]) -> Outcome:
    with engine:
        engine.run(requests)
    return Outcome(engine.record, engine.store.folder, exit_code_of(engine.record.status))


def _saved(folder: Path) -> SavedPlan:
    if (folder / JOB).is_file():
        way = f"go on with 's2eval patch --resume {folder.name}'"
        raise UsageError(f"{folder.name} is a run of s2eval patch: {way}")
    try:
        return SavedPlan.model_validate_json((folder / PLAN).read_bytes())
    except (OSError, ValidationError):
        raise UsageError(f"{folder / PLAN}: no plan to go on with: run the plan anew") from None


def pinned(
    requests: Sequence[CellRequest], refs: dict[str, str]
) -> tuple[list[CellRequest], dict[str, str]]:
    """Return the cells with each ref of a local tree resolved to its commit, and those commits.

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


def left_over(outcome: Outcome) -> str:
    """Return why a run ended before its last cell, and the way on; "" for a complete one."""
    return still_to_do(outcome.run, WAY_ON)
