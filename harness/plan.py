# SPDX-License-Identifier: GPL-2.0-only
"""Plans: which cells are run, what is expected of them, and what is compared."""

from __future__ import annotations

import fnmatch
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.errors import UsageError
from harness.guest.machine import Machine, load_machine
from harness.kernel.spec import KernelSpec, find_fragment, list_series, resolve
from harness.mutants import Caught, check_rules, expand
from harness.names import parse, unknown
from harness.probe.suite import Suite, load_suite
from harness.results.records import Cell, Comparison, Observation, Status

Pattern = Annotated[str, Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expect(_Table):
    """What an observation must be in the cells that the patterns (fnmatch) name."""

    path: Pattern
    kernel: Pattern = "*"
    machine: Pattern = "*"
    suite: Pattern = "*"
    value: str | int | float | bool | None = None
    status: Status | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Expect:
        if self.value is None and self.status is None:
            raise ValueError("an expectation needs a value or a status")
        return self

    def concerns(self, cell: Cell | CellRequest) -> bool:
        """Whether this expectation is about `cell`."""
        pairs = (
            (cell.kernel.name, self.kernel),
            (cell.machine.name, self.machine),
            (cell.suite.name, self.suite),
        )
        return all(fnmatch.fnmatchcase(name, pattern) for name, pattern in pairs)

    def met_by(self, seen: Observation) -> bool:
        value_fits = self.value is None or seen.value == self.value
        return value_fits and (self.status is None or seen.status == self.status)

    def words(self) -> str:
        parts = [f"value {self.value}" if self.value is not None else "", self.status or ""]
        return " and ".join(str(p) for p in parts if p)


class Plan(_Table):
    """A plan file. Kernels may carry series: `debian-6.1+stage2-normal-nc`.

    A pattern of series, `debian-6.1+mutants/*`, stands for a kernel with each of them.
    """

    description: str = ""
    kernels: list[Pattern] = Field(min_length=1)
    machines: list[Pattern] = Field(min_length=1)
    suites: list[Pattern] = Field(min_length=1)
    expect: list[Expect] = Field(default_factory=list)
    compare: list[Comparison] = Field(default_factory=list)
    caught: list[Caught] = Field(default_factory=list)


@dataclass(frozen=True)
class CellRequest:
    """A cell that is to be run."""

    kernel: KernelSpec
    machine: Machine
    suite: Suite

    @property
    def name(self) -> str:
        return f"{self.kernel.name}/{self.machine.name}/{self.suite.name}"


def load_plan(path: Path) -> Plan:
    """Read a plan; UsageError with file, line and key when it is not one."""
    return parse(Plan, path)


def cells_of(plan: Plan) -> list[CellRequest]:
    """Every cell of the plan, kernel by kernel so that each is built once."""
    names = _once(expand(plan.kernels, list_series()))
    check_rules(plan.caught, names)
    kernels = [resolve(name) for name in names]
    machines = [load_machine(name) for name in _once(plan.machines)]
    suites = [load_suite(name) for name in _once(plan.suites)]
    cells = [request(k, m, s) for k, m, s in itertools.product(kernels, machines, suites)]
    _check(plan, names, cells)
    return cells


def request(kernel: KernelSpec, machine: Machine, suite: Suite) -> CellRequest:
    """The cell of the three; the kernel gets the config fragments that the suite wants."""
    for name in suite.fragments:
        find_fragment(name)
    fragments = tuple(_once([*kernel.fragments, *suite.fragments]))
    return CellRequest(kernel.model_copy(update={"fragments": fragments}), machine, suite)


def _check(plan: Plan, kernels: list[str], cells: list[CellRequest]) -> None:
    """UsageError for what would never be looked at: nobody would notice that it is not met."""
    for expect in plan.expect:
        if not any(expect.concerns(cell) for cell in cells):
            about = f"{expect.kernel}/{expect.machine}/{expect.suite}"
            raise UsageError(f"expect {expect.path}: no cell of the plan is {about}")
    for pair in plan.compare:
        for name in (pair.base, pair.patched):
            if name not in kernels:
                raise unknown("kernel to compare", name, kernels)


def _once(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


def judge(cell: Cell, expectations: list[Expect]) -> list[Observation]:
    """One record for each expectation about `cell`: PASS, FAIL, or MISS when it was not run."""
    records = []
    for expect in expectations:
        if not expect.concerns(cell):
            continue
        seen = [o for o in cell.observations if fnmatch.fnmatchcase(o.path, expect.path)]
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
    """The FAILs of a cell that no expectation asked for."""
    mine = [e for e in expectations if e.concerns(cell)]
    return [
        o
        for o in cell.observations
        if o.status == Status.FAIL
        and not any(fnmatch.fnmatchcase(o.path, e.path) and e.met_by(o) for e in mine)
    ]
