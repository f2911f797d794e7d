# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval patch`: a series that is tried, or a run of one that is taken up again."""

from __future__ import annotations

import contextlib
import sys

from harness.app.surroundings import Options, surroundings
from harness.base.errors import UsageError
from harness.evaluate.cell.batch import batches
from harness.evaluate.engine.engine import Surroundings
from harness.evaluate.engine.new_run import resumed
from harness.evaluate.patch import request
from harness.evaluate.patch.patch import AS_EVER, Changes, Finished, Judging, plan_of, run_patch
from harness.evaluate.patch.request import PatchJob, job_of
from harness.evaluate.patch.saved_job import load_job
from harness.evaluate.plan.plan import Plan
from harness.results.store import RunStore, run_folder

WAY_ON = "go on with 's2eval patch --resume {run}'"


def try_patch(
    series: str,
    asked: request.Options,
    changes: Changes,
    options: Options,
    judging: Judging = AS_EVER,
    *,
    each: bool,
) -> Finished:
    """Build and boot the kernel without and with a series. Errors as for run_patch()."""
    if not series:
        raise UsageError("nothing to try: name a series, or a run to go on with (--resume)")
    job = job_of(series, asked, each=each)
    plan = plan_of(job, changes)
    with _surroundings(job, plan, options) as around:
        return run_patch(job, plan, around, sys.argv, judging=judging)


def resume_patch(name: str, options: Options, judging: Judging = AS_EVER) -> Finished:
    """Go on with a run of try_patch(): what has a record is not booted again.

    Raise UsageError when there is no such run, when it still goes on, or is another command's.
    """
    folder = run_folder(name)
    with RunStore(folder) as store:
        saved, record = load_job(folder), resumed(store)
        job = saved.job()
        with _surroundings(job, saved.plan, options) as around:
            command = record.run.command
            return run_patch(job, saved.plan, around, command, (store, record), judging)


def _surroundings(
    job: PatchJob, plan: Plan, options: Options
) -> contextlib.AbstractContextManager[Surroundings]:
    most = max(len(batches(step.requests)) for step in job.steps)
    return surroundings(options, way_on=WAY_ON, most=most, retention=plan.retention)
