# SPDX-License-Identifier: GPL-2.0-only
"""What changed since the run before of the same plan."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from harness.base.errors import S2EvalError
from harness.report.view.sentence import sentences
from harness.results.compare import Pair
from harness.results.records import Cell, Run
from harness.results.store import load_run, run_names

LOOKED_AT = 20  # runs before this one: an older one than that is no neighbour
_STAMP = "20260117-101530-"  # before the plan in a run's name
NOTHING = "nothing changed"


@dataclass(frozen=True)
class CellChange:
    """The same change in cells of one kernel and suite: where, the statuses, what was seen."""

    kernel: str
    suite: str
    machines: list[str]
    cells: list[int]
    statuses: str
    clauses: list[str]


@dataclass
class Since:
    """`moved`: kernels built from another commit or series, or with another config."""

    run: str
    started: str
    status: str
    changes: list[CellChange] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    same: int = 0


def since(run: Run, folder: Path) -> Since | None:
    """Return what changed since the run before; None when there is none to be found."""
    before = previous(run, folder)
    return changes(before, run) if before else None


def previous(run: Run, folder: Path) -> Run | None:
    """Return the newest earlier run of the same plan; without a plan, one that shares a cell.

    Runs that cannot be read are passed over.
    """
    names = run_names(folder.parent)
    older = names[: names.index(folder.name)] if folder.name in names else []
    alike = [name for name in reversed(older) if _kind(name) == _kind(folder.name)]
    mine = {cell.name for cell in run.cells}
    for name in alike[:LOOKED_AT]:
        try:
            found = load_run(folder.parent / name)
        except S2EvalError:
            continue
        same_plan = Path(found.run.plan).name == Path(run.run.plan).name
        if same_plan and mine & {cell.name for cell in found.cells}:
            return found
    return None


def _kind(name: str) -> str:
    """The plan in a run's name; the same for a second run in that second."""
    return re.sub(r"-\d+$", "", name[len(_STAMP) :])


def changes(before: Run, after: Run) -> Since:
    """Return how two runs of one plan differ, cell by cell. Pure."""
    old = {cell.name: cell for cell in before.cells}
    new = {cell.name: (index, cell) for index, cell in enumerate(after.cells)}
    found = Since(before.run.id, before.run.started, before.status.value)
    found.added = [name for name in new if name not in old]
    found.gone = [name for name in old if name not in new]
    found.moved = _moved(before, after)
    grouped: dict[tuple[str, str, str, tuple[str, ...]], list[tuple[str, int]]] = {}
    for name, (index, cell) in new.items():
        if name in old:
            told = _clauses(old[name], cell)
            statuses = _statuses(old[name], cell)
            if statuses or told != [NOTHING]:
                key = (cell.kernel.name, cell.suite.name, statuses, tuple(told))
                grouped.setdefault(key, []).append((cell.machine.name, index))
            else:
                found.same += 1
    for (kernel, suite, statuses, clauses), places in grouped.items():
        machines, cells = [list(group) for group in zip(*places, strict=True)]
        found.changes.append(CellChange(kernel, suite, machines, cells, statuses, list(clauses)))
    return found


def _clauses(before: Cell, after: Cell) -> list[str]:
    """What changed, without the head of the sentence: it names a kernel against another."""
    (told,) = sentences([Pair(before, after)])
    return [clause.rstrip(";") for clause in told[1:]]


def _statuses(before: Cell, after: Cell) -> str:
    said = [
        f"{c.status.value} ({c.failure.kind})" if c.failure else c.status.value
        for c in (before, after)
    ]
    return "" if said[0] == said[1] else " -> ".join(said)


def _moved(before: Run, after: Run) -> list[str]:
    """Kernels whose inputs are not those of the run before."""
    old = {cell.kernel.name: cell.kernel for cell in before.cells}
    told = {}
    for cell in after.cells:
        now, was = cell.kernel, old.get(cell.kernel.name)
        if was is None or not (was.build_key and now.build_key) or was.build_key == now.build_key:
            continue
        parts = [
            f"{what} {_short(one)} -> {_short(other)}"
            for what, one, other in (
                ("commit", was.commit, now.commit),
                ("series", was.series_hash, now.series_hash),
                ("config", was.config_hash, now.config_hash),
                ("compiler", was.compiler, now.compiler),
            )
            if one != other
        ]
        told[now.name] = f"{now.name}: {', '.join(parts) or 'another build'}"
    return list(told.values())


def _short(text: str) -> str:
    return text[:12] or "none"
