# SPDX-License-Identifier: GPL-2.0-only
"""A bisection with real kernels and guests: every boot is a cell of one run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.base.errors import MachineError, UsageError
from harness.base.json_text import json_text
from harness.base.text import clean
from harness.evaluate.bisect.bisect import Result, bisect
from harness.evaluate.bisect.commits import History, of_series, of_tree
from harness.evaluate.bisect.confidence import BAD, GOOD
from harness.evaluate.bisect.not_worse import NOT_WORSE, not_worse, of_good_end
from harness.evaluate.cell.refusal import as_refusal, blame_kernel, of_vmm, same_words
from harness.evaluate.engine import unchanged
from harness.evaluate.engine.engine import Engine, Surroundings
from harness.evaluate.engine.new_run import new_run
from harness.evaluate.events import notes
from harness.evaluate.patch.request import Matrix, Options, matrix_of
from harness.evaluate.patch.verdict.check import Check, CheckResult, parse_check
from harness.evaluate.plan.plan import NO_LIMITS, CellRequest, Limits, Plan, request
from harness.hosts.qemu.binary import QemuBinary
from harness.results.failure_kinds import FailureKind
from harness.results.records import Cell, Status

NAME = "bisect"


@dataclass(frozen=True)
class Question:
    """What a bisection looks for: between two refs, or in a series, the first that fails `check`.

    `repeat` boots must agree. Without a check a commit is bad that is worse than the good end.
    """

    check: str = ""
    series: str = ""
    good: str = ""
    bad: str = ""
    repeat: int = 2
    limits: Limits = NO_LIMITS


@dataclass(frozen=True)
class Finished:
    """What was found, and where its records are."""

    result: Result
    history: History
    folder: Path
    seconds: float

    @property
    def status(self) -> Status:
        """Whether the run came to an answer."""
        return Status.PASS if self.result.found else Status.MISS


def run_bisect(
    question: Question, options: Options, around: Surroundings, command: Sequence[str]
) -> Finished:
    """Find the first bad commit. UsageError for refs, series or checks that are none."""
    started = time.monotonic()
    check = parse_check(question.check) if question.check else None
    matrix = matrix_of(options)
    if len(matrix.machines) > 1 or len(matrix.suites) > 1:
        raise UsageError("a bisection has one machine and one suite")
    if question.series and (question.good or question.bad):
        raise UsageError("give a series or --good and --bad, not both")
    if question.series:
        history = of_series(question.series, options, notes(around.progress))
    else:
        history = of_tree(options, question.good, question.bad)
    with _engine(matrix, question, around, command) as engine:
        boots = Boots(history, matrix, check, engine)
        result = bisect(
            history,
            str(check or NOT_WORSE),
            shape_of(boots.request(history.good), around.qemu, question.repeat),
            boots,
            around.progress,
            repeat=question.repeat,
        )
        engine.status = Status.PASS if result.found else Status.MISS
    return Finished(result, history, engine.store.folder, round(time.monotonic() - started, 1))


def shape_of(good: CellRequest, qemu: QemuBinary, repeat: int) -> str:
    """Return a hash over all that shapes answers, beside the check and the commits.

    That is config, compiler, machine, suite, QEMU and s2eval itself, by their contents. `good` is
    the cell of the good end.
    """
    key = unchanged.build_key(good.kernel)
    parts = [key, json_text(good.kernel), unchanged.inputs_hash(good, key, qemu, repeat)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@contextlib.contextmanager
def _engine(
    matrix: Matrix, question: Question, around: Surroundings, command: Sequence[str]
) -> Iterator[Engine]:
    """The run that records the boots."""
    plan = Plan(
        kernels=[NAME],
        machines=[matrix.machines[0].name],
        suites=[matrix.suites[0].name],
        retries=0,
        limits=question.limits.or_else(matrix.limits),
        retention=matrix.retention,
    )
    store, record = new_run(NAME, command, jobs=around.crew.jobs)
    with store, Engine(store, record, plan, around) as engine:
        engine.status = Status.MISS
        yield engine


@dataclass
class Boots:
    """Boots the kernel of a commit, once a call, and asks the check; None: NOT_WORSE."""

    history: History
    matrix: Matrix
    check: Check | None
    engine: Engine
    _first: dict[str, Cell] = field(default_factory=dict)  # boots that nobody has asked for yet
    _booted: set[str] = field(default_factory=set)
    _refused: dict[str, CheckResult] = field(default_factory=dict)
    _good: Cell | None = None

    def request(self, commit: str) -> CellRequest:
        """Return the cell of a commit."""
        kernel = self.history.kernel(commit)
        return request(kernel, self.matrix.machines[0], self.matrix.suites[0])

    def ahead(self, commits: Sequence[str]) -> None:
        """Boot the kernels of commits that will be asked for, side by side if there are workers."""
        requests = {commit: self.request(commit) for commit in commits}
        if self.engine.around.crew.jobs > 1:
            cells = {cell.name: cell for cell in self.engine.run(list(requests.values()))}
            self.engine.go_on()
            self._first = {commit: cells[one.name] for commit, one in requests.items()}
            self._booted |= set(commits)

    def __call__(self, commit: str) -> CheckResult:
        """Boot the kernel of a commit once more; return what the check says.

        A VMM that ends by itself gets another boot: in the same words again, this kernel refuses
        it. Raise MachineError when something is missing here, or the run is stopped.
        """
        if commit in self._refused:  # it took two boots to see
            return self._refused[commit]
        cell = self._cell(commit)
        failure = cell.failure
        if failure and of_vmm(failure) and commit != self.history.good:
            again = self._cell(commit).failure
            if again and same_words(failure, again):
                blame_kernel(cell, as_refusal(failure))
                result = self._ask(commit, cell)
                if result.met is None:
                    result = CheckResult(False, f"{FailureKind.VMM_REFUSED}: {failure.summary}")
                self._refused[commit] = result
        return self._refused.get(commit) or self._ask(commit, cell)

    def _ask(self, commit: str, cell: Cell) -> CheckResult:
        if self.check:
            return self.check.of(cell)
        if commit == self.history.good:
            self._good = cell
            return of_good_end(cell)
        if self._good is None:
            self._good = self._cell(self.history.good)
            self._first.setdefault(self.history.good, self._good)
        return not_worse(self._good, cell, self.engine.store.folder)

    def _cell(self, commit: str) -> Cell:
        """Boot the kernel of a commit once more, or take the boot that nobody has asked for yet."""
        cell = self._first.pop(commit, None) or self._boot(commit)
        self.engine.go_on()
        if cell is None:
            raise AssertionError("a boot without a record, though nothing stopped it")
        if cell.failure and cell.failure.kind is FailureKind.INPUT:
            raise UsageError(cell.failure.summary)
        if cell.failure and cell.failure.kind.ours:
            raise MachineError(cell.failure.summary)
        return cell

    def _boot(self, commit: str) -> Cell | None:
        wanted = self.request(commit)
        if commit in self._booted:
            return self.engine.boot_again(wanted)
        self._booted.add(commit)
        return next(iter(self.engine.run([wanted])), None)


def text(done: Finished) -> str:
    """Return the first bad commit, why it is one, and what was tried."""
    result = done.result
    by_commit = {one.commit: one for one in result.tried}
    if result.found:
        first = by_commit.get(result.found)
        subject = first.subject if first else done.history.subject(result.found)
        lines = [f"FIRST BAD: {result.found} {clean(subject)}", ""]
    else:
        lines = [f"UNDECIDED: one of {len(result.left)} commits, which build or boot failures hide"]
        lines += [f"  {c[:12]} {clean(done.history.subject(c))}" for c in result.left] + [""]
    lines.append(f"check     {clean(result.check)}")
    counts = {word: sum(one.answer == word for one in by_commit.values()) for word in (GOOD, BAD)}
    skipped = len(by_commit) - sum(counts.values())
    resumed = f", {result.resumed} known from before" if result.resumed else ""
    lines.append(
        f"tried     {len(by_commit)} commits: {counts[GOOD]} good, {counts[BAD]} bad, "
        f"{skipped} skipped{resumed}"
    )
    lines.append(f"sure      {_sure(result)}")
    for one in by_commit.values():
        lines.append(f"  {one.answer:5} {one.commit[:12]} {clean(one.subject, 60)}")
        lines.append(f"        {clean(one.why, 200)}")
    lines.append(f"records   {done.folder}")
    return "\n".join([*lines, f"{done.seconds:.1f} s", ""])


def _sure(result: Result) -> str:
    """How much the answer is worth, and what that rests on."""
    looked = f"{result.boots} boots"
    if result.flickered:
        commits = "1 commit" if result.flickered == 1 else f"{result.flickered} commits"
        looked += f", those of {commits} disagreed"
    else:
        looked += ", those of a commit always agreed"
    if result.confidence is None:
        return f"of no commit: {looked}"
    percent = min(math.floor(1000 * result.confidence) / 10, 99.9)
    return f"{percent:g} %: {looked}{_unlike(result)}"


def _unlike(result: Result) -> str:
    """Tell when the first bad commit fails otherwise than the bad end does."""
    whys = {one.commit: one.why.partition(" (")[0] for one in result.tried}
    first, end = whys.get(result.found), whys.get(result.bad)
    return "; it fails otherwise than --bad" if first and end and first != end else ""
