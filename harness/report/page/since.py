# SPDX-License-Identifier: GPL-2.0-only
"""The changes of a run since the previous run of the same plan."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from harness.base.errors import S2EvalError
from harness.evaluate.patch.between import same_cells
from harness.report.counted import counted_lines, word_line
from harness.report.view.sentence import sentences
from harness.results.compare import Pair
from harness.results.records import Cell, Run
from harness.results.store import load_run, run_names

SEARCHED = 20  # previous runs that are searched for one of the same plan
_STAMP = "20260117-101530-"  # before the plan in a run's name
NOTHING = "nothing changed"


@dataclass(frozen=True)
class CellChange:
    """The same change in cells of one kernel and suite: machines, statuses, and clauses."""

    kernel: str
    suite: str
    machines: list[str]
    cells: list[int]
    statuses: str
    clauses: list[str]


@dataclass
class Since:
    """The changes since another run.

    `moved` are the kernels built from another commit or series, or with another config; `same`
    counts the cells without a change. `word` and `lines` are the word on all of them, and what it
    counts.
    """

    run: str
    started: str
    status: str
    changes: list[CellChange] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    same: int = 0
    word: str = ""
    lines: list[str] = field(default_factory=list)


def since(run: Run, folder: Path) -> Since | None:
    """Return the changes since the previous run; None when there is no previous run."""
    before = previous(run, folder)
    if before is None:
        return None
    result = changes(before, run)
    document = same_cells(before, run, (folder.parent / before.run.id, folder))
    if document:
        result.word, result.lines = word_line(document), counted_lines(document)
    return result


def previous(run: Run, folder: Path) -> Run | None:
    """Return the newest earlier run of the same plan that shares a cell; None when there is none.

    Runs that cannot be read are skipped.
    """
    names = run_names(folder.parent)
    older = names[: names.index(folder.name)] if folder.name in names else []
    alike = [name for name in reversed(older) if _kind(name) == _kind(folder.name)]
    mine = {cell.name for cell in run.cells}
    for name in alike[:SEARCHED]:
        try:
            earlier = load_run(folder.parent / name)
        except S2EvalError:
            continue
        same_plan = Path(earlier.run.plan).name == Path(run.run.plan).name
        if same_plan and mine & {cell.name for cell in earlier.cells}:
            return earlier
    return None


def _kind(name: str) -> str:
    """Return the plan in a run's name, without the number of a second run in that second."""
    return re.sub(r"-\d+$", "", name[len(_STAMP) :])


def changes(before: Run, after: Run) -> Since:
    """Return the changes between two runs of one plan, cell by cell. Pure."""
    old = {cell.name: cell for cell in before.cells}
    new = {cell.name: (index, cell) for index, cell in enumerate(after.cells)}
    result = Since(before.run.id, before.run.started, before.status.value)
    result.added = [name for name in new if name not in old]
    result.gone = [name for name in old if name not in new]
    result.moved = _moved(before, after)
    grouped: dict[tuple[str, str, str, tuple[str, ...]], list[tuple[str, int]]] = {}
    for name, (index, cell) in new.items():
        if name in old:
            clauses = tuple(_clauses(old[name], cell))
            statuses = _statuses(old[name], cell)
            if statuses or clauses != (NOTHING,):
                key = (cell.kernel.name, cell.suite.name, statuses, clauses)
                grouped.setdefault(key, []).append((cell.machine.name, index))
            else:
                result.same += 1
    for (kernel, suite, statuses, clauses), members in grouped.items():
        machines, cells = [list(column) for column in zip(*members, strict=True)]
        result.changes.append(CellChange(kernel, suite, machines, cells, statuses, list(clauses)))
    return result


def _clauses(before: Cell, after: Cell) -> list[str]:
    """Return the clauses of the changes, without the head, which compares two kernels."""
    ((_, *clauses),) = sentences([Pair(before, after)])
    return [clause.rstrip(";") for clause in clauses]


def _statuses(before: Cell, after: Cell) -> str:
    statuses = [
        f"{c.status.value} ({c.failure.kind})" if c.failure else c.status.value
        for c in (before, after)
    ]
    return "" if statuses[0] == statuses[1] else " -> ".join(statuses)


def _moved(before: Run, after: Run) -> list[str]:
    """Return a line for each kernel whose inputs are not those of the previous run."""
    old = {cell.kernel.name: cell.kernel for cell in before.cells}
    lines = {}
    for cell in after.cells:
        now, was = cell.kernel, old.get(cell.kernel.name)
        if was is None or not (was.build_key and now.build_key) or was.build_key == now.build_key:
            continue
        parts = [
            f"{name} {_short(old_input)} -> {_short(new_input)}"
            for name, old_input, new_input in (
                ("commit", was.commit, now.commit),
                ("series", was.series_hash, now.series_hash),
                ("config", was.config_hash, now.config_hash),
                ("compiler", was.compiler, now.compiler),
            )
            if old_input != new_input
        ]
        lines[now.name] = f"{now.name}: {', '.join(parts) or 'another build'}"
    return list(lines.values())


def _short(text: str) -> str:
    return text[:12] or "none"
