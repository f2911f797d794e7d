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
from harness.evaluate.engine.engine import Surroundings
from harness.evaluate.patch.hangs import shown
from harness.evaluate.patch.reach.told import Ran, add_reach
from harness.evaluate.patch.request import PatchJob
from harness.evaluate.patch.session import PatchSession, StepResult, session
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
from harness.evaluate.patch.verdict.lines import PatchReach
from harness.evaluate.patch.verdict.verdict import NOT_THERE, STATUS, VerdictChange
from harness.evaluate.patch.verdict.word import ChangeKind, CompilerWarning, Verdict
from harness.evaluate.plan.plan import NO_LIMITS, Limits, Plan
from harness.kernel.store import Build
from harness.kernel.toolchain import cross_prefix
from harness.results.compare import Pair
from harness.results.records import Cell, Comparison, Run, Status, exit_code_of
from harness.results.store import PATCH, RunStore

SIZE_SECONDS = 60.0  # for size(1); it takes a hundredth of one
TREE_SECONDS = 60.0  # for a build of another run in the tree whose lines are looked up
RETRIES = 1  # boots that a cell gets when one ended as MISS
SAME = "the Image is the same, bit for bit: nothing was booted"


@dataclass(frozen=True)
class Changes:
    """How often each cell is booted, and what else a command line says beside the job."""

    repeat: int = 1
    skip_unchanged: bool = False
    limits: Limits = NO_LIMITS


@dataclass(frozen=True)
class Judging:
    """How a verdict is made of what was seen.

    `guests`: lines that only a guest ran count as run. `allow_unreached`: a series of which no line
    ran is no failure.
    """

    guests: bool = False
    allow_unreached: bool = False


AS_EVER = Judging()


@dataclass(frozen=True)
class Finished:
    """A verdict, and where its run is."""

    document: VerdictDocument
    folder: Path


def plan_of(job: PatchJob, changes: Changes) -> Plan:
    """Return what the cells of a job are run and judged by."""
    names = [step.name for step in job.steps]
    matrix = job.matrix
    return Plan(
        kernels=names,
        machines=[machine.name for machine in matrix.machines],
        suites=[suite.name for suite in matrix.suites],
        expect=list(matrix.expect),
        compare=[Comparison(base=names[0], patched=other) for other in names[1:]],
        repeat=changes.repeat,
        retries=RETRIES,
        skip_unchanged=changes.skip_unchanged,
        limits=changes.limits.or_else(matrix.limits),
        retention=matrix.retention,
    )


def run_patch(
    job: PatchJob,
    plan: Plan,
    around: Surroundings,
    command: list[str],
    resumed: tuple[RunStore, Run] | None = None,
    judging: Judging = AS_EVER,
) -> Finished:
    """Build, boot, compare. Errors as for session()."""
    started = time.monotonic()
    with session(job, plan, around, command, resumed) as done:
        document = document_of(done, plan.repeat, command, judging)
        done.engine.status = document.status
        document.seconds = round(time.monotonic() - started, 1)
        done.engine.store.keep(PATCH, document)
    return Finished(document, done.folder)


def document_of(
    done: PatchSession, repeat: int, command: Sequence[str], judging: Judging
) -> VerdictDocument:
    """Return the whole story of a session that is over."""
    base, last = done.base, done.last
    told = _conclusion(done, base, last, every_figure=repeat > 1)
    steps = _steps(done) if len(done.results) > 2 else []
    _add_steps(told, steps, last)
    reach = _reach(told, done, guests=judging.guests)
    style: list[StyleRemark] = []
    if last.builds:
        made = last.builds[0]
        with ThreadPoolExecutor(1) as aside:
            checked = aside.submit(lint.checkpatch, done.job.series.patches, made)
            style = [*lint.sparse(made), *checked.result()]
    verdict = told.verdict
    allowed = verdict is Verdict.NOT_EXERCISED and judging.allow_unreached
    status = Status.PASS if allowed else STATUS[verdict]
    series = done.job.series
    return VerdictDocument(
        verdict=verdict,
        status=status,
        exit_code=exit_code_of(status),
        headline=_headline(done, told),
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
        reach=reach,
        changes=told.changes,
        census=told.census,
        unchanged=told.unchanged,
        figures=told.figures,
        size=_sizes(base, last),
        style=style,
        steps=steps,
        reproduce=_reproduce(done, command),
        run=done.engine.record.run.id,
    )


def _reach(told: Conclusion, done: PatchSession, *, guests: bool) -> PatchReach | None:
    """Return which lines of the series ran, for the word as well; None where that is not known."""
    if done.lines is None:
        return None
    ran = Ran([] if _same(done) else _cells(done, done.last), done.folder, booted=not _same(done))
    return add_reach(told, done.lines.result(), ran, guests=guests)


def _headline(done: PatchSession, told: Conclusion) -> str:
    """What the verdict rests on; where the kernel hangs, the place is all there is to say."""
    if _same(done) and told.verdict is Verdict.UNCHANGED:
        return SAME
    hangs = [text for cell in _cells(done, done.last) if (text := shown(cell.failure))]
    return hangs[0] if hangs and told.verdict is Verdict.REGRESSED else headline(told)


def _conclusion(
    done: PatchSession, base: StepResult, other: StepResult, *, every_figure: bool
) -> Conclusion:
    """What `other` changed against `base`."""
    for side, step in (("base", base), (_called(done, other), other)):
        if step.error:
            return Conclusion(open=[f"{side} does not build: {step.error}"])
    before, after = _cells(done, base), _cells(done, other)
    if before is after or base.tested == other.tested:
        return Conclusion()
    pairs = _pairs(before, after)
    told = conclude(pairs, (done.folder, done.folder), every_figure=every_figure)
    if not pairs:
        told.open.append("no cell was run")
    told.changes += _warned(other)
    for change in told.changes:
        if change.kind is ChangeKind.REGRESSED and "trace" in change.detail:
            change.detail["trace"] = decoded(
                change.detail["trace"], other.builds[0], own=True, patience=TREE_SECONDS
            )
    return told


def _called(done: PatchSession, step: StepResult) -> str:
    total = len(done.job.series.patches)
    each = len(done.results) > 2
    return f"patch {step.step.count}/{total}" if each else "patched"


def _cells(done: PatchSession, step: StepResult) -> list[Cell]:
    """The cells of a kernel; those of the one before when the Image is the same."""
    number = done.results.index(step)
    while done.results[number].same and number:
        number -= 1
        while done.results[number].error and number:
            number -= 1
    return done.results[number].cells


def _same(done: PatchSession) -> bool:
    """Whether no kernel is another than the base."""
    return len(done.results) > 1 and all(step.same for step in done.results[1:])


def _pairs(before: Sequence[Cell], after: Sequence[Cell]) -> list[Pair]:
    by_place = {(c.machine.name, c.suite.name): c for c in before}
    found = ((by_place.get((c.machine.name, c.suite.name)), c) for c in after)
    return [Pair(was, now) for was, now in found if was]


def _warned(step: StepResult) -> list[VerdictChange]:
    """The compiler's new warnings."""
    return [
        VerdictChange(path=f"build.{place}", base=NOT_THERE, patched=text,
                      kind=CompilerWarning().kind, about="build")
        for build in step.builds
        for place, text in lint.compiled(build)
    ]  # fmt: skip


def _steps(done: PatchSession) -> list[StepRecord]:
    """Each patch against the kernel before it that builds."""
    found = []
    before = done.base
    for step in done.results[1:]:
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


def _add_steps(told: Conclusion, steps: Sequence[StepRecord], last: StepResult) -> None:
    """What is wrong in the middle of a series is wrong, even when a later patch mends it."""
    known = {(c.path, c.machine, c.suite) for c in told.changes if c.kind is ChangeKind.REGRESSED}
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


def _side(step: StepResult, cells: Sequence[Cell]) -> Side:
    record = step.builds[0].record if step.builds else None
    return Side(name=step.step.name, kernel=record, cells=list(cells))


def _sizes(base: StepResult, last: StepResult) -> dict[str, tuple[int, int]]:
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


def _reproduce(done: PatchSession, command: Sequence[str]) -> list[str]:
    """The commands that do it again: all of it, and the two kernels by their names."""
    words = ["s2eval", *command[1:]]
    base, last = done.job.steps[0], done.job.steps[-1]
    lines = [shlex.join(words)]
    options: list[str] = []
    for step in (base, last):
        options += ["-k", step.name]
    matrix = done.job.matrix
    options += [word for machine in matrix.machines for word in ("-m", machine.name)]
    options += [word for suite in matrix.suites for word in ("-s", suite.name)]
    return [*lines, shlex.join(["s2eval", "run", *options])]
