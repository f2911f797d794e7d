# SPDX-License-Identifier: GPL-2.0-only
"""What is flaky: the same inputs, and not always the same observation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import Column, Connection, Select, func, select

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

Place = tuple[int, int]  # a path and a setup
_CELLS = UNSTEADY.join(CELLS, CELLS.c.setup_id == UNSTEADY.c.setup_id).join(
    OBSERVATIONS,
    (OBSERVATIONS.c.path_id == UNSTEADY.c.path_id) & (OBSERVATIONS.c.cell_id == CELLS.c.id),
)
_PLACE = (UNSTEADY.c.path_id, UNSTEADY.c.setup_id)


def flakes(
    connection: Connection, path: int | None = None, numbers: Collection[int] | None = None
) -> list[Flake]:
    """Return what is flaky at one path or in some setups (None: any), the most recent first."""

    def only(query: Select[Any]) -> Select[Any]:
        query = query if path is None else query.where(UNSTEADY.c.path_id == path)
        return query if numbers is None else query.where(UNSTEADY.c.setup_id.in_(numbers))

    words = {
        number: f"{status} {value}".rstrip()
        for number, status, value in connection.execute(
            select(OUTCOMES.c.id, OUTCOMES.c.status, OUTCOMES.c.value).where(~OUTCOMES.c.figure)
        )
    }
    # Names are looked up afterwards: numbers are grouped three times as fast.
    key = (*_PLACE, OBSERVATIONS.c.outcome_id)
    counted = select(*key, func.sum(CELLS.c.repeats), func.max(CELLS.c.run_id))
    seen: dict[Place, Counter[str]] = {}
    last: dict[Place, set[int]] = {}
    query = only(counted.select_from(_CELLS).group_by(*key))
    for place, setup, outcome, count, run in connection.execute(query):
        if outcome in words:
            seen.setdefault((place, setup), Counter())[words[outcome]] += int(count)
            last.setdefault((place, setup), set()).add(run)
    for found, more in _splits(connection, only, words):
        if found in seen:
            seen[found].update(more)
    # A run that was stored again may have settled what was noted of it.
    several = {place: +words for place, words in seen.items() if len(+words) > 1}
    return _named(connection, several, last) if several else []


def _splits(
    connection: Connection, only: Any, words: Mapping[int, str]
) -> Iterator[tuple[Place, Counter[str]]]:
    """What to add to the counts of a place: the boots of a cell in place of what it came to."""
    query = only(
        select(
            *_PLACE,
            CELLS.c.id,
            CELLS.c.repeats,
            OBSERVATIONS.c.outcome_id,
            SPLITS.c.word,
            SPLITS.c.count,
        ).select_from(
            _CELLS.join(
                SPLITS,
                (SPLITS.c.path_id == UNSTEADY.c.path_id) & (SPLITS.c.cell_id == CELLS.c.id),
            )
        )
    )
    taken = set()
    for path, setup, cell, repeats, outcome, word, count in connection.execute(query):
        more = Counter({word: count})
        if (path, cell) not in taken and outcome in words:
            taken.add((path, cell))
            more[words[outcome]] -= repeats
        yield (path, setup), more


def _named(
    connection: Connection, seen: Mapping[Place, Counter[str]], last: Mapping[Place, set[int]]
) -> list[Flake]:
    lane_of = {number: lane for lane, numbers in lanes(connection).items() for number in numbers}
    paths = _texts(connection, PATHS.c.id, PATHS.c.path)
    started = _texts(connection, RUNS.c.id, RUNS.c.started)
    made = [
        Flake(
            paths[path],
            lane_of[setup],
            tuple(
                SeenCount(word, count)
                for word, count in sorted(words.items(), key=lambda one: (-one[1], one[0]))
            ),
            max(started[run] for run in last[path, setup]),
            setup,
        )
        for (path, setup), words in seen.items()
    ]
    return sorted(made, key=lambda flake: (flake.last, flake.lane, flake.path), reverse=True)


def _texts(connection: Connection, number: Column[Any], text: Column[Any]) -> dict[int, str]:
    return {int(key): str(value) for key, value in connection.execute(select(number, text))}
