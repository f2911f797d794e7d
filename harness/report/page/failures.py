# SPDX-License-Identifier: GPL-2.0-only
"""The failed, flaky and skipped parts of a run: reasons, log lines, commands to run them again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.base.text import clean
from harness.evaluate.cell.reproduce import SCRIPT
from harness.report.logs import excerpt, shown_path
from harness.report.view.findings import BAD, Finding, failed_as_expected, findings
from harness.report.view.places import place_lines
from harness.results.records import Cell, Run, Status
from harness.results.store import cell_path

BUDGET = 1_800_000  # characters of excerpts and scripts; `s2eval show` has those left out
SCRIPT_LIMIT = 20_000


@dataclass
class FailedCell:
    """A cell that failed; `expected`: the plan asked for all its bad results.

    `place` says where the CPUs of a silent guest were. `log` is a path to read on in, `again` a
    command that runs the cell again, `cut` tells that excerpt and script were left out.
    """

    index: int
    cell: Cell
    expected: bool
    findings: list[Finding]
    kind: str = ""
    summary: str = ""
    excerpt: list[str] = field(default_factory=list)
    place: list[str] = field(default_factory=list)
    log: str = ""
    again: str = ""
    script: str = ""
    cut: bool = False


@dataclass(frozen=True)
class FlakyItem:
    """An observation, and how often it had each of its words (`seen`)."""

    index: int
    cell: str
    path: str
    seen: str


@dataclass(frozen=True)
class Skip:
    """The text of a SKIP, with the indices and the names of the cells that have it."""

    text: str
    cells: list[int]
    names: list[str]


def failures(run: Run, folder: Path | None) -> list[FailedCell]:
    """Return the failed cells in the run's order, unexpected failures first."""
    failed = [
        FailedCell(index, cell, failed_as_expected(cell), findings(cell))
        for index, cell in enumerate(run.cells)
        if _failed(cell)
    ]
    failed.sort(key=lambda failure: failure.expected)
    left = BUDGET
    for failure in failed:
        _fill(failure, run, folder)
        size = len(failure.script) + sum(map(len, failure.excerpt))
        if size > left:
            failure.script, failure.excerpt, failure.cut = "", failure.excerpt[-1:], True
        else:
            left -= size
    return failed


def flakes(run: Run) -> list[FlakyItem]:
    """Return the observations that differ between the repeats of their cell."""
    return [
        FlakyItem(index, clean(cell.name), clean(item.path), _counted(item.detail["flaky"]))
        for index, cell in enumerate(run.cells)
        for item in cell.outcomes()
        if item.detail.get("flaky")
    ]


def _counted(words: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {clean(str(word))}" for word, count in words.items())


def skips(run: Run) -> list[Skip]:
    """Return the reasons for which tests of cells that did not fail were skipped, each once."""
    cells_with: dict[str, list[int]] = {}
    for index, cell in enumerate(run.cells):
        if not _failed(cell):
            for finding in findings(cell):
                cells_with.setdefault(finding.text, []).append(index)
    return [
        Skip(text, cells, [run.cells[index].name for index in cells])
        for text, cells in cells_with.items()
    ]


def _failed(cell: Cell) -> bool:
    unmet = any(e.status is not Status.PASS for e in cell.expectations)
    return cell.status in BAD or unmet or cell.failure is not None


def _fill(failure: FailedCell, run: Run, folder: Path | None) -> None:
    cell = failure.cell
    if cell.failure:
        failure.kind, failure.summary = clean(cell.failure.kind), clean(cell.failure.summary)
        failure.excerpt = excerpt(cell, folder)
        failure.place = place_lines(cell.failure.place) if cell.failure.place else []
    names = [shlex.quote(clean(name)) for name in (run.run.id, cell.name)]
    failure.again = "s2eval show {} --reproduce {} > again.sh && sh again.sh".format(*names)
    if folder is None:
        return
    logs = cell_path(folder, cell.name)
    log = cell.failure.log if cell.failure else ""
    failure.log = shown_path(logs / log)
    failure.script = _script(logs / SCRIPT)


def _script(path: Path) -> str:
    """Return the cell's own script; "" when the cell was never started, or the script is long."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return ""
    if len(text) > SCRIPT_LIMIT:
        return ""
    lines = text.split("\n")
    indents = (line[: len(line) - len(line.lstrip("\t "))] for line in lines)
    return "\n".join(i + clean(line, SCRIPT_LIMIT) for i, line in zip(indents, lines, strict=True))
