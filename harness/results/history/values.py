# SPDX-License-Identifier: GPL-2.0-only
"""What the history answers with. Times are ISO 8601, UTC, to the second: they sort as they read.

A lane is what keeps its name while it moves on: one kernel, machine and suite by name, whatever
commit, QEMU or sources they were at the time. A setup is a lane in one such state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Lane(NamedTuple):
    """Kernel, machine and suite, by name."""

    kernel: str
    machine: str
    suite: str

    def __str__(self) -> str:
        return f"{self.kernel}/{self.machine}/{self.suite}"


class Setup(NamedTuple):
    """What shapes a cell, beside the names."""

    source: str
    version: str
    commit: str
    series: str  # a hash, as the next but one
    config: str
    compiler: str
    build: str  # its key
    cpu: str
    cpus: int
    memory_mib: int
    accel: str
    topology: str
    qemu: str
    suite: str  # the hash of its sources
    inputs: str  # a hash that also has the machine's details and the harness


class Point(NamedTuple):
    """An observation in one run. `value` is a word, or a figure in `unit`."""

    started: str
    run: str
    status: str
    value: str | float | None = None
    unit: str = ""
    setup: int = 0  # the Setup's number in this database

    @property
    def word(self) -> str:
        """Return what can be compared: figures differ from run to run."""
        return f"{self.status} {self.value}" if isinstance(self.value, str) else self.status


@dataclass(frozen=True)
class ValueChange:
    """An input or an observation that differs; `what` names it."""

    what: str
    before: str
    after: str


@dataclass(frozen=True)
class FirstBad:
    """Where a lane went bad: `first` is the oldest FAIL or ERROR since the last good run.

    `good` is that run, None when there is none; `inputs` is what changed between the two:
    nothing, when the same inputs gave both.
    """

    lane: Lane
    first: Point
    good: Point | None
    inputs: tuple[ValueChange, ...] = ()


@dataclass(frozen=True)
class SeenCount:
    """What `count` boots with the same inputs saw."""

    word: str  # status and value
    count: int


@dataclass(frozen=True)
class Flake:
    """An observation that changed while its inputs did not; `seen` has the most frequent first."""

    path: str
    lane: Lane
    seen: tuple[SeenCount, ...]
    last: str  # when the newest of these boots was
    setup: int

    @property
    def boots(self) -> int:
        return sum(one.count for one in self.seen)

    @property
    def odd(self) -> int:
        """Return how many of the boots saw something else than most did."""
        return self.boots - self.seen[0].count


@dataclass(frozen=True)
class LaneChange:
    """A lane in two runs. `only` is "" or the run that alone has it."""

    lane: Lane
    only: str = ""
    inputs: tuple[ValueChange, ...] = ()
    observations: tuple[ValueChange, ...] = ()
    unchanged: int = 0


@dataclass(frozen=True)
class LaneSeries:
    """One observation of one lane over time, oldest first, and what there is to say of it.

    `inputs` has what changed before a point, by its place in `points`.
    """

    lane: Lane
    points: tuple[Point, ...]
    bad: FirstBad | None = None
    flakes: tuple[Flake, ...] = ()
    inputs: dict[int, tuple[ValueChange, ...]] = field(default_factory=dict)


def input_changes(before: Setup, after: Setup) -> tuple[ValueChange, ...]:
    """Return what differs between two setups: keys of many things only where nothing else does."""
    found = []
    for name, was, now in zip(Setup._fields, before, after, strict=True):
        if was != now:
            found.append(ValueChange(name, str(was), str(now)))
    others = [change for change in found if change.what not in ("build", "inputs")]
    return tuple(others or found)
