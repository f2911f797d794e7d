# SPDX-License-Identifier: GPL-2.0-only
"""How far the run of a cell came: its last stage, and the tests within it. Pure.

What is not in a record proves something only where its run came to the place. Stages come from the
cell's phases and results, tests from its observations and cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.evaluate.patch.verdict.word import Cause, Ending, Seen, Stage
from harness.results.compare import NO_LEAF, absent, by_path
from harness.results.phases import PhaseName
from harness.results.records import UNREACHED, Cell, Observation, Status

FAULTS = (Status.ERROR, Status.MISS)  # of the test, the harness or the machine
# `SUITE.guest`: the guest ended, in none of its tests. `SUITE.end`: the suite never said that it
# was over. `SUITE.ktap`: it did, and its stream has faults.
GUEST, NO_END, KTAP = "guest", "end", "ktap"
_HOST = (PhaseName.START_L1, PhaseName.BOOT_L1, PhaseName.RESTORE_L1, PhaseName.BOOT_AND_PROBE)
_GUEST = (PhaseName.START_L2, PhaseName.PROBE)


@dataclass(frozen=True)
class Reach:
    """The last `stage` that a run entered, and the paths of all that it reported.

    `unreached` counts the tests that no guest began, and an end of the guest in none of them.
    """

    stage: Stage
    tests: frozenset[str]
    unreached: int = 0


def reach_of(cell: Cell) -> Reach:
    """Return how far `cell` came; of several boots in one record, how far the worst of them did."""
    paths = {item.path: item for item in cell.outcomes()}
    of_run = {path for path in paths if is_of_run(cell, path)}
    tests = frozenset(paths.keys() - of_run)
    if any(path.startswith(f"{cell.suite.name}.") for path in tests):
        early = of_run - {f"{cell.suite.name}.{KTAP}"}
        if not early and (cell.failure is None or last_words(cell)):
            return Reach(Stage.END, tests)
        counts = (paths[path].value for path in early)
        unreached = sum(count if isinstance(count, int) else 1 for count in counts)
        return Reach(Stage.SUITE, tests, unreached)
    phases = {phase.name for phase in cell.phases}
    where = cell.failure.where if cell.failure else ""
    if phases & set(_GUEST) or where in ("L2", "VMM"):
        return Reach(Stage.GUEST, tests)
    return Reach(Stage.HOST if phases & set(_HOST) or where == "L1" else Stage.NOTHING, tests)


def is_of_run(cell: Cell, path: str) -> bool:
    """Tell whether a path is about the run of a cell, not about a test of it."""
    suite, _, name = path.rpartition(".")
    return name == UNREACHED or (suite == cell.suite.name and name in (GUEST, NO_END, KTAP))


def short(base: Cell, patched: Cell) -> str | None:
    """Return which run ended before the place that the other one reached; None for neither."""
    was, now = reach_of(base), reach_of(patched)
    if was.stage is not now.stage:
        return "base" if was.stage < now.stage else "patched"
    # A path that is missing may be a type of a mapping that has no leaf, or a skipped test's.
    if was.unreached > now.unreached and now.tests - was.tests:
        return "base"
    return "patched" if now.unreached > was.unreached and was.tests - now.tests else None


def came_as_far(cell: Cell, other: Cell) -> bool:
    """Tell whether the run of `cell` surely came to every place that that of `other` came to."""
    mine, theirs = reach_of(cell), reach_of(other)
    return mine.stage is Stage.END or (mine.stage >= theirs.stage and mine.tests >= theirs.tests)


def ending(base: Cell, patched: Cell) -> Ending:
    """Return how the ends of two runs compare."""
    which = short(base, patched)
    return Ending(which, _cause(patched if which == "patched" else base))


@dataclass(frozen=True)
class Course:
    """The run of a cell: its outcomes by their paths, and how far it came."""

    cell: Cell
    outcomes: Mapping[str, Observation]
    reach: Reach

    @classmethod
    def of(cls, cell: Cell) -> Course:
        """Return the run of `cell`."""
        return cls(cell, by_path(cell), reach_of(cell))

    def seen(self, other: Course, path: str) -> Seen:
        """Return what this run has at `path`, which `other` has or has not."""
        item = self.outcomes.get(path)
        if item is not None:
            return seen_in(item)
        return Seen.ABSENT if self.reached(other, path) else Seen.NOT_REACHED

    def reached(self, other: Course, path: str) -> bool:
        """Tell whether this run came to `path`, a path of the record of `other`."""
        mine, theirs = self.reach, other.reach
        if mine.stage is Stage.END or path in mine.tests:
            return True
        if absent(self.cell, path, self.outcomes) == NO_LEAF:
            return True
        if is_of_run(other.cell, path):  # it stands where the other one ended
            return mine.stage > theirs.stage or (
                mine.stage is theirs.stage and mine.tests > theirs.tests
            )
        return False


def seen_in(item: Observation) -> Seen:
    """Return what an observation says of its promise."""
    if item.status in FAULTS:
        return Seen.UNKNOWN
    if item.status is Status.FAIL:
        return Seen.BAD
    return Seen.SKIPPED if item.status is Status.SKIP else Seen.GOOD


def reached(cell: Cell, other: Cell, path: str) -> bool:
    """Tell whether the run of `cell` came to `path`, a path of the record of `other`."""
    return Course.of(cell).reached(Course.of(other), path)


def last_words(cell: Cell) -> list[Observation]:
    """Return the observations that have the end of a guest."""
    return [item for item in cell.outcomes() if "failure" in item.detail]


def described(cell: Cell) -> str:
    """Return how far a cell came, in words that follow what ended it."""
    reach = reach_of(cell)
    match reach.stage:
        case Stage.NOTHING:
            return "before anything was started"
        case Stage.HOST:
            return "while the kernel boots"
        case Stage.GUEST:
            return "before its guest's first test"
    results = "1 result" if len(reach.tests) == 1 else f"{len(reach.tests)} results"
    return f"after {results}"


def _cause(cell: Cell) -> Cause:
    ends = last_words(cell)
    if any(item.status in FAULTS for item in ends):
        return Cause.UNKNOWN
    if any(item.status is Status.FAIL for item in ends):
        return Cause.KERNEL
    if cell.failure is None:
        return Cause.NONE
    return Cause.KERNEL if cell.failure.status is Status.FAIL else Cause.UNKNOWN
