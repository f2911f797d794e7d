# SPDX-License-Identifier: GPL-2.0-only
"""Finds what is flaky: observations that changed while their inputs did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from sqlalchemy import Column, ColumnElement, Connection, func, select

from harness.results.history.query import lanes
from harness.results.history.schema import (
    CELLS,
    OBSERVATIONS,
    OUTCOMES,
    PATHS,
    RUNS,
    SPLITS,
    UNSTEADY,
)
from harness.results.history.values import Flake, SeenCount

PathAndSetup = tuple[int, int]
_CELLS = UNSTEADY.join(CELLS, CELLS.c.setup_id == UNSTEADY.c.setup_id).join(
    OBSERVATIONS,
    (OBSERVATIONS.c.path_id == UNSTEADY.c.path_id) & (OBSERVATIONS.c.cell_id == CELLS.c.id),
)
_KEY = (UNSTEADY.c.path_id, UNSTEADY.c.setup_id)


def flakes(
    connection: Connection, path: int | None = None, numbers: Collection[int] | None = None
) -> list[Flake]:
    """Return the flaky observations of one path or some setups (None: any), newest first."""
    wanted: list[ColumnElement[bool]] = []
    if path is not None:
        wanted.append(UNSTEADY.c.path_id == path)
    if numbers is not None:
        wanted.append(UNSTEADY.c.setup_id.in_(numbers))
    words = {
        number: f"{status} {value}".rstrip()
        for number, status, value in connection.execute(
            select(OUTCOMES.c.id, OUTCOMES.c.status, OUTCOMES.c.value).where(~OUTCOMES.c.figure)
        )
    }
    # Names are looked up afterwards: numbers are grouped three times as fast.
    key = (*_KEY, OBSERVATIONS.c.outcome_id)
    counted = select(*key, func.sum(CELLS.c.repeats), func.max(CELLS.c.run_id))
    counts: dict[PathAndSetup, Counter[str]] = {}
    runs: dict[PathAndSetup, set[int]] = {}
    query = counted.select_from(_CELLS).where(*wanted).group_by(*key)
    for path_id, setup, outcome, count, run in connection.execute(query):
        if outcome in words:
            counts.setdefault((path_id, setup), Counter())[words[outcome]] += int(count)
            runs.setdefault((path_id, setup), set()).add(run)
    for split, more in _splits(connection, wanted, words):
        if split in counts:
            counts[split].update(more)
    # UNSTEADY keeps its rows when a run is stored again and no longer differs.
    several = {flaky: +counter for flaky, counter in counts.items() if len(+counter) > 1}
    return _named(connection, several, runs) if several else []


def _splits(
    connection: Connection, wanted: Sequence[ColumnElement[bool]], words: Mapping[int, str]
) -> Iterator[tuple[PathAndSetup, Counter[str]]]:
    """Yield what to add to the counts: the words of a cell's boots, less the cell's own word."""
    of_cell = (SPLITS.c.path_id == UNSTEADY.c.path_id) & (SPLITS.c.cell_id == CELLS.c.id)
    columns = (CELLS.c.id, CELLS.c.repeats, OBSERVATIONS.c.outcome_id)
    query = (
        select(*_KEY, *columns, SPLITS.c.word, SPLITS.c.count)
        .select_from(_CELLS.join(SPLITS, of_cell))
        .where(*wanted)
    )
    subtracted = set()
    for path, setup, cell, repeats, outcome, word, count in connection.execute(query):
        more = Counter({word: count})
        if (path, cell) not in subtracted and outcome in words:
            subtracted.add((path, cell))
            more[words[outcome]] -= repeats
        yield (path, setup), more


def _named(
    connection: Connection,
    counts: Mapping[PathAndSetup, Counter[str]],
    runs: Mapping[PathAndSetup, set[int]],
) -> list[Flake]:
    lane_of = {number: lane for lane, numbers in lanes(connection).items() for number in numbers}
    paths = _texts(connection, PATHS.c.id, PATHS.c.path)
    started = _texts(connection, RUNS.c.id, RUNS.c.started)
    named = [
        Flake(
            paths[path],
            lane_of[setup],
            tuple(
                SeenCount(word, count)
                for word, count in sorted(counter.items(), key=lambda item: (-item[1], item[0]))
            ),
            max(started[run] for run in runs[path, setup]),
            setup,
        )
        for (path, setup), counter in counts.items()
    ]
    return sorted(named, key=lambda flake: (flake.last, flake.lane, flake.path), reverse=True)


def _texts(connection: Connection, number: Column[int], text: Column[str]) -> dict[int, str]:
    return {int(key): str(value) for key, value in connection.execute(select(number, text))}
