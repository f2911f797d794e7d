# SPDX-License-Identifier: GPL-2.0-only
"""A new run: its folder, and its record before the first cell."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from harness.evaluate.engine.status import seconds_of
from harness.results.records import Cell, Comparison, HostInfo, Run, RunInfo, Status
from harness.results.store import RunStore, load_run

JOB = "job.json"  # in the folder of a run of `s2eval patch` (patch/saved_job.py)


def host_info() -> HostInfo:
    """Return what a record says of this machine."""
    return HostInfo(
        system=f"{platform.system()} {platform.release()}",
        machine=platform.machine(),
        cpus=os.cpu_count() or 1,
        python=platform.python_version(),
        s2eval=version("s2eval"),
    )


def new_run(
    name: str,
    command: Sequence[str],
    *,
    jobs: int = 1,
    compare: Sequence[Comparison] = (),
    refs: Mapping[str, str] | None = None,
) -> tuple[RunStore, Run]:
    """Make the folder of a run of the plan or command `name`; return its store and its record.

    Raise UsageError when the results folder cannot be written.
    """
    now = datetime.datetime.now(datetime.UTC)
    store = RunStore.create(name, now)
    info = RunInfo(
        id=store.folder.name,
        plan=name,
        started=now.isoformat(timespec="seconds"),
        command=list(command),
        host=host_info(),
        interrupted=True,
        comparisons=list(compare),
        refs=dict(refs or {}),
        jobs=jobs,
    )
    return store, Run(run=info, status=Status.MISS)


def resumed(store: RunStore) -> Run:
    """Return the record of a run that is taken up again, without what has to be run again.

    Those are the cells that have no verdict for want of something here: space, a tool, a worker.
    """
    record = load_run(store.folder)
    update = {
        "interrupted": True,
        "stopped": "",
        "resumed": record.run.resumed + 1,
        "seconds": max(record.run.seconds, seconds_of(store.folder)),
    }
    kept = [cell for cell in record.cells if not _to_run_again(cell)]
    return record.model_copy(update={"run": record.run.model_copy(update=update), "cells": kept})


def _to_run_again(cell: Cell) -> bool:
    return cell.status is Status.MISS and cell.failure is not None and cell.failure.kind.ours
