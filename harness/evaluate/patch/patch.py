# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval patch`: a series in, the document of its verdict out."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.process import run_quiet
from harness.evaluate.patch.request import Job
from harness.evaluate.patch.session import Session, StepDone, session
from harness.evaluate.patch.source import lint
from harness.evaluate.patch.source.stacktrace import decoded
from harness.evaluate.patch.verdict.conclude import Conclusion, conclude, headline
from harness.evaluate.patch.verdict.document import (
    SeriesRecord,
    Side,
    StepRecord,
    StyleRemark,
    VerdictDocument,
)
from harness.evaluate.patch.verdict.verdict import STATUS, ChangeKind, Verdict, VerdictChange
from harness.evaluate.progress import Progress
from harness.kernel.store import Build
from harness.kernel.toolchain import cross_prefix
from harness.results.compare import Pair
from harness.results.records import Cell, exit_code_of

NAME = "patch"
DOCUMENT = "patch.json"
SIZE_SECONDS = 60.0  # for size(1); it takes a hundredth of one
SAME = "the Image is the same, bit for bit: nothing was booted"


@dataclass(frozen=True)
class Finished:
    """A verdict, and where its run is."""

    document: VerdictDocument
    folder: Path


def run_patch(
    job: Job,
    *,
    repeat: int,
    command: list[str],
    progress: Progress,
) -> Finished:
    """Build, boot, compare. Errors as for session()."""
    started = time.monotonic()
    with progress:
        with session(job, name=NAME, repeat=repeat, command=command, progress=progress) as done:
            document = document_of(done, repeat, command)
            done.record.status = document.status
            document.seconds = round(time.monotonic() - started, 1)
            done.store.keep(DOCUMENT, document)
        return Finished(document, done.folder)


def document_of(done: Session, repeat: int, command: Sequence[str]) -> VerdictDocument:
    """The whole story of a session that is over."""
    base, last = done.done[0], done.done[-1]
    told = _conclusion(done, base, last, every_figure=repeat > 1)
    steps = _steps(done) if len(done.done) > 2 else []
    _add_steps(told, steps, last)
    style: list[StyleRemark] = []
    if last.builds:
        made = last.builds[0]
        with ThreadPoolExecutor(1) as aside:
            checked = aside.submit(lint.checkpatch, done.job.series.patches, made)
            style = [*lint.sparse(made), *checked.result()]
    verdict = told.verdict
    series = done.job.series
    return VerdictDocument(
        verdict=verdict,
        status=STATUS[verdict],
        exit_code=exit_code_of(STATUS[verdict]),
        headline=SAME if _same(done) and verdict is Verdict.UNCHANGED else headline(told),
        open=told.open,
        notes=[*done.job.notes, *told.notes],
        series=SeriesRecord(
            name=series.name,
            subjects=list(series.subjects),
            folder=str(series.folder),
            base_commit=series.base_commit,
        ),
        base=_side(base, base.cells),
        patched=_side(last, _cells(done, last)),
        same_image=_same(done),
        changes=told.changes,
        unchanged=told.unchanged,
        figures=told.figures,
        size=_sizes(base, last),
        style=style,
        steps=steps,
        reproduce=_reproduce(done, command),
        run=done.record.run.id,
    )


def _conclusion(
    done: Session, base: StepDone, other: StepDone, *, every_figure: bool
) -> Conclusion:
    """What `other` changed against `base`."""
    for side, step in (("base", base), (_called(done, other), other)):
        if step.error:
            return Conclusion(open=[f"{side} does not build: {step.error}"])
    before, after = _cells(done, base), _cells(done, other)
    if before is after or base.images == other.images:
        return Conclusion()
    pairs = _pairs(before, after)
    told = conclude(pairs, (done.folder, done.folder), every_figure=every_figure)
    if not pairs:
        told.open.append("no cell was run")
    told.changes += _warned(other)
    for change in told.changes:
        if change.kind is ChangeKind.REGRESSED and "trace" in change.detail:
            change.detail["trace"] = decoded(change.detail["trace"], other.builds[0])
    return told


def _called(done: Session, step: StepDone) -> str:
    total = len(done.job.series.patches)
    each = len(done.done) > 2
    return f"patch {step.step.count}/{total}" if each else "patched"


def _cells(done: Session, step: StepDone) -> list[Cell]:
    """The cells of a kernel; those of the one before when the Image is the same."""
    number = done.done.index(step)
    while done.done[number].same and number:
        number -= 1
        while done.done[number].error and number:
            number -= 1
    return done.done[number].cells


def _same(done: Session) -> bool:
    """Whether no kernel is another than the base."""
    return len(done.done) > 1 and all(step.same for step in done.done[1:])


def _pairs(before: Sequence[Cell], after: Sequence[Cell]) -> list[Pair]:
    by_place = {(c.machine.name, c.suite.name): c for c in before}
    found = ((by_place.get((c.machine.name, c.suite.name)), c) for c in after)
    return [Pair(was, now) for was, now in found if was]


def _warned(step: StepDone) -> list[VerdictChange]:
    """The compiler's new warnings."""
    return [
        VerdictChange(path=f"build.{place}", base="not there", patched=text,
                      kind=ChangeKind.REGRESSED, about="build")
        for build in step.builds
        for place, text in lint.compiled(build)
    ]  # fmt: skip


def _steps(done: Session) -> list[StepRecord]:
    """Each patch against the kernel before it that builds."""
    found = []
    before = done.done[0]
    for step in done.done[1:]:
        told = _conclusion(done, before, step, every_figure=False)
        found.append(
            StepRecord(
                count=step.step.count,
                title=step.step.title,
                verdict=told.verdict,
                same=step.same,
                error=step.error,
                changes=told.changes,
            )
        )
        before = before if step.error else step
    return found


def _add_steps(told: Conclusion, steps: Sequence[StepRecord], last: StepDone) -> None:
    """What is wrong in the middle of a series is wrong, even when a later patch mends it."""
    known = {(c.path, c.machine, c.suite) for c in told.changes}
    for step in steps:
        if step.count == last.step.count:
            continue
        if step.error:
            told.open.append(f"patch {step.count}/{last.step.count} does not build: {step.error}")
        for change in step.changes:
            place = (change.path, change.machine, change.suite)
            if change.kind is ChangeKind.REGRESSED and place not in known:
                detail = {**change.detail, "patch": f"{step.count}/{last.step.count}"}
                told.changes.append(change.model_copy(update={"detail": detail}))


def _side(step: StepDone, cells: Sequence[Cell]) -> Side:
    record = step.builds[0].record if step.builds else None
    return Side(name=step.step.kernels[0].name, kernel=record, cells=list(cells))


def _sizes(base: StepDone, last: StepDone) -> dict[str, tuple[int, int]]:
    """Bytes of the Image and of vmlinux's sections, of base and patched."""
    if not base.builds or not last.builds:
        return {}
    before, after = _size(base.builds[0]), _size(last.builds[0])
    return {name: (before[name], after[name]) for name in before if name in after}


def _size(build: Build) -> dict[str, int]:
    sizes = {"Image": build.image.stat().st_size}
    command = [f"{cross_prefix()}size", str(build.vmlinux)]
    done = run_quiet(command, Deadline(SIZE_SECONDS), writes=False)
    lines = done.stdout.splitlines()
    if done.returncode == 0 and len(lines) > 1:
        numbers = map(int, lines[1].split()[:3])
        sizes |= dict(zip(("text", "data", "bss"), numbers, strict=True))
    return sizes


def _reproduce(done: Session, command: Sequence[str]) -> list[str]:
    """The commands that do it again: all of it, and the two kernels by their names."""
    words = ["s2eval", *command[1:]]
    base, last = done.job.steps[0], done.job.steps[-1]
    lines = [shlex.join(words)]
    options: list[str] = []
    for kernel in (base.kernels[0], last.kernels[0]):
        options += ["-k", kernel.name]
    where = done.job.where
    options += [word for machine in where.machines for word in ("-m", machine.name)]
    options += [word for suite in where.suites for word in ("-s", suite.name)]
    return [*lines, shlex.join(["s2eval", "run", *options])]
