# SPDX-License-Identifier: GPL-2.0-only
"""Writes a run's records into the history, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import Connection, Table, and_, delete, insert, select

from harness.results.history.schema import (
    CELLS,
    KERNELS,
    MACHINES,
    OBSERVATIONS,
    OUTCOMES,
    PATHS,
    RUNS,
    SETUPS,
    SPLITS,
    SUITES,
    UNSTEADY,
)
from harness.results.records import SEVERITY, Cell, Observation, Run

IN_ONE_QUERY = 500  # values; SQLite before 3.32 takes 999


def utc(moment: str) -> str:
    """Return an ISO 8601 time in UTC, to the second, so that text sorts by time.

    Raise ValueError for a text that is no such time.
    """
    return datetime.fromisoformat(moment).astimezone(UTC).isoformat(timespec="seconds")


class Recorder:
    """Writes runs in one transaction: a Recorder remembers the ids that it read or made there."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[object, ...], int] = {}

    def store(self, run: Run, folder: Path, node: str) -> None:
        """Store `run` in place of what was stored of it before: it may have gone on since."""
        name = run.run.id
        self._connection.execute(delete(RUNS).where(RUNS.c.name == name, RUNS.c.node == node))
        row = {
            "name": name,
            "node": node,
            "folder": str(folder),
            "plan": run.run.plan,
            "started": utc(run.run.started),
            "status": run.status.value,
        }
        run_id = self._insert(RUNS, row)
        for cell in run.cells:
            self._cell(cell, run_id)

    def _cell(self, cell: Cell, run_id: int) -> None:
        setup_id = self._setup(cell)
        values = {"run_id": run_id, "setup_id": setup_id, "status": cell.status.value}
        values |= {"failure": cell.failure.kind if cell.failure else "", "carried": cell.carried}
        cell_id = self._insert(CELLS, {**values, "repeats": cell.repeats})
        # The observations of a cell that was carried over count once, in their own run.
        facts = {} if cell.carried else _facts(cell)
        self._look_up(list(facts))
        rows = [
            {
                "path_id": self._same(PATHS, {"path": path}),
                "cell_id": cell_id,
                "outcome_id": self._same(OUTCOMES, _outcome(item)),
                "figure": _figure(item),
            }
            for path, item in facts.items()
        ]
        if rows:
            self._connection.execute(insert(OBSERVATIONS), rows)
            self._mark(setup_id, self._changed(cell_id, setup_id))
        self._splits(facts, cell_id, setup_id)

    def _look_up(self, paths: Sequence[str]) -> None:
        """Read the ids of `paths` together: a cell has hundreds, and most are stored already."""
        new = [path for path in paths if (PATHS.name, path) not in self._known]
        for at in range(0, len(new), IN_ONE_QUERY):
            some = PATHS.c.path.in_(new[at : at + IN_ONE_QUERY])
            query = select(PATHS.c.path, PATHS.c.id).where(some)
            for path, number in self._connection.execute(query):
                self._known[PATHS.name, path] = number

    def _setup(self, cell: Cell) -> int:
        kernel = {**_row(KERNELS, cell.kernel), "revision": cell.kernel.commit}
        return self._same(
            SETUPS,
            {
                "kernel_id": self._same(KERNELS, kernel, "name", "build_key"),
                "machine_id": self._same(MACHINES, _row(MACHINES, cell.machine)),
                "suite_id": self._same(SUITES, _row(SUITES, cell.suite)),
                "inputs": cell.inputs,
            },
        )

    def _same(self, table: Table, row: Mapping[str, object], *unique: str) -> int:
        """Return the id of the row with `row`'s values in the columns `unique` (default: all).

        Insert `row` when there is no such row.
        """
        values = {name: row[name] for name in unique or row}
        key = (table.name, *values.values())
        if key not in self._known:
            same = and_(*(table.c[name] == value for name, value in values.items()))
            number = self._connection.execute(select(table.c.id).where(same)).scalar()
            self._known[key] = self._insert(table, row) if number is None else int(number)
        return self._known[key]

    def _insert(self, table: Table, row: Mapping[str, object]) -> int:
        """Insert `row` and return its id."""
        key = self._connection.execute(insert(table).values(row)).inserted_primary_key
        if key is None:
            raise AssertionError(f"{table.name} has an id")
        return int(key[0])

    def _splits(self, facts: Mapping[str, Observation], cell_id: int, setup_id: int) -> None:
        """Store the words of the cell's boots where they do not agree."""
        split = {
            self._same(PATHS, {"path": path}): item.detail["flaky"]
            for path, item in facts.items()
            if isinstance(item.detail.get("flaky"), dict)
        }
        rows = [
            {"path_id": path, "cell_id": cell_id, "word": str(word), "count": int(count)}
            for path, words in split.items()
            for word, count in words.items()
        ]
        if rows:
            self._connection.execute(insert(SPLITS), rows)
            self._mark(setup_id, split)

    def _changed(self, cell_id: int, setup_id: int) -> list[int]:
        """Return the paths whose outcome is not that of the previous cell with the same inputs.

        If no cell differs from the previous one that has the path, no two cells differ.
        """
        new, old, cells = OBSERVATIONS.alias("new"), OBSERVATIONS.alias("old"), CELLS.alias("c")
        before = (
            select(old.c.outcome_id)
            .select_from(cells.join(old, old.c.cell_id == cells.c.id))
            .where(cells.c.setup_id == setup_id, cells.c.id < cell_id)
            .where(old.c.path_id == new.c.path_id)
            .order_by(cells.c.id.desc())
            .limit(1)
            .scalar_subquery()
        )
        changed = self._connection.execute(
            select(new.c.path_id)
            .join(OUTCOMES, OUTCOMES.c.id == new.c.outcome_id)
            .where(new.c.cell_id == cell_id, ~OUTCOMES.c.figure)
            .where(before != new.c.outcome_id)
        )
        return list(changed.scalars())

    def _mark(self, setup_id: int, paths: Iterable[int]) -> None:
        """Note that the cells of a setup do not agree at these paths."""
        noted = self._connection.execute(
            select(UNSTEADY.c.path_id).where(UNSTEADY.c.setup_id == setup_id)
        )
        new = set(paths) - set(noted.scalars())
        if rows := [{"setup_id": setup_id, "path_id": path} for path in sorted(new)]:
            self._connection.execute(insert(UNSTEADY), rows)


def _row(table: Table, record: BaseModel) -> dict[str, object]:
    """Return the fields of `record` that `table` has columns for."""
    return record.model_dump(include=set(table.c.keys()))


def _facts(cell: Cell) -> dict[str, Observation]:
    """Return the cell's observations by path: of several with one path the worst."""
    facts: dict[str, Observation] = {}
    for item in cell.outcomes():
        was = facts.setdefault(item.path, item)
        if SEVERITY.index(item.status) < SEVERITY.index(was.status):
            facts[item.path] = item
    return facts


def _figure(item: Observation) -> float | None:
    value = item.value
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _outcome(item: Observation) -> dict[str, object]:
    figure = _figure(item) is not None or item.unit is not None
    value = "" if figure or item.value is None else str(item.value)
    unit = item.unit or ""
    return {"status": item.status.value, "value": value, "unit": unit, "figure": figure}
