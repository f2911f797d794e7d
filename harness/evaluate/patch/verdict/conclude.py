# SPDX-License-Identifier: GPL-2.0-only
"""From two lists of cells to all that differs between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.evaluate.cell.refusal import blame_kernel, refusal
from harness.evaluate.patch.verdict.census import CensusSummary, census_summary
from harness.evaluate.patch.verdict.figures import FigureRecord, changes, compared
from harness.evaluate.patch.verdict.logdiff import LOGS, KernelLog, kernel_log, log_difference
from harness.evaluate.patch.verdict.reach import last_words
from harness.evaluate.patch.verdict.verdict import (
    VerdictChange,
    logged,
    observed,
    settled,
    unknown,
)
from harness.evaluate.patch.verdict.word import Lines, Tally, Verdict, tally
from harness.results.compare import Pair, difference
from harness.results.failure_kinds import FailureKind
from harness.results.records import Cell, Status
from harness.results.shifts import not_comparable
from harness.results.stats import boots_needed
from harness.results.store import cell_path
from harness.suites.failures.splats import plain, stripped

HOST = 12  # lines of L1's log that are told with a refused VMM


@dataclass
class Conclusion:
    """All that differs, what could not be decided, and how many observations are the same.

    `lines` says how many of the lines that the series adds ran; None where nobody knows.
    """

    changes: list[VerdictChange] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    figures: list[FigureRecord] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unchanged: int = 0
    pairs: list[Pair] = field(default_factory=list)
    census: list[CensusSummary] = field(default_factory=list)
    lines: Lines | None = None

    @property
    def tally(self) -> Tally:
        """Return the word on all of it, and how many things are better and worse."""
        return tally(self.changes, self.open, self.lines)

    @property
    def verdict(self) -> Verdict:
        """Return the word on all of it."""
        return self.tally.word


def conclude(
    pairs: Sequence[Pair], folders: tuple[Path | None, Path | None], *, every_figure: bool
) -> Conclusion:
    """Return all that differs between the cells of `pairs`.

    Their logs are below `folders` (of base's run, of patched's run; None: they are not compared).
    `every_figure` compares also those that are not representative.
    """
    conclusion = Conclusion(pairs=[_blamed(pair) for pair in pairs])
    for pair in conclusion.pairs:
        found = settled([*observed(pair), *_logged(conclusion, pair, folders)])
        _add_words_of_vmm(found, pair, folders)
        conclusion.changes += found
        if whole := census_summary(pair):
            conclusion.census.append(whole)
        conclusion.open += unknown(pair)
        conclusion.unchanged += difference(pair).unchanged
        machine, suite = pair.patched.machine.name, pair.patched.suite.name
        reason = not_comparable(pair)
        if reason:
            conclusion.notes.append(f"figures of {machine}, {suite} are not compared: {reason}")
        records = compared(pair, always=every_figure)
        conclusion.figures += records
        conclusion.changes += changes(records)
    conclusion.notes += _about_figures(conclusion)
    if not any(pair.patched.status is not Status.SKIP for pair in pairs) and not conclusion.open:
        conclusion.open.append("no cell to compare")
    return conclusion


def headline(conclusion: Conclusion) -> str:
    """Return what the verdict rests on, in a line."""
    result = conclusion.tally
    if result.sentence:
        return result.sentence
    if result.word is Verdict.UNDECIDED:
        return conclusion.open[0]
    if result.word is Verdict.NOT_EXERCISED and conclusion.lines:
        return conclusion.lines.sentence
    other = [c for c in conclusion.changes if not c.repeats and c.about != "build"]
    return "no promise kept or broken" + (f", {len(other)} other differences" if other else "")


def _blamed(pair: Pair) -> Pair:
    """Return the pair with the failure of a VMM that the patched kernel refuses as its own."""
    failure = refusal(pair.base, pair.patched)
    if failure is None:
        return pair
    patched = pair.patched.model_copy(deep=True)
    blame_kernel(patched, failure)
    return Pair(pair.base, patched)


def _logged(
    conclusion: Conclusion, pair: Pair, folders: tuple[Path | None, Path | None]
) -> list[VerdictChange]:
    """Return what only one of the kernels complained of; note what their logs cannot tell."""
    if folders[0] is None or folders[1] is None:
        return []
    before, after = _kernel_logs(pair.base, folders[0]), _kernel_logs(pair.patched, folders[1])
    fresh, gone = [], []
    for whose in LOGS:
        old, new = before.get(whose), after.get(whose)
        found = log_difference(old or KernelLog(), new or KernelLog())
        # The log of a guest that never got so far tells nothing but of failures.
        fresh += [c for c in found.fresh if c.kind or old is not None]
        gone += [c for c in found.gone if c.kind or new is not None]
        where = f"{whose}'s log, {pair.patched.machine.name}, {pair.patched.suite.name}"
        conclusion.notes += [f"{where}: {reason}" for reason in found.unjudged]
    return logged(pair, fresh, gone)


def _add_words_of_vmm(
    changes: list[VerdictChange], pair: Pair, folders: tuple[Path | None, Path | None]
) -> None:
    """Add to the change that tells of a refused VMM its output, and what only that L1's log has."""
    failure = pair.patched.failure
    if failure is None or failure.kind is not FailureKind.VMM_REFUSED:
        return
    ends = {item.path for item in last_words(pair.patched)}
    known = {plain(line) for log in _logs_of(pair.base, folders[0], "L1") for line in log}
    lines = (line for log in _logs_of(pair.patched, folders[1], "L1") for line in log)
    fresh = dict.fromkeys(stripped(line) for line in lines if plain(line) not in known)
    words = {"vmm": list(dict.fromkeys(failure.excerpt)), "host": list(fresh)[-HOST:]}
    for change in changes:
        if change.path in ends:
            change.detail |= words


def _kernel_logs(cell: Cell, folder: Path) -> dict[str, KernelLog]:
    """Return what the kernels of a cell say, in all its boots, by whose log it is in."""
    files = {whose: list(_logs_of(cell, folder, whose)) for whose in LOGS}
    return {whose: kernel_log(whose, lines) for whose, lines in files.items() if lines}


def _logs_of(cell: Cell, folder: Path | None, whose: str) -> Iterator[list[str]]:
    """Yield the lines of each log of L1 or L2 that a cell has, in all its boots."""
    if folder is None:
        return
    for log in cell.logs:
        path = cell_path(folder, cell.name) / log
        if path.name in LOGS[whose] and path.is_file():
            yield path.read_text(errors="replace").splitlines()


def _about_figures(conclusion: Conclusion) -> list[str]:
    """Why figures have no say."""
    measured = [o for p in conclusion.pairs for o in p.patched.observations if o.unit and o.samples]
    if measured and not any(o.detail.get("representative", True) for o in measured):
        return ["figures are not compared: none of this machine is representative (TCG)"]
    figures = [record for record in conclusion.figures if record.representative]
    needed = boots_needed(len(figures))
    if figures and min(min(record.base.count, record.patched.count) for record in figures) < needed:
        return [f"figures decide nothing below {needed} boots of each kernel (--repeat {needed})"]
    return []
