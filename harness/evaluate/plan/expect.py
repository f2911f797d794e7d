# SPDX-License-Identifier: GPL-2.0-only
"""Expectations of a plan: what an observation must be, and whether it was. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.results.records import UNREACHED, Cell, Observation, Status

Pattern = Annotated[str, Field(min_length=1)]
# First components of paths that the harness makes, whatever the suite (docs/results.md).
OWN = ("audit", "witness", "command", "ktap", "end")
# Observations that come and go with how a guest fares: that none was seen says nothing.
PASSING = ("guest", UNREACHED, "host")


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class _Place(Protocol):
    """A cell, or a request for one."""

    @property
    def kernel(self) -> _Named: ...
    @property
    def machine(self) -> _Named: ...
    @property
    def suite(self) -> _Named: ...


class Filter(BaseModel):
    """Cells, by patterns (fnmatch) of the three names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kernel: Pattern = "*"
    machine: Pattern = "*"
    suite: Pattern = "*"

    def concerns(self, cell: _Place) -> bool:
        """Whether `cell` is one of them."""
        pairs = (
            (cell.kernel.name, self.kernel),
            (cell.machine.name, self.machine),
            (cell.suite.name, self.suite),
        )
        return all(fnmatch.fnmatchcase(name, pattern) for name, pattern in pairs)

    def about(self) -> str:
        """Return the patterns as messages have them."""
        return f"{self.kernel}/{self.machine}/{self.suite}"


class Expect(Filter):
    """What an observation must be in the cells that the patterns name."""

    path: Pattern
    value: str | int | float | bool | None = None
    status: Status | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Expect:
        if self.value is None and self.status is None:
            raise ValueError("an expectation needs a value or a status")
        return self

    def met_by(self, seen: Observation) -> bool:
        """Whether what was seen is as expected."""
        value_fits = self.value is None or seen.value == self.value
        return value_fits and (self.status is None or seen.status == self.status)

    def words(self) -> str:
        """Return what is expected, for a message."""
        parts = [f"value {self.value}" if self.value is not None else "", self.status or ""]
        return " and ".join(str(p) for p in parts if p)


def judge(cell: Cell, expectations: list[Expect]) -> list[Observation]:
    """Return a record for each expectation of `cell`: PASS, FAIL, or MISS when it was not run."""
    records = []
    for expect in expectations:
        if not expect.concerns(cell):
            continue
        seen = [o for o in cell.outcomes() if fnmatch.fnmatchcase(o.path, expect.path)]
        records.append(_judge_one(cell, expect, seen))
    return records


def _judge_one(cell: Cell, expect: Expect, seen: list[Observation]) -> Observation:
    wanted = expect.words()
    if not seen:
        status = Status.MISS if cell.status in (Status.MISS, Status.SKIP) else Status.FAIL
        reason = f"expected {wanted}: nothing was observed there"
        return Observation(path=expect.path, status=status, detail={"reason": reason})
    odd = [o for o in seen if not expect.met_by(o)]
    if not odd:
        return Observation(path=expect.path, status=Status.PASS, value=seen[0].value)
    first = odd[0]
    status = first.status if first.status in (Status.MISS, Status.ERROR) else Status.FAIL
    was = first.value if first.value is not None else first.status.value
    reason = f"expected {wanted}, was {was}"
    return Observation(path=first.path, status=status, value=first.value, detail={"reason": reason})


def unexpected(cell: Cell, expectations: list[Expect]) -> list[Observation]:
    """Return the FAILs of a cell that no expectation asked for."""
    mine = [e for e in expectations if e.concerns(cell)]
    return [
        o
        for o in cell.outcomes()
        if o.status == Status.FAIL
        and not any(fnmatch.fnmatchcase(o.path, e.path) and e.met_by(o) for e in mine)
    ]


def can_be_seen(path: str, suites: Iterable[str]) -> bool:
    """Whether one of `suites`, or the harness itself, makes paths that begin as `path` does."""
    first = path.partition(".")[0]
    return any(fnmatch.fnmatchcase(name, first) for name in (*suites, *OWN))


def was_seen(path: str, known: Sequence[str]) -> bool:
    """Whether `path` is one of the paths `known` from before, or one that comes and goes."""
    parts = path.split(".")
    if parts[0] in OWN[2:] or parts[-1] in PASSING:
        return True
    return any(fnmatch.fnmatchcase(name, path) for name in known)
