# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval patch --dry-run`: a series applied in the cache, and what would be built and run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, Field

from harness.base.errors import MachineError, UsageError
from harness.evaluate.engine import timings
from harness.evaluate.patch.request import Options, Step, job_of
from harness.kernel import series, source, store
from harness.kernel.git import git
from harness.kernel.source import Base
from harness.kernel.spec import KernelSpec
from harness.kernel.toolchain import Toolchain, toolchain


class AppliedSeries(BaseModel):
    """The series: its patches in `folder`, what they are applied to, the tree after each."""

    name: str
    subjects: list[str]
    folder: str
    base: str
    base_commit: str
    trees: list[str]


class PlannedKernel(BaseModel):
    """A kernel that would be built. `stored` None: without a compiler nobody knows."""

    name: str
    title: str
    tree: str
    stored: bool | None


class PlannedCell(BaseModel):
    """A cell that would be run. `stored`: its kernel is in the store, None as for kernels.

    `seconds` is what it took last time, or (not `exact`) its like with other kernels; None where
    that is not known.
    """

    name: str
    kernel: str
    machine: str
    suite: str
    stored: bool | None
    seconds: float | None
    exact: bool


class DryRun(BaseModel):
    """All that a dry run says. `boots` of all cells together."""

    schema_: Literal["s2eval-dry-run-1"] = Field(default="s2eval-dry-run-1", alias="schema")
    series: AppliedSeries
    notes: list[str]
    kernels: list[PlannedKernel]
    cells: list[PlannedCell]
    boots: int


def dry_run(
    given: str, options: Options, *, each: bool, repeat: int, progress: Callable[[str], None]
) -> DryRun:
    """Apply a series, in the cache alone. Nothing is built or run.

    Raise UsageError when there is none or it does not apply, MachineError when a kernel's source
    or a thread cannot be fetched.
    """
    if not given:
        raise UsageError("nothing to look at: name a series")
    job = job_of(given, options, each=each)
    base_kernel, last = job.steps[0].kernel, job.steps[-1].kernel
    start = source.at_hand(base_kernel.source, progress)
    begin = series.commit_of(start, series.patches(base_kernel.series))
    end = series.commit_of(start, series.patches(last.series))
    trees = series.trees_of(replace(start, commit=begin), end)
    begin_tree = git(start.tree.work, "rev-parse", f"{begin}^{{tree}}").strip()
    stored = StoredBuilds(start)
    return DryRun(
        series=AppliedSeries(
            name=job.series.name,
            subjects=list(job.series.subjects),
            folder=str(job.series.folder),
            base=start.describe,
            base_commit=start.commit,
            trees=trees,
        ),
        notes=list(job.notes),
        kernels=[
            PlannedKernel(
                name=step.name,
                title=step.title,
                tree=trees[step.count - 1] if step.count else begin_tree,
                stored=_all([stored(kernel) for kernel in step.kernels]),
            )
            for step in job.steps
        ],
        cells=_cells(job.steps, stored),
        boots=sum(len(step.requests) for step in job.steps) * repeat,
    )


def _cells(steps: tuple[Step, ...], stored: StoredBuilds) -> list[PlannedCell]:
    known = timings.load()
    cells = []
    for request in (request for step in steps for request in step.requests):
        took = timings.guess(request.name, known)
        cells.append(
            PlannedCell(
                name=request.name,
                kernel=request.kernel.name,
                machine=request.machine.name,
                suite=request.suite.name,
                stored=stored(request.kernel),
                seconds=took.seconds if took else None,
                exact=request.name in known,
            )
        )
    return cells


class StoredBuilds:
    """Whether builds of kernels on one base are in the store; each is looked up once."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._known: dict[KernelSpec, bool | None] = {}
        self._tools: dict[bool, Toolchain | None] = {}

    def __call__(self, kernel: KernelSpec) -> bool | None:
        if kernel not in self._known:
            tools = self._tools_of(llvm=kernel.llvm)
            self._known[kernel] = self._find(kernel, tools) if tools else None
        return self._known[kernel]

    def _find(self, kernel: KernelSpec, tools: Toolchain) -> bool:
        key = store.key_of(store.inputs(kernel, self._base, tools))
        return store.find(key, kernel.name) is not None

    def _tools_of(self, *, llvm: bool) -> Toolchain | None:
        if llvm not in self._tools:
            try:
                self._tools[llvm] = toolchain(llvm=llvm)
            except MachineError:
                self._tools[llvm] = None
        return self._tools[llvm]


def _all(stored: list[bool | None]) -> bool | None:
    return None if None in stored else all(stored)
