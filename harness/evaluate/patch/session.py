# SPDX-License-Identifier: GPL-2.0-only
"""A job from its kernels to its record: builds here, guests by the engine.

The base's guests run while the patched kernel builds; a kernel whose Image is that of the one
before it is not booted at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.base.errors import BuildError
from harness.base.paths import cache_dir
from harness.evaluate.engine.engine import Engine, Surroundings
from harness.evaluate.engine.new_run import JOB, new_run
from harness.evaluate.events import Listener, notes
from harness.evaluate.patch.builds import Builds
from harness.evaluate.patch.hangs import Hangs
from harness.evaluate.patch.limits import fitted
from harness.evaluate.patch.reach.reach import PatchLines, lines_in
from harness.evaluate.patch.request import PatchJob, Step
from harness.evaluate.patch.saved_job import SavedJob
from harness.evaluate.patch.source.reach import may_change
from harness.evaluate.plan.plan import Plan
from harness.kernel.build import Build, applies, is_built
from harness.kernel.source import Tree
from harness.results.records import Cell, Run, Status
from harness.results.store import RunStore

NAME = "patch"  # of such runs
TREE_SECONDS = 300.0  # for a build of another run in the tree whose lines are looked up


@dataclass
class StepResult:
    """What became of one kernel. `same`: all that is tested is as with the kernel before it."""

    step: Step
    builds: list[Build] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    same: bool = False
    error: str = ""

    @property
    def tested(self) -> list[str]:
        """Return the hashes of the Images, and what says which selftests run on them."""
        return _tested(self.step, self.builds)


class PatchSession:
    """The steps of a job that are done, and the engine that runs their cells.

    Whoever uses it sets the engine's `status`, which is the run's when all is done.
    """

    def __init__(self, job: PatchJob, engine: Engine, aside: Executor) -> None:
        self.job = job
        self.engine = engine
        self.lines: Future[PatchLines] | None = None  # of the last kernel; None: it does not build
        self._aside = aside
        self.results: list[StepResult] = []

    @property
    def base(self) -> StepResult:
        """Return what became of the kernel without the series."""
        return self.results[0]

    @property
    def last(self) -> StepResult:
        """Return what became of the newest kernel: with the whole series, when all is done."""
        return self.results[-1]

    @property
    def folder(self) -> Path:
        """Return the folder of the run."""
        return self.engine.store.folder

    def run(self, builds: Builds) -> None:
        """Take every step: its builds, then its cells.

        Raise MachineError when the run is stopped before its last cell.
        """
        self.engine.announce([request for step in self.job.steps for request in step.requests])
        tested: list[str] = []
        for step in self.job.steps:
            result = StepResult(step)
            self.results.append(result)
            try:
                result.builds = [builds.of(kernel).wait() for kernel in step.kernels]
            except BuildError as error:
                result.error = str(error)
                if result is self.base:
                    self.engine.drop([r for step in self.job.steps for r in step.requests])
                    return
            else:
                before, tested = tested, result.tested
                result.same = tested == before
            if step is self.job.steps[-1] and not result.error:
                self.lines = self._aside.submit(lines_in, result.builds[0], TREE_SECONDS)
            if result.error or result.same or not self._wanted(builds, result):
                self.engine.drop(step.requests)
                continue
            result.cells = self._cells(result)
            self.engine.go_on()

    def _cells(self, result: StepResult) -> list[Cell]:
        """Run the cells of a kernel: a patched one's within limits that follow from the base."""
        requests = result.step.requests
        base = self.base
        if result is base:
            return self.engine.run(requests)
        known = {(cell.machine.name, cell.suite.name): cell for cell in base.cells}
        within = [
            replace(fitted(r, known.get((r.machine.name, r.suite.name))), coverage=True)
            for r in requests
        ]
        cells = self.engine.run(within)
        by_name = {cell.name: cell for cell in base.cells}
        bases = [(r, by_name[r.name]) for r in base.step.requests if r.name in by_name]
        return Hangs(self.engine).judge(cells, requests, bases, result.builds)

    def _wanted(self, builds: Builds, result: StepResult) -> bool:
        """Whether the cells of a kernel say anything: those of a base alone do not."""
        return result is not self.base or self._any_other(builds, result)

    def _any_other(self, builds: Builds, base: StepResult) -> bool:
        """Whether a later kernel is another than the base, or so likely that nobody waits."""
        later = self.job.steps[1:]
        inputs = base.builds[0].inputs
        tree = Tree(cache_dir("sources") / inputs["tree"])
        out = tree.out_of(inputs)
        texts = [path.read_text(errors="replace") for path in self.job.series.patches]
        if may_change(texts, out) and not all(_failed(builds, step) for step in later):
            return True
        return any(_other(builds, step, base.tested) for step in later)


@contextlib.contextmanager
def session(
    job: PatchJob,
    plan: Plan,
    around: Surroundings,
    command: Sequence[str],
    resumed: tuple[RunStore, Run] | None = None,
) -> Iterator[PatchSession]:
    """Do all steps of `job` in a new run, or go on with one that is `resumed`.

    UsageError when the series does not apply; nothing is booted or recorded then. A kernel that
    does not build is part of the result. An interrupt is recorded and raised on.
    """
    _apply_first(job, around.progress)
    with Builds([k for step in job.steps for k in step.kernels], notes(around.progress)) as builds:
        for step in job.steps[:2]:  # raise what is wrong with the input before a run is recorded
            for kernel in step.kernels:
                builds.of(kernel).applied()
        store, record = resumed or new_run(
            NAME, command, jobs=around.crew.jobs, compare=plan.compare
        )
        with store if resumed is None else contextlib.nullcontext():
            store.keep(JOB, SavedJob.of(job, plan))
            with (
                ThreadPoolExecutor(1) as aside,
                Engine(store, record, plan, around) as engine,
                _ended_first(builds),
            ):
                engine.status = Status.MISS
                running = PatchSession(job, engine, aside)
                running.run(builds)
                yield running


@contextlib.contextmanager
def _ended_first(builds: Builds) -> Iterator[None]:
    """Whatever goes wrong, no make runs while the record is written."""
    try:
        yield
    except BaseException:
        builds.stop()
        raise


def _apply_first(job: PatchJob, listener: Listener) -> None:
    """A series that does not apply is found out before the base is built, which takes minutes."""
    each = len(job.steps) > 2
    for base, patched in zip(job.steps[0].kernels, job.steps[-1].kernels, strict=True):
        if (each or not is_built(base)) and not is_built(patched):
            applies(patched, progress=notes(listener))


def _failed(builds: Builds, step: Step) -> bool:
    """Whether it is known by now that a kernel does not build."""
    return any(isinstance(builds.of(kernel).result, BuildError) for kernel in step.kernels)


def _other(builds: Builds, step: Step, tested: list[str]) -> bool:
    """Wait for the builds of a step; return whether they gave anything else to test."""
    try:
        found = [builds.of(kernel).wait() for kernel in step.kernels]
    except BuildError:
        return False
    return _tested(step, found) != tested


def _tested(step: Step, builds: Sequence[Build]) -> list[str]:
    """The hashes of Images and, where a suite runs the kernel's own tests, the trees of those."""
    images = [build.record.image_hash for build in builds]
    if not any(request.suite.selftests for request in step.requests):
        return images
    from harness.kernel.selftests import sources_of  # noqa: PLC0415 - few suites have such tests

    return [*images, *(sources_of(build) for build in builds)]
