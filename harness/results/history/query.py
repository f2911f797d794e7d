# SPDX-License-Identifier: GPL-2.0-only
"""The history's queries. Each works in the caller's transaction; numbers are those of rows."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import Connection, Select, Table, func, select

from harness.results.history.schema import (
    CELLS,
    KERNELS,
    MACHINES,
    OBSERVATIONS,
    OUTCOMES,
    PATHS,
    RUNS,
    SETUPS,
    SUITES,
)
from harness.results.history.values import Lane, Point, Setup
from harness.results.records import OR

Facts = dict[str, set[str]]  # the words of each path: status and value

_OF_SETUP = (
    SETUPS.join(KERNELS, KERNELS.c.id == SETUPS.c.kernel_id)
    .join(MACHINES, MACHINES.c.id == SETUPS.c.machine_id)
    .join(SUITES, SUITES.c.id == SETUPS.c.suite_id)
)
_LANE = (KERNELS.c.name, MACHINES.c.name, SUITES.c.name)
_SETUP = (  # in the order of Setup's fields
    *(KERNELS.c[name] for name in ("source", "version", "revision", "series_hash")),
    *(KERNELS.c[name] for name in ("config_hash", "compiler", "build_key")),
    *(MACHINES.c[name] for name in ("cpu", "smp", "memory_mib", "accel", "topology", "qemu")),
    SUITES.c.source_hash,
    SETUPS.c.inputs,
)
_OBSERVED = (
    OBSERVATIONS.join(CELLS, CELLS.c.id == OBSERVATIONS.c.cell_id)
    .join(RUNS, RUNS.c.id == CELLS.c.run_id)
    .join(OUTCOMES, OUTCOMES.c.id == OBSERVATIONS.c.outcome_id)
)
_POINT = (
    RUNS.c.started,
    RUNS.c.name.label("run"),
    OUTCOMES.c.status,
    OUTCOMES.c.value,
    OBSERVATIONS.c.figure,
    OUTCOMES.c.unit,
    CELLS.c.setup_id,
)
_NEWEST = (RUNS.c.started.desc(), CELLS.c.id.desc())


def names(connection: Connection, table: Table) -> list[str]:
    """Return the names in one of the tables kernels, machines, suites and runs, or the paths."""
    column = table.c.path if table is PATHS else table.c.name
    return list(connection.execute(select(column).distinct()).scalars())


def path_number(connection: Connection, path: str) -> int | None:
    """Return the number of a path; None for an unknown path."""
    return connection.execute(select(PATHS.c.id).where(PATHS.c.path == path)).scalar()


def run_number(connection: Connection, name: str) -> int | None:
    """Return the number of a run: of several hosts' runs of that name the one stored last.

    Return None for an unknown run.
    """
    return connection.execute(select(func.max(RUNS.c.id)).where(RUNS.c.name == name)).scalar()


def lanes(
    connection: Connection,
    kernel: str | None = None,
    machine: str | None = None,
    suite: str | None = None,
) -> dict[Lane, list[int]]:
    """Return the setups of each lane that has these names (None: any)."""
    query = select(SETUPS.c.id, *_LANE).select_from(_OF_SETUP)
    for table, name in ((KERNELS, kernel), (MACHINES, machine), (SUITES, suite)):
        if name is not None:
            query = query.where(table.c.name == name)
    numbers: dict[Lane, list[int]] = {}
    for number, *lane in connection.execute(query):
        numbers.setdefault(Lane(*lane), []).append(number)
    return numbers


def setups(connection: Connection, numbers: Collection[int] | None) -> dict[int, Setup]:
    """Return the setups `numbers` (None: all) by their number."""
    query = select(SETUPS.c.id, *_SETUP).select_from(_OF_SETUP)
    if numbers is not None:
        query = query.where(SETUPS.c.id.in_(numbers))
    return {number: Setup(*values) for number, *values in connection.execute(query)}


def series(
    connection: Connection, path: int, numbers: Collection[int] | None, limit: int
) -> list[Point]:
    """Return the newest `limit` points of a path in setups `numbers` (None: all), oldest first."""
    query = _points(path, numbers).order_by(*_NEWEST).limit(limit)
    return [_point(*row) for row in connection.execute(query)][::-1]


def all_points(
    connection: Connection, path: int, numbers: Collection[int] | None
) -> Iterator[Point]:
    """Yield every point of a path in setups `numbers` (None: all), oldest first."""
    query = _points(path, numbers).order_by(RUNS.c.started, CELLS.c.id)
    return itertools.starmap(_point, connection.execute(query))


def _points(path: int, numbers: Collection[int] | None) -> Select[Any]:
    query = select(*_POINT).select_from(_OBSERVED).where(OBSERVATIONS.c.path_id == path)
    return query if numbers is None else query.where(CELLS.c.setup_id.in_(numbers))


def _point(
    started: str,
    run: str,
    status: str,
    value: str,
    figure: float | None,
    unit: str,
    setup: int,
) -> Point:
    return Point(started, run, status, value or None if figure is None else figure, unit, setup)


def facts_of_run(connection: Connection, run: int) -> dict[Lane, tuple[set[int], Facts]]:
    """Return the setups of each lane of a run, and the words of its cells, without figures.

    A cell that was carried over has the words of the run that it was copied from.
    """
    query = (
        select(
            *_LANE,
            CELLS.c.setup_id,
            CELLS.c.carried,
            PATHS.c.path,
            OUTCOMES.c.status,
            OUTCOMES.c.value,
            OUTCOMES.c.figure,
        )
        .select_from(
            CELLS.join(_OF_SETUP, SETUPS.c.id == CELLS.c.setup_id)
            .outerjoin(OBSERVATIONS, OBSERVATIONS.c.cell_id == CELLS.c.id)
            .outerjoin(OUTCOMES, OUTCOMES.c.id == OBSERVATIONS.c.outcome_id)
            .outerjoin(PATHS, PATHS.c.id == OBSERVATIONS.c.path_id)
        )
        .where(CELLS.c.run_id == run)
    )
    by_lane: dict[Lane, tuple[set[int], Facts]] = {}
    origins: dict[Lane, str] = {}
    for row in connection.execute(query):
        kernel, machine, suite, setup, carried, path, status, value, figure = row
        lane = Lane(kernel, machine, suite)
        numbers, facts = by_lane.setdefault(lane, (set(), {}))
        numbers.add(setup)
        if carried:
            origins[lane] = carried
        if path is not None and not figure:
            words = {f"{status} {reading}".rstrip() for reading in value.split(OR)}
            facts.setdefault(path, set()).update(words)
    for origin in set(origins.values()):
        number = run_number(connection, origin)
        copied = facts_of_run(connection, number) if number not in (None, run) else {}
        by_lane |= {
            lane: copied[lane]
            for lane, name in origins.items()
            if name == origin and lane in copied
        }
    return by_lane
