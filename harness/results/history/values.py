# SPDX-License-Identifier: GPL-2.0-only
"""The answers of the history. Times are ISO 8601, UTC, to the second: they sort as they read.

A lane is a kernel, a machine and a suite by name, whatever their commit, QEMU and sources were at
the time. A setup is a lane with one such set of inputs.
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
    """The inputs of a cell, beside the names."""

    source: str
    version: str
    commit: str
    series: str  # a hash
    config: str
    compiler: str
    build: str  # the build's key
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
        """Return status and value; the status alone for a figure, which differs in every run."""
        return f"{self.status} {self.value}" if isinstance(self.value, str) else self.status


@dataclass(frozen=True)
class ValueChange:
    """An input or an observation that differs; `what` names it."""

    what: str
    before: str
    after: str


@dataclass(frozen=True)
class FirstBad:
    """The run since which a lane is bad: `first` is the oldest FAIL or ERROR since a good run.

    `good` is that good run, None when there is none; `inputs` are the inputs that changed between
    the two: none when the same inputs gave both.
    """

    lane: Lane
    first: Point
    good: Point | None
    inputs: tuple[ValueChange, ...] = ()


@dataclass(frozen=True)
class SeenCount:
    """The word that `count` boots with the same inputs observed."""

    word: str  # status and value
    count: int


@dataclass(frozen=True)
class Flake:
    """An observation that changed while its inputs did not; `seen` has the most frequent first."""

    path: str
    lane: Lane
    seen: tuple[SeenCount, ...]
    last: str  # when the newest run of these boots started
    setup: int

    @property
    def boots(self) -> int:
        """Return the number of boots with these inputs."""
        return sum(word.count for word in self.seen)

    @property
    def odd(self) -> int:
        """Return how many of the boots did not observe the most frequent word."""
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
    """One observation of one lane over time, oldest first.

    `inputs` has the inputs that changed just before a point, by its index in `points`.
    """

    lane: Lane
    points: tuple[Point, ...]
    bad: FirstBad | None = None
    flakes: tuple[Flake, ...] = ()
    inputs: dict[int, tuple[ValueChange, ...]] = field(default_factory=dict)


def input_changes(before: Setup, after: Setup) -> tuple[ValueChange, ...]:
    """Return the inputs that differ between two setups.

    The hashes `build` and `inputs`, which depend on the others, only where no other input differs.
    """
    changes = []
    for name, was, now in zip(Setup._fields, before, after, strict=True):
        if was != now:
            changes.append(ValueChange(name, str(was), str(now)))
    others = [change for change in changes if change.what not in ("build", "inputs")]
    return tuple(others or changes)
