# SPDX-License-Identifier: GPL-2.0-only
"""A job from its kernels to its record: builds, guests, verdict.

The base's guests run while the patched kernel builds; a kernel whose Image is that of the one
before it is not booted at all.
"""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.app.run import host_info
from harness.base.errors import BuildError
from harness.base.paths import cache_dir
from harness.evaluate.cell.batch import batches
from harness.evaluate.cell.cell import Tools
from harness.evaluate.engine.execute import Policy, execute
from harness.evaluate.engine.loop import summary_of
from harness.evaluate.events import CellDone, notes
from harness.evaluate.patch.builds import Builds
from harness.evaluate.patch.request import Job, Step
from harness.evaluate.patch.source.reach import may_change
from harness.evaluate.plan.expect import judge
from harness.evaluate.progress import Progress
from harness.hosts.qemu.binary import find_qemu
from harness.kernel.build import Build, applies, is_built
from harness.kernel.source import Tree
from harness.results.records import Cell, Comparison, Run, RunInfo, Status
from harness.results.store import RunStore

RETRIES = 1  # boots that a cell gets when one ended as MISS


@dataclass
class StepDone:
    """What became of one kernel. `same`: its Image is that of the kernel before it."""

    step: Step
    builds: list[Build] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    same: bool = False
    error: str = ""

    @property
    def images(self) -> list[str]:
        return [build.record.image_hash for build in self.builds]


@dataclass
class Session:
    """The steps that are done, and the run that records them."""

    job: Job
    done: list[StepDone]
    record: Run
    store: RunStore

    @property
    def folder(self) -> Path:
        return self.store.folder


@contextlib.contextmanager
def session(
    job: Job,
    *,
    name: str,
    repeat: int,
    command: list[str],
    progress: Progress,
) -> Iterator[Session]:
    """All steps of `job`, done; whoever uses it sets the status of the run that is then written.

    UsageError when the series does not apply; nothing is booted or recorded then. A kernel that
    does not build is part of the result. An interrupt is recorded and raised on.
    """
    started = time.monotonic()
    tools = Tools(find_qemu(), progress)
    _apply_first(job, progress)
    with Builds([k for step in job.steps for k in step.kernels], notes(progress)) as builds:
        _Runner.early(job, builds)
        now = datetime.datetime.now(datetime.UTC)
        with RunStore.create(name, now) as store:
            record = _blank(job, store.folder.name, name, now, command)
            runner = _Runner(Session(job, [], record, store), tools, Policy(repeat, RETRIES))
            try:
                runner.run(builds)
                yield runner.session
                record.run.interrupted = False
            finally:
                record.run.seconds = round(time.monotonic() - started, 3)
                store.write(record)


def _blank(job: Job, folder: str, name: str, now: datetime.datetime, command: list[str]) -> Run:
    info = RunInfo(
        id=folder,
        plan=name,
        started=now.isoformat(timespec="seconds"),
        command=command,
        host=host_info(),
        interrupted=True,
    )
    names = [step.kernels[0].name for step in job.steps]
    info.comparisons = [Comparison(base=names[0], patched=other) for other in names[1:]]
    return Run(run=info, status=Status.MISS)


def _apply_first(job: Job, progress: Progress) -> None:
    """A series that does not apply is found out before the base is built, which takes minutes."""
    each = len(job.steps) > 2
    for base, patched in zip(job.steps[0].kernels, job.steps[-1].kernels, strict=True):
        if (each or not is_built(base)) and not is_built(patched):
            applies(patched, progress=notes(progress))


class _Runner:
    def __init__(self, session: Session, tools: Tools, policy: Policy) -> None:
        self.session = session
        self.tools = tools
        self.policy = policy

    @staticmethod
    def early(job: Job, builds: Builds) -> None:
        """Raise what is wrong with the input before a run is recorded."""
        for step in job.steps[:2]:
            for kernel in step.kernels:
                builds.of(kernel).applied()

    def run(self, builds: Builds) -> None:
        """Every step: its builds, then its cells."""
        last: list[str] = []
        for number, step in enumerate(self.session.job.steps):
            done = StepDone(step)
            self.session.done.append(done)
            try:
                done.builds = [builds.of(kernel).wait() for kernel in step.kernels]
            except BuildError as error:
                done.error = str(error)
                if number == 0:
                    return
                continue
            done.same = done.images == last
            last = done.images
            if done.same or (number == 0 and not self._any_other(builds, done)):
                continue
            self._cells(done)

    def _any_other(self, builds: Builds, base: StepDone) -> bool:
        """Whether a later kernel is another than the base, or so likely that nobody waits."""
        job = self.session.job
        out = Tree(cache_dir("sources") / base.builds[0].inputs["tree"]).out(
            llvm=base.builds[0].inputs["llvm"]
        )
        texts = [path.read_text(errors="replace") for path in job.series.patches]
        if may_change(texts, out) and not all(_failed(builds, step) for step in job.steps[1:]):
            return True
        return any(_other(builds, step, base.images) for step in job.steps[1:])

    def _cells(self, done: StepDone) -> None:
        store, record = self.session.store, self.session.record
        for batch in batches(done.step.requests):
            for cell in execute(batch, self.tools, store.cell_folder, self.policy):
                cell.expectations = judge(cell, list(self.session.job.where.expect))
                done.cells.append(cell)
                record.cells.append(cell)
                store.add(cell)
                self.tools.listener(CellDone(cell.name, cell.status, summary_of(cell)))


def _failed(builds: Builds, step: Step) -> bool:
    """Whether it is known by now that a kernel does not build."""
    return any(isinstance(builds.of(kernel).result, BuildError) for kernel in step.kernels)


def _other(builds: Builds, step: Step, images: list[str]) -> bool:
    """Wait for the builds of a step: whether they gave other Images."""
    try:
        return [builds.of(k).wait().record.image_hash for k in step.kernels] != images
    except BuildError:
        return False
