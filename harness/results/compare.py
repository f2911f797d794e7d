# SPDX-License-Identifier: GPL-2.0-only
"""Two cells that differ in their kernel are compared, observation by observation. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from harness.results.records import (
    OR,
    UNREACHED,
    VM_KILLED,
    Cell,
    Comparison,
    Observation,
    Run,
    Status,
)

NOT_REACHED = "not reached"
ABSENT = "not observed"
NO_LEAF = "no leaf"  # a page that stage 2 does not map: accesses trap


@dataclass(frozen=True)
class PathChange:
    """A path whose word (see word()) differs between the cells of a pair."""

    path: str
    before: str
    after: str


@dataclass(frozen=True)
class Pair:
    """A cell of the base kernel, and the patched kernel's cell of that machine and suite."""

    base: Cell
    patched: Cell


def pairs(run: Run) -> Iterator[Pair]:
    """Yield the cells to compare: those the plan names, else each kernel's with the first one's."""
    names = list(dict.fromkeys(cell.kernel.name for cell in run.cells))
    wanted = run.run.comparisons or [
        Comparison(base=names[0], patched=other) for other in names[1:]
    ]
    cells = {(c.kernel.name, c.machine.name, c.suite.name): c for c in run.cells}
    for comparison in wanted:
        for (kernel, machine, suite), cell in cells.items():
            patched = cells.get((comparison.patched, machine, suite))
            if kernel == comparison.base and patched is not None:
                yield Pair(cell, patched)


@dataclass(frozen=True)
class Difference:
    """The observations of a pair that differ, and how many are the same."""

    changes: list[PathChange]
    unchanged: int


def word(observation: Observation) -> str:
    """Return an observation in one word: its value where that is a word, otherwise its status."""
    value = observation.value
    if observation.unit is not None or not isinstance(value, str):
        return observation.status.value
    # VM_KILLED is a bad result by its own name: the status before it would say nothing more.
    bad = observation.status in (Status.FAIL, Status.ERROR, Status.MISS) and value != VM_KILLED
    return f"{observation.status.value} ({value})" if bad else value


def difference(pair: Pair) -> Difference:
    """Return the changes of a pair, without those that only repeat another one."""
    changes, unchanged = every_change(pair)
    changed = {change.path for change in changes}
    suite = pair.patched.suite.name
    return Difference([c for c in changes if not follows(c.path, changed, suite)], unchanged)


def every_change(pair: Pair) -> tuple[list[PathChange], int]:
    """Return all changes of a pair, and the number of observations that are the same."""
    before, after = _facts(pair.base), _facts(pair.patched)
    old, new = by_path(pair.base), by_path(pair.patched)
    changes, unchanged = [], 0
    for path in dict.fromkeys([*after, *before]):
        was = before.get(path) or [absent(pair.base, path, old)]
        now = after.get(path) or [absent(pair.patched, path, new)]
        # A type with two readings is no change to one of them.
        if set(was) & set(now):
            unchanged += 1
        else:
            changes.append(PathChange(path, OR.join(was), OR.join(now)))
    return changes, unchanged


def follows(path: str, changed: Collection[str], suite: str) -> str:
    """Return that of the paths `changed` from which the change at `path` follows; "" for none."""
    test, _, last = path.rpartition(".")
    if last == "host":  # the host's own look at a test changes with the test
        return test if test in changed else ""
    top, _, mapping = path.partition(".")
    if top != "audit":
        return ""
    if mapping.endswith(".stage1"):  # the suite reports that type as well, from inside the guest
        reported = f"{suite}.{mapping}"
        return reported if reported in changed else ""
    # An audit's verdict follows from the types it read.
    types = (f"{path}.{stage}" for stage in ("stage1", "stage2", "combined"))
    return next((one for one in types if one in changed), "")


def _facts(cell: Cell) -> dict[str, list[str]]:
    """Return the readings at each path that can change: one, or several of an ambiguous type.

    Figures are left out (timings differ from run to run), and so are addresses and names.
    """
    readings = {}
    for item in cell.outcomes():
        located = item.path.rpartition(".")[2] in _LOCATIONS and item.status is Status.DONE
        if item.unit is None and not located:
            reading = word(item)
            ambiguous = item.detail.get("ambiguous")
            readings[item.path] = reading.split(OR) if ambiguous else [reading]
    return readings


# Facts that say where a device or a mapping was, not how it behaved.
_LOCATIONS = ("device", "mapping")


def by_path(cell: Cell) -> dict[str, Observation]:
    """Return the outcomes of a cell by their paths."""
    return {item.path: item for item in cell.outcomes()}


def absent(cell: Cell, path: str, outcomes: Mapping[str, Observation] | None = None) -> str:
    """Return why nothing is at `path`: no leaf, not reached, or not observed.

    `outcomes` are those of `cell` by their paths, for whoever has them already.
    """
    outcomes = by_path(cell) if outcomes is None else outcomes
    audit = outcomes.get(path.rpartition(".")[0]) if path.startswith("audit.") else None
    if audit is not None:
        was_read = audit.status in (Status.PASS, Status.FAIL, Status.SKIP)
        return NO_LEAF if was_read else audit.status.value
    group = path
    while "." in group:
        group = group.rpartition(".")[0]
        if f"{group}.{UNREACHED}" in outcomes:
            return NOT_REACHED
    return NOT_REACHED if cell.failure else ABSENT
