# SPDX-License-Identifier: GPL-2.0-only
"""What a patch changed: two cells that differ in their kernel, observation by observation. Pure."""

from __future__ import annotations

from collections.abc import Iterator
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
    """One path whose word differs."""

    path: str
    before: str
    after: str


@dataclass(frozen=True)
class Pair:
    """A cell of the base kernel and the same of the patched one."""

    base: Cell
    patched: Cell


def pairs(run: Run) -> Iterator[Pair]:
    """Yield the cells to compare: as the plan says, otherwise each kernel with the run's first."""
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
    """What differs between the cells of a pair, and how many observations do not."""

    changes: list[PathChange]
    unchanged: int


def word(observation: Observation) -> str:
    """Return what was seen in one word: the value when it is one, otherwise the status."""
    value = observation.value
    if observation.unit is not None or not isinstance(value, str):
        return observation.status.value
    # That the VM was killed says itself whether it is good.
    bad = observation.status in (Status.FAIL, Status.ERROR, Status.MISS) and value != VM_KILLED
    return f"{observation.status.value} ({value})" if bad else value


def difference(pair: Pair) -> Difference:
    """Return what differs, without what only repeats another change, and how much does not."""
    found, same = every_change(pair)
    changed = {change.path for change in found}
    suite = pair.patched.suite.name
    return Difference([c for c in found if not follows(c.path, changed, suite)], same)


def every_change(pair: Pair) -> tuple[list[PathChange], int]:
    """Return all that differs, with what only repeats another change, and how much does not."""
    before, after = _facts(pair.base), _facts(pair.patched)
    found, same = [], 0
    for path in dict.fromkeys([*after, *before]):
        was = before.get(path) or [absent(pair.base, path)]
        now = after.get(path) or [absent(pair.patched, path)]
        # A type with two readings is no change to one of them.
        if set(was) & set(now):
            same += 1
        else:
            found.append(PathChange(path, OR.join(was), OR.join(now)))
    return found, same


def follows(path: str, changed: set[str], suite: str) -> bool:
    """Tell whether the change at `path` only repeats another one."""
    place, _, last = path.rpartition(".")
    if last == "host":  # what the host saw of a test follows from what the test did
        return place in changed
    top, _, mapping = path.partition(".")
    if top != "audit":
        return False
    if mapping.endswith(".stage1"):  # the guest's own look at the same thing
        return f"{suite}.{mapping}" in changed
    # An audit's verdict follows from the types it read.
    return any(f"{path}.{stage}" in changed for stage in ("stage1", "stage2", "combined"))


def _facts(cell: Cell) -> dict[str, list[str]]:
    """Path to the readings of all that can change.

    No figure (timings differ from run to run), no place. One reading, but for an ambiguous type.
    """
    found = {}
    for item in cell.outcomes():
        place = item.path.rpartition(".")[2] in _PLACES and item.status is Status.DONE
        if item.unit is None and not place:
            said = word(item)
            found[item.path] = said.split(OR) if item.detail.get("ambiguous") else [said]
    return found


# Facts that say where something was, not how it behaved.
_PLACES = ("device", "mapping")


def absent(cell: Cell, path: str) -> str:
    """Return why nothing is at `path`: no leaf, not reached, or not observed."""
    place = path
    seen = {o.path: o for o in cell.outcomes()}
    audit = seen.get(path.rpartition(".")[0]) if path.startswith("audit.") else None
    if audit is not None:
        read = audit.status in (Status.PASS, Status.FAIL, Status.SKIP)
        return NO_LEAF if read else audit.status.value
    while "." in place:
        place = place.rpartition(".")[0]
        if f"{place}.{UNREACHED}" in seen:
            return NOT_REACHED
    return NOT_REACHED if cell.failure else ABSENT
