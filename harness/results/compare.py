# SPDX-License-Identifier: GPL-2.0-only
"""What a patch changed: two cells that differ in their kernel, observation by observation. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.results.records import VM_KILLED, Cell, Comparison, Observation, Run, Status

NOT_REACHED = "not reached"
ABSENT = "not observed"


@dataclass(frozen=True)
class Change:
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
    """The cells to compare: as the plan says, otherwise each kernel with the run's first."""
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

    changes: list[Change]
    unchanged: int


def word(observation: Observation) -> str:
    """What was seen, in one word: the value when it is one, otherwise the status."""
    value = observation.value
    if observation.unit is not None or not isinstance(value, str):
        return observation.status.value
    # That the VM was killed says itself whether it is good.
    bad = observation.status in (Status.FAIL, Status.ERROR, Status.MISS) and value != VM_KILLED
    return f"{observation.status.value} ({value})" if bad else value


def difference(pair: Pair) -> Difference:
    """What differs, in the order of the patched cell's observations."""
    before, after = _facts(pair.base), _facts(pair.patched)
    found, same = [], 0
    for path in dict.fromkeys([*after, *before]):
        was = before.get(path) or absent(pair.base, path)
        now = after.get(path) or absent(pair.patched, path)
        if was == now:
            same += 1
        else:
            found.append(Change(path, was, now))
    changed = {change.path for change in found}
    # What the host saw of a test follows from what the test itself did.
    told = [c for c in found if c.path.removesuffix(".host") not in changed - {c.path}]
    return Difference(told, same)


def _facts(cell: Cell) -> dict[str, str]:
    """Path to word of all that can change: no figure (timings differ from run to run), no place."""
    found = {}
    for item in cell.observations:
        place = item.path.rpartition(".")[2] in _PLACES and item.status is Status.DONE
        if item.unit is None and not place:
            found[item.path] = word(item)
    for audit in cell.audits:
        for stage in ("stage2", "combined"):
            if audit.get(stage):
                found[f"{cell.suite.name}.{audit.get('mapping')}.{stage}"] = str(audit[stage])
    return found


# Facts that say where something was, not how it behaved.
_PLACES = ("device", "mapping")


def absent(cell: Cell, path: str) -> str:
    """Why there is nothing at `path`: the guest died before, or the cell never got that far."""
    place = path
    while "." in place:
        place = place.rpartition(".")[0]
        if any(o.path == f"{place}.not_reached" for o in cell.observations):
            return NOT_REACHED
    return NOT_REACHED if cell.failure else ABSENT
