# SPDX-License-Identifier: GPL-2.0-only
"""What runs saw, over time (docs/history.md).

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

    That of the results folder is caught up before it is first asked. `say` is told in a line when
    a damaged file was replaced, and which runs on disk cannot be read.
    Errors are UsageError (a database that is none or not ours) and MachineError (no server).
    """

    def __init__(self, url: str = "", say: Say = lambda _: None) -> None:
        self._database = Database(url or default_url())
        self._say = say
        self._own = is_own_file(self._database.file)
        self._caught_up = not self._own

    def __str__(self) -> str:
        return str(self._database)

    def close(self) -> None:
        self._database.close()

    def record(self, run: Run, folder: Path) -> None:
        """Store `run`, whose folder is `folder`; again, when it has gone on since."""
        self._write(lambda c: self._intake(c).store(run, folder))

    def rebuild(self, base: Path | None = None) -> int:
        """Store every run below `base` (default: the results folder); how many there are.

        Runs that are stored and no longer on disk stay. One that cannot be read is named.
        """
        return self._write(lambda c: self._intake(c).everything(base or paths.results_dir()))

    def catch_up(self, base: Path) -> int:
        """Store the runs below `base` that are not stored, or have gone on since; how many."""
        return self._write(lambda c: self._intake(c).catch_up(base)) if self._lacks(base) else 0

    def series(
        self,
        path: str,
        kernel: str | None = None,
        machine: str | None = None,
        limit: int = 30,
        suite: str | None = None,
    ) -> list[Point]:
        """Return the newest `limit` points, oldest first; none of an unknown path."""

        def work(c: Connection) -> list[Point]:
            number = query.path_number(c, path)
            if number is None:
                return []
            wanted = _numbers(c, kernel, machine, suite)
            return query.series(c, number, wanted, limit)

        return self._read(work)

    def first_bad(
        self,
        path: str,
        kernel: str | None = None,
        machine: str | None = None,
        suite: str | None = None,
    ) -> list[FirstBad]:
        """Return each lane in which the observation is bad now, and since when."""
        found = self.lanes(path, kernel, machine, suite, limit=1)
        return [lane.bad for lane in found if lane.bad]

    def lanes(
        self,
        path: str,
        kernel: str | None = None,
        machine: str | None = None,
        suite: str | None = None,
        limit: int = 30,
    ) -> list[LaneSeries]:
        """Return one observation over time in every lane that has it."""

        def work(c: Connection) -> list[LaneSeries]:
            number = query.path_number(c, path)
            if number is None:
                return []
            wanted = _numbers(c, kernel, machine, suite)
            found = query.lanes(c, kernel, machine, suite)
            lane_of = {setup: lane for lane, setups in found.items() for setup in setups}
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

        return self._read(work)

    def changes(self, before: str, after: str) -> list[LaneChange]:
        """Return what two runs saw differently; raise UsageError for one that is not stored."""
        return self._read(lambda c: list(_changes(c, before, after)))

    def flaky(
        self,
        path: str | None = None,
        kernel: str | None = None,
        machine: str | None = None,
        suite: str | None = None,
    ) -> list[Flake]:
        """Return what changed while its inputs did not, the most recent first."""

        def work(c: Connection) -> list[Flake]:
            number = None if path is None else query.path_number(c, path)
            if path is not None and number is None:
                return []
            return flakes(c, number, _numbers(c, kernel, machine, suite))

        return self._read(work)

    def check(self, **named: str | None) -> None:
        """Raise UsageError with the nearest name unless path, kernel, machine and suite are known.

        None is no name.
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
        """Whether there is anything to catch up; writers need not take turns to learn that."""
        return bool(self._mended(lambda: self._reading(lambda c: self._intake(c).missing(base))))

    def _first_look(self) -> None:
        """Catch up; what is there can be looked at all the same when that fails."""
        base = paths.results_dir()
        if self._lacks(base):
            try:
                self._write(lambda c: self._intake(c).catch_up(base))
            except S2EvalError as error:
                self._say(f"warning: the newest runs are not in the history: {error}")

    def _read(self, work: Callable[[Connection], T]) -> T:
        if not self._caught_up:
            self._caught_up = True
            self._first_look()
        return self._mended(lambda: self._reading(work))

    def _write(self, work: Callable[[Connection], T]) -> T:
        return self._mended(lambda: self._writing(work))

    def _reading(self, work: Callable[[Connection], T]) -> T:
        with self._database.read() as connection:
            return work(connection)

    def _writing(self, work: Callable[[Connection], T]) -> T:
        with self._database.write() as connection:
            return work(connection)

    def _mended(self, work: Callable[[], T]) -> T:
        """`work`, once more on a new file when this one is damaged."""
        try:
            return work()
        except DamagedError as error:
            aside = self._database.set_aside()
            if aside is not None:
                count = self._writing(lambda c: self._intake(c).everything(paths.results_dir()))
                self._say(
                    f"{self} is damaged ({error}): moved to {aside.name}, "
                    f"made anew from {count} runs on disk"
                )
        return work()


def _numbers(
    connection: Connection, kernel: str | None, machine: str | None, suite: str | None
) -> list[int] | None:
    """The setups with these names; None when any will do."""
    if kernel is None and machine is None and suite is None:
        return None
    found = query.lanes(connection, kernel, machine, suite)
    return list(itertools.chain.from_iterable(found.values()))


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
        found, same = [], 0
        for path in dict.fromkeys([*new_facts, *old_facts]):
            seen, sees = (facts.get(path) or {ABSENT} for facts in (old_facts, new_facts))
            if seen & sees:  # of two readings, or of what repeats saw
                same += 1
            else:
                found.append(ValueChange(path, OR.join(sorted(seen)), OR.join(sorted(sees))))
        yield LaneChange(lane, "", inputs, tuple(found), same)


def _run_number(connection: Connection, name: str) -> int:
    number = query.run_number(connection, name)
    if number is None:
        raise unknown("run in the history", name, query.names(connection, RUNS))
    return number
