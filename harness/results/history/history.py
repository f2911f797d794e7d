# SPDX-License-Identifier: GPL-2.0-only
"""The observations of runs over time (docs/history.md).

history = History()
history.series("wcprobe.ioremap_wc.unaligned_load", kernel="debian-6.1")
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Table

from harness.base import paths
from harness.base.errors import S2EvalError, UsageError
from harness.base.toml import unknown
from harness.results.compare import ABSENT
from harness.results.history import query
from harness.results.history.db import DamagedError, Database
from harness.results.history.flakes import flakes
from harness.results.history.intake import Intake
from harness.results.history.lanes import lane_series
from harness.results.history.location import Say, default_url, is_own_file
from harness.results.history.schema import KERNELS, MACHINES, PATHS, RUNS, SUITES
from harness.results.history.values import (
    FirstBad,
    Flake,
    Lane,
    LaneChange,
    LaneSeries,
    Point,
    ValueChange,
    input_changes,
)
from harness.results.records import OR, Run

T = TypeVar("T")


class History:
    """A history by its URL (default: see `default_url`). Two processes may use one at once.

    The first read of the results folder's own history stores the runs that it lacks. `say` gets a
    line when a damaged file was replaced, and for each run on disk that cannot be read.
    Every method raises UsageError for a database that is no history of ours, and MachineError for
    one that does not answer.
    """

    def __init__(self, url: str = "", say: Say = lambda _: None) -> None:
        self._database = Database(url or default_url())
        self._say = say
        self._own = is_own_file(self._database.file)
        self._caught_up = not self._own

    def __str__(self) -> str:
        return str(self._database)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def record(self, run: Run, folder: Path) -> None:
        """Store `run`, whose folder is `folder`, in place of what was stored of it before."""
        self._write(lambda c: self._intake(c).store(run, folder))

    def rebuild(self, base: Path | None = None) -> int:
        """Store every run below `base` (default: the results folder); return how many.

        Stored runs that are no longer on disk stay. `say` names each run that cannot be read.
        """
        return self._write(lambda c: self._intake(c).everything(base or paths.results_dir()))

    def catch_up(self, base: Path) -> int:
        """Store the runs below `base` that are not stored, or went on since; return how many."""
        return self._write(lambda c: self._intake(c).catch_up(base)) if self._lacks(base) else 0

    def series(
        self,
        path: str,
        kernel: str | None = None,
        machine: str | None = None,
        limit: int = 30,
        suite: str | None = None,
    ) -> list[Point]:
        """Return the newest `limit` points, oldest first; none for an unknown path."""

        def query_points(c: Connection) -> list[Point]:
            number = query.path_number(c, path)
            if number is None:
                return []
            wanted = _numbers(c, kernel, machine, suite)
            return query.series(c, number, wanted, limit)

        return self._read(query_points)

    def first_bad(
        self,
        path: str,
        kernel: str | None = None,
        machine: str | None = None,
        suite: str | None = None,
    ) -> list[FirstBad]:
        """Return the first bad run of each lane in which the observation is bad now."""
        lanes = self.lanes(path, kernel, machine, suite, limit=1)
        return [lane.bad for lane in lanes if lane.bad]

    def lanes(
        self,
        path: str,
        kernel: str | None = None,
        machine: str | None = None,
        suite: str | None = None,
        limit: int = 30,
    ) -> list[LaneSeries]:
        """Return one observation over time in every lane that has it."""

        def query_lanes(c: Connection) -> list[LaneSeries]:
            number = query.path_number(c, path)
            if number is None:
                return []
            wanted = _numbers(c, kernel, machine, suite)
            lanes = query.lanes(c, kernel, machine, suite)
            lane_of = {setup: lane for lane, numbers in lanes.items() for setup in numbers}
            points: dict[Lane, list[Point]] = {}
            for point in query.all_points(c, number, wanted):
                points.setdefault(lane_of[point.setup], []).append(point)
            setups = query.setups(c, wanted)
            flaky: dict[Lane, list[Flake]] = {}
            for flake in flakes(c, number, wanted):
                flaky.setdefault(flake.lane, []).append(flake)
            return [
                lane_series(lane, points[lane], setups, flaky.get(lane, ()), limit)
                for lane in sorted(points)
            ]

        return self._read(query_lanes)

    def changes(self, before: str, after: str) -> list[LaneChange]:
        """Return the lanes of two runs, with the observations that differ.

        Raise UsageError for a run that is not stored.
        """
        return self._read(lambda c: list(_changes(c, before, after)))

    def flaky(
        self,
        path: str | None = None,
        kernel: str | None = None,
        machine: str | None = None,
        suite: str | None = None,
    ) -> list[Flake]:
        """Return the observations that changed while their inputs did not, newest first."""

        def query_flakes(c: Connection) -> list[Flake]:
            number = None if path is None else query.path_number(c, path)
            if path is not None and number is None:
                return []
            return flakes(c, number, _numbers(c, kernel, machine, suite))

        return self._read(query_flakes)

    def check(self, **named: str | None) -> None:
        """Raise UsageError with the nearest name unless path, kernel, machine and suite are known.

        A name that is None is not checked.
        """
        tables: dict[str, Table] = {
            "path": PATHS, "kernel": KERNELS, "machine": MACHINES, "suite": SUITES,
        }  # fmt: skip
        wanted = {kind: name for kind, name in named.items() if name is not None}
        known = self._read(lambda c: {kind: query.names(c, tables[kind]) for kind in wanted})
        for kind, name in wanted.items():
            if not known[kind]:
                raise UsageError(f"no run is stored in {self}: s2eval history --rebuild")
            if name not in known[kind]:
                raise unknown("observation" if kind == "path" else kind, name, known[kind])

    def _intake(self, connection: Connection) -> Intake:
        return Intake(connection, self._say, own=self._own)

    def _lacks(self, base: Path) -> bool:
        """Tell whether runs below `base` are not stored; that needs no writer's lock."""
        return bool(
            self._repaired(lambda: self._in_reading(lambda c: self._intake(c).missing(base)))
        )

    def _catch_up_once(self) -> None:
        """Store the missing runs before the first read; when that fails, warn and read the rest."""
        if self._caught_up:
            return
        self._caught_up = True
        base = paths.results_dir()
        if self._lacks(base):
            try:
                self._write(lambda c: self._intake(c).catch_up(base))
            except S2EvalError as error:
                self._say(f"warning: the newest runs are not in the history: {error}")

    def _read(self, work: Callable[[Connection], T]) -> T:
        self._catch_up_once()
        return self._repaired(lambda: self._in_reading(work))

    def _write(self, work: Callable[[Connection], T]) -> T:
        return self._repaired(lambda: self._in_writing(work))

    def _in_reading(self, work: Callable[[Connection], T]) -> T:
        with self._database.read() as connection:
            return work(connection)

    def _in_writing(self, work: Callable[[Connection], T]) -> T:
        with self._database.write() as connection:
            return work(connection)

    def _repaired(self, work: Callable[[], T]) -> T:
        """Return the result of `work`; when the file is damaged, replace it and work once more."""
        try:
            return work()
        except DamagedError as error:
            aside = self._database.set_aside()
            if aside is not None:
                count = self._in_writing(lambda c: self._intake(c).everything(paths.results_dir()))
                self._say(
                    f"{self} is damaged ({error}): moved to {aside.name}, "
                    f"made anew from {count} runs on disk"
                )
        return work()


def _numbers(
    connection: Connection, kernel: str | None, machine: str | None, suite: str | None
) -> list[int] | None:
    """Return the numbers of the setups with these names; None when all names are None."""
    if kernel is None and machine is None and suite is None:
        return None
    lanes = query.lanes(connection, kernel, machine, suite)
    return list(itertools.chain.from_iterable(lanes.values()))


def _changes(connection: Connection, before: str, after: str) -> Iterator[LaneChange]:
    was, now = (
        query.facts_of_run(connection, _run_number(connection, name)) for name in (before, after)
    )
    for lane in sorted({*was, *now}):
        if lane not in now or lane not in was:
            yield LaneChange(lane, only=before if lane in was else after)
            continue
        (old, old_facts), (new, new_facts) = was[lane], now[lane]
        setups = query.setups(connection, old | new)
        inputs = () if old & new else input_changes(setups[max(old)], setups[max(new)])
        changes, unchanged = [], 0
        for path in dict.fromkeys([*new_facts, *old_facts]):
            earlier, later = (facts.get(path) or {ABSENT} for facts in (old_facts, new_facts))
            if earlier & later:  # one of two readings, or of the words of several repeats
                unchanged += 1
            else:
                change = ValueChange(path, OR.join(sorted(earlier)), OR.join(sorted(later)))
                changes.append(change)
        yield LaneChange(lane, "", inputs, tuple(changes), unchanged)


def _run_number(connection: Connection, name: str) -> int:
    number = query.run_number(connection, name)
    if number is None:
        raise unknown("run in the history", name, query.names(connection, RUNS))
    return number
