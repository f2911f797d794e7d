# SPDX-License-Identifier: GPL-2.0-only
"""A bisection with real kernels and guests: every boot is a cell of one run."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.app.run import host_info
from harness.base.errors import UsageError
from harness.base.text import clean
from harness.evaluate.bisect.bisect import BAD, GOOD, Result, bisect
from harness.evaluate.bisect.commits import History, of_series, of_tree
from harness.evaluate.cell.cell import Tools
from harness.evaluate.engine.execute import Policy, execute
from harness.evaluate.engine.loop import summary_of
from harness.evaluate.events import CellDone, notes
from harness.evaluate.patch.request import Options, Where, where_of
from harness.evaluate.patch.verdict.check import Check, CheckResult, parse_check
from harness.evaluate.plan.plan import request
from harness.evaluate.progress import Progress
from harness.hosts.qemu.binary import find_qemu
from harness.results.failure_kinds import FailureKind
from harness.results.records import Cell, Run, RunInfo, Status
from harness.results.repeats import merge_takes, renamed_copy
from harness.results.store import RunStore

NAME = "bisect"


@dataclass(frozen=True)
class Finished:
    result: Result
    history: History
    folder: Path
    seconds: float

    @property
    def status(self) -> Status:
        return Status.PASS if self.result.found else Status.MISS


def run_bisect(
    series: str,
    options: Options,
    *,
    good: str,
    bad: str,
    check: str,
    repeat: int,
    command: list[str],
    progress: Progress,
) -> Finished:
    """Find the first bad commit. UsageError for refs, series or checks that are none."""
    started = time.monotonic()
    criterion = parse_check(check)
    where = where_of(options)
    if len(where.machines) > 1 or len(where.suites) > 1:
        raise UsageError("a bisection has one machine and one suite")
    if series and (good or bad):
        raise UsageError("give a series or --good and --bad, not both")
    with progress:
        if series:
            history = of_series(series, options, notes(progress))
        else:
            history = of_tree(options, good, bad)
        with _booted(history, where, criterion, command, progress) as (boot, store):
            question = repr((where, options.config, options.llvm, repeat))
            result = bisect(history, str(criterion), question, boot, progress, repeat=repeat)
            boot.record.run.interrupted = False
            boot.record.status = Status.PASS if result.found else Status.MISS
    return Finished(result, history, store.folder, round(time.monotonic() - started, 1))


@dataclass
class _Boot:
    """Boots the kernel of a commit once and asks the check."""

    history: History
    where: Where
    check: Check
    tools: Tools
    store: RunStore
    record: Run
    takes: dict[str, list[Cell]] = field(default_factory=dict)

    def __call__(self, commit: str) -> CheckResult:
        wanted = request(self.history.kernel(commit), self.where.machines[0], self.where.suites[0])
        takes = self.takes.setdefault(wanted.name, [])
        number = len(takes) + 1

        def folder(cell: str, boot: int = 1) -> Path:
            return self.store.cell_folder(cell, number + boot - 1)

        (cell,) = execute((wanted,), self.tools, folder, Policy(fresh=number > 1))
        takes.append(renamed_copy(cell, str(number)) if number > 1 else cell)
        self.tools.listener(CellDone(cell.name, cell.status, summary_of(cell)))
        self.store.add(merge_takes(takes, []))
        if cell.failure and (cell.failure.kind.ours or cell.failure.kind is FailureKind.INPUT):
            raise UsageError(cell.failure.summary)
        return self.check.of(cell)


@contextlib.contextmanager
def _booted(
    history: History, where: Where, check: Check, command: list[str], progress: Progress
) -> Iterator[tuple[_Boot, RunStore]]:
    """What boots, and the run that records it."""
    now = datetime.datetime.now(datetime.UTC)
    info = RunInfo(
        id="",
        plan=NAME,
        started=now.isoformat(timespec="seconds"),
        command=command,
        host=host_info(),
        interrupted=True,
    )
    tools = Tools(find_qemu(), progress)
    with RunStore.create(NAME, now) as store:
        info.id = store.folder.name
        record = Run(run=info, status=Status.MISS)
        store.write(record)  # a run that is killed has its cells in the journal
        boot = _Boot(history, where, check, tools, store, record)
        started = time.monotonic()
        try:
            yield boot, store
        finally:
            info.seconds = round(time.monotonic() - started, 3)
            record.cells = [merge_takes(takes, []) for takes in boot.takes.values() if takes]
            store.write(record)


def text(done: Finished) -> str:
    """The first bad commit, why it is one, and what was tried."""
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
    for one in by_commit.values():
        lines.append(f"  {one.answer:5} {one.commit[:12]} {clean(one.subject, 60)}")
        lines.append(f"        {clean(one.why, 200)}")
    lines.append(f"records   {done.folder}")
    return "\n".join([*lines, f"{done.seconds:.1f} s", ""])
