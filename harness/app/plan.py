# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval plan check`: what a plan would run, what is in the store, how long it will take."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, Field

from harness.app.run import pinned
from harness.base import paths
from harness.base.errors import UsageError
from harness.evaluate.engine import known_paths, timings, unchanged
from harness.evaluate.plan.plan import CellRequest, Plan, examine, load_plan
from harness.evaluate.progress import duration
from harness.guests.usable import why_not
from harness.hosts.qemu.binary import find_qemu
from harness.kernel import store
from harness.kernel.spec import KernelSpec

BUILD_SECONDS = 200.0  # of a kernel that was never built here (docs/kernels.md)
STORED, TO_BUILD, TO_FETCH = "in the store", "to be built", "source to be fetched"


class Kernel(BaseModel):
    """A kernel of the plan; `commit` where its source is a local tree."""

    name: str
    build: str
    commit: str = ""
    seconds: float = 0.0  # of the build that is to come


class PlannedCell(BaseModel):
    """A cell. `seconds` as it took last time, or its like with other kernels; None: unknown."""

    name: str
    seconds: float | None = None
    exact: bool = False
    unchanged_since: str = ""
    skipped: str = ""  # why this machine cannot run it


class Forecast(BaseModel):
    """All that `plan check` says. `seconds` is the whole, one cell after the other."""

    plan: str
    problems: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    kernels: list[Kernel] = Field(default_factory=list)
    cells: list[PlannedCell] = Field(default_factory=list)
    boots: int = 0
    seconds: float = 0.0
    complete: bool = True  # whether the time of every cell is known


def forecast(path: Path) -> Forecast:
    """Look at a plan and at what is there; nothing is built, fetched or run.

    UsageError when the file is no plan at all; other problems are in the answer.
    """
    plan = load_plan(path)
    requests, problems = examine(plan, path)
    if not problems:
        try:
            requests, refs = pinned(requests, {})
        except UsageError as error:  # a ref that is not there
            problems = [f"{path}: {error}"]
    if problems:
        return Forecast(plan=str(path), problems=problems)
    found = Forecast(plan=str(path), warnings=known_paths.not_seen_yet(plan, requests, path))
    specs = {request.kernel.name: request.kernel for request in requests}
    found.kernels = [_kernel(spec, refs.get(name, "")) for name, spec in specs.items()]
    found.cells = _cells(plan, requests)
    runs = [cell for cell in found.cells if not cell.unchanged_since and not cell.skipped]
    found.boots = len(runs) * plan.repeat
    found.seconds = sum(k.seconds for k in found.kernels)
    found.seconds += sum((cell.seconds or 0.0) * plan.repeat for cell in runs)
    found.complete = all(cell.seconds is not None for cell in runs)
    return found


def _kernel(spec: KernelSpec, commit: str) -> Kernel:
    key = unchanged.build_key(spec)
    if not key:
        return Kernel(name=spec.name, build=TO_FETCH, seconds=BUILD_SECONDS)
    stored = store.find(key, spec.name) is not None
    build, seconds = (STORED, 0.0) if stored else (TO_BUILD, BUILD_SECONDS)
    return Kernel(name=spec.name, build=build, commit=commit, seconds=seconds)


def _cells(plan: Plan, requests: Sequence[CellRequest]) -> list[PlannedCell]:
    qemu = find_qemu()
    known = timings.load()
    same: Mapping[str, str] = {}
    if plan.skip_unchanged:
        same = unchanged.known(requests, qemu, plan.repeat, paths.results_dir())
    made = []
    for one in requests:
        took = timings.guess(one.name, known)
        made.append(
            PlannedCell(
                name=one.name,
                seconds=took.seconds if took else None,
                exact=one.name in known,
                unchanged_since=same.get(one.name, ""),
                skipped=why_not(one.kernel, one.machine, one.suite, qemu) or "",
            )
        )
    return made


def render(found: Forecast) -> list[str]:
    """Return the forecast as lines for a terminal."""
    if found.problems:
        return found.problems
    width = max(len(kernel.name) for kernel in found.kernels)
    lines = ["Kernels"]
    for kernel in found.kernels:
        at = f" at {kernel.commit[:12]}" if kernel.commit else ""
        lines.append(f"  {kernel.name:{width}}  {kernel.build}{at}")
    width = max(len(cell.name) for cell in found.cells)
    lines += ["", f"Cells{'took last time':>{width + 11}}"]
    lines += [f"  {cell.name:{width}}  {_words(cell)}" for cell in found.cells]
    end = time.strftime("%H:%M", time.localtime(time.time() + found.seconds))
    count = f"{_several(len(found.cells), 'cell')}, {_several(found.boots, 'boot')}"
    if found.complete:
        return [*lines, "", f"{count}, about {duration(found.seconds)}: done at {end}"]
    known = f"those that are known take about {duration(found.seconds)}"
    return [*lines, "", f"{count}, {known}"]


def _several(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _words(cell: PlannedCell) -> str:
    if cell.skipped:
        return f"SKIP: {cell.skipped}"
    if cell.unchanged_since:
        return f"unchanged since {cell.unchanged_since}"
    if cell.seconds is None:
        return "never run here"
    return f"{cell.seconds:.1f} s" + ("" if cell.exact else " (with other kernels)")
