# SPDX-License-Identifier: GPL-2.0-only
"""The table of kinds of memory and owners by kernels: what a guest gets, is refused, dies of. Pure.

Made from cells of a suite whose lines on mappings name what a reader asks for
(harness/suites/mappings.py). The machines of a kernel are one entry, divided where they differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.base.text import clean
from harness.results.records import Cell, Observation

FWB, NO_FWB = "with FEAT_S2FWB", "without FEAT_S2FWB"
NOT_OFFERED = "not to be had"


@dataclass(frozen=True)
class Answer:
    """What a guest gets (`gets`), what it is refused and dies of (`clauses`).

    `machines` says on which, where they differ; `cells` are their indices in the run. `broken`
    counts the tests that break an invariant.
    """

    gets: str
    clauses: list[str]
    broken: int
    machines: str
    cells: list[int]


@dataclass(frozen=True)
class KindRow:
    """A kind, the mapping that stands for it, and the answers of each kernel."""

    kind: str
    mapping: str
    entries: list[list[Answer]]


@dataclass(frozen=True)
class KindsTable:
    """The kinds of one suite by the kernels of the run."""

    suite: str
    kernels: list[str]
    rows: list[KindRow]


def kinds_tables(cells: Sequence[Cell]) -> list[KindsTable]:
    """Return a table for each suite whose mappings have kinds, in the order of the run."""
    suites: dict[str, list[tuple[int, Cell]]] = {}
    for index, cell in enumerate(cells):
        suites.setdefault(cell.suite.name, []).append((index, cell))
    tables = [_table(suite, numbered) for suite, numbered in suites.items()]
    return [table for table in tables if table.rows]


def _table(suite: str, numbered: Sequence[tuple[int, Cell]]) -> KindsTable:
    by_path = [{item.path: item for item in cell.observations} for _, cell in numbered]
    summaries = [s for items in by_path for s in items.values() if "kind" in s.detail]
    summaries.sort(key=lambda summary: int(summary.detail["row"]))
    names = {summary.path: str(summary.detail["kind"]) for summary in summaries}
    kernels = list(dict.fromkeys(cell.kernel.name for _, cell in numbered))
    rows = []
    for path, name in names.items():
        entries: dict[str, list[tuple[int, Cell, Answer]]] = {kernel: [] for kernel in kernels}
        for (index, cell), items in zip(numbered, by_path, strict=True):
            entries[cell.kernel.name].append((index, cell, _answer(cell, path, items)))
        mapping = clean(path.removeprefix(f"{suite}."))
        rows.append(KindRow(clean(name), mapping, [_joined(e) for e in entries.values()]))
    return KindsTable(clean(suite), [clean(kernel) for kernel in kernels], rows)


def _answer(cell: Cell, path: str, items: Mapping[str, Observation]) -> Answer:
    """Return the answer of one cell, as yet on no machine."""
    summary = items.get(path)
    if summary is not None:
        clauses = [clean(str(clause)) for clause in summary.detail.get("clauses", [])]
        gets = clean(str(summary.detail.get("gets", summary.value)))
        return Answer(gets, clauses, int(summary.detail.get("broken", 0)), "", [])
    skipped = (o for o in items.values() if o.path.startswith(f"{path}."))
    reason = next((o.detail["reason"] for o in skipped if "reason" in o.detail), None)
    if reason:
        return Answer(NOT_OFFERED, [clean(str(reason))], 0, "", [])
    what = clean(cell.failure.kind) if cell.failure else "not tried"
    return Answer(f"{cell.status.value}: {what}" if cell.failure else what, [], 0, "", [])


def _joined(found: Iterable[tuple[int, Cell, Answer]]) -> list[Answer]:
    """Return the answers of a kernel's cells, equal ones as one that names its machines."""
    groups: dict[tuple[str, tuple[str, ...], int], list[tuple[int, Cell]]] = {}
    for index, cell, answer in found:
        key = answer.gets, tuple(answer.clauses), answer.broken
        groups.setdefault(key, []).append((index, cell))
    names = _names([[cell for _, cell in members] for members in groups.values()])
    return [
        Answer(gets, list(clauses), broken, name, [index for index, _ in members])
        for ((gets, clauses, broken), members), name in zip(groups.items(), names, strict=True)
    ]


def _names(groups: Sequence[Sequence[Cell]]) -> list[str]:
    """Return how the machines of each group are called: by FEAT_S2FWB where that divides them."""
    if len(groups) == 1:
        return [""]
    features = [{has_fwb(cell) for cell in cells} for cells in groups]
    if sorted(features, key=str) == [{False}, {True}]:
        return [FWB if feature == {True} else NO_FWB for feature in features]
    return [clean(", ".join(dict.fromkeys(c.machine.name for c in cells))) for cells in groups]


def has_fwb(cell: Cell) -> bool:
    """Return whether the audits of a cell saw HCR_EL2.FWB set."""
    return any(item.detail.get("fwb") is True for item in cell.observations)
