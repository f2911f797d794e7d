# SPDX-License-Identifier: GPL-2.0-only
"""Plans: which cells are run, what is expected of them, and what is compared (docs/plans.md)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from harness.base.errors import UsageError
from harness.base.paths import PLANS
from harness.base.toml import line_of, parse, read_toml, unknown
from harness.evaluate.plan.expect import Expect, Filter, Pattern, can_be_seen
from harness.evaluate.plan.mutants import Caught, check_rules, expand
from harness.hosts.machines.machine import Machine
from harness.hosts.named import load_machine
from harness.kernel.series import readable
from harness.kernel.spec import KernelSpec, find_fragment, list_series, resolve
from harness.results.records import Comparison
from harness.results.store import cell_path
from harness.suites.suite import Suite, load_suite

T = TypeVar("T", Machine, Suite)
V = TypeVar("V")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Table):
    """Seconds of wall time: of a cell without its kernel's build, of the run."""

    cell: float | None = Field(default=None, gt=0)
    run: float | None = Field(default=None, gt=0)

    def or_else(self, other: Limits) -> Limits:
        """Return these limits, and those of `other` where there is none."""
        cell = other.cell if self.cell is None else self.cell
        return Limits(cell=cell, run=other.run if self.run is None else self.run)


class Retention(_Table):
    """What `s2eval clean` keeps of the runs of this plan: the newest, and those not so old."""

    keep_runs: int | None = Field(default=None, ge=1)
    keep_days: float | None = Field(default=None, gt=0)


NO_LIMITS, KEEP_ALL = Limits(), Retention()
# What a plan adds to the plan that it extends, and what it changes key by key.
ADDED = ("include", "exclude", "expect", "compare", "caught")
MERGED = ("limits", "retention")


class Plan(_Table):
    """A plan file. Kernels may carry series: `debian-6.1+stage2-normal-nc`.

    A pattern of series, `debian-6.1+mutants/*`, stands for a kernel with each of them. A plan that
    `extends` another one says only what differs. Of all kernels x machines x suites those cells are
    run that an `include` names (all when there is none) and no `exclude`. `repeat` is how often
    each is run, `retries` how many more boots one gets that ended as MISS. `fresh`: each
    L1 boots, none is restored.
    """

    extends: str | None = None
    description: str = ""
    kernels: list[Pattern] = Field(min_length=1)
    machines: list[Pattern] = Field(min_length=1)
    suites: list[Pattern] = Field(min_length=1)
    include: list[Filter] = Field(default_factory=list)
    exclude: list[Filter] = Field(default_factory=list)
    expect: list[Expect] = Field(default_factory=list)
    compare: list[Comparison] = Field(default_factory=list)
    caught: list[Caught] = Field(default_factory=list)
    repeat: int = Field(default=1, ge=1, le=1000)
    retries: int = Field(default=1, ge=0, le=10)
    skip_unchanged: bool = False
    fresh: bool = False
    limits: Limits = NO_LIMITS
    retention: Retention = KEEP_ALL


@dataclass(frozen=True)
class CellRequest:
    """A cell that is to be run; with `coverage` the instructions that it executes are recorded."""

    kernel: KernelSpec
    machine: Machine
    suite: Suite
    coverage: bool = False

    @property
    def name(self) -> str:
        """Return the cell's name in records and on command lines: `KERNEL/MACHINE/SUITE`."""
        return f"{self.kernel.name}/{self.machine.name}/{self.suite.name}"


def find_plan(name: str) -> Path:
    """Return the file of a plan: a path, or the name of one in a folder `plans` (s2eval list).

    It is relative where it is below the current folder. UsageError when there is none.
    """
    if "/" in name or name.endswith(".toml"):
        path = Path(name).expanduser()
        known = path.name.removesuffix(".toml")
        if not path.exists() and PLANS.find(known):
            raise UsageError(f"{name}: no such file: did you mean the plan '{known}'?")
        return path
    path = PLANS.find(name) or Path(name)
    if not path.exists():
        raise unknown("plan", name, PLANS.files())
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def load_plan(path: Path) -> Plan:
    """Read a plan; UsageError with file, line and key when it is not one."""
    return _load(path, ())


def _load(path: Path, seen: tuple[Path, ...]) -> Plan:
    own = read_toml(path)
    if "extends" not in own:
        return parse(Plan, path, own)
    here = path.resolve()
    line = line_of(path.read_text(encoding="utf-8"), ("extends",))
    if here in seen:
        circle = " -> ".join(p.name for p in (*seen, here))
        raise UsageError(f"{path}:{line}: plans extend each other in a circle: {circle}")
    if not isinstance(own["extends"], str):
        return parse(Plan, path, own)  # which says what is wrong
    base = _extended(path, own["extends"])
    if base is None:
        raise UsageError(f"{path}:{line}: extends: {_no_plan(path, own['extends'])}")
    values: dict[str, Any] = _load(base, (*seen, here)).model_dump(exclude_unset=True)
    parse(Plan, path, {**values, **own})  # what is wrong in this file is told with its line
    added = {key: [*values.get(key, ()), *own[key]] for key in ADDED if key in own}
    merged = {key: {**values.get(key, {}), **own[key]} for key in MERGED if key in own}
    return parse(Plan, path, {**values, **own, **added, **merged})


def _extended(path: Path, base: str) -> Path | None:
    """The file that the plan `path` extends: one named from its folder, or a plan with a name."""
    if "/" in base or base.endswith(".toml"):
        file = path.parent / base
        return file if file.is_file() else None
    return PLANS.find(base, behind=path if base == path.stem else None)


def _no_plan(path: Path, base: str) -> str:
    if "/" in base or base.endswith(".toml"):
        return f"{path.parent / base}: no such file"
    return str(unknown("plan", base, PLANS.files()))


def cells_of(plan: Plan, path: Path | None = None) -> list[CellRequest]:
    """Return every cell of the plan, kernel by kernel so that each is built once.

    UsageError for the first problem, with the line in `path` where the plan is a file.
    """
    cells, problems = examine(plan, path)
    if problems:
        more = f" (and {len(problems) - 1} more: s2eval plan check)" if len(problems) > 1 else ""
        raise UsageError(f"{problems[0]}{more}")
    return cells


def _kernel(name: str) -> KernelSpec:
    return readable(resolve(name))


def examine(plan: Plan, path: Path | None = None) -> tuple[list[CellRequest], list[str]]:
    """Return the cells of a plan, and all that is wrong with it, a line each."""
    problems = Problems(path)
    names = _once(
        problems.get(("kernels",), "", partial(expand, plan.kernels, list_series())) or []
    )
    kernels = [k for n in names if (k := problems.get(("kernels",), n, partial(_kernel, n)))]
    machines = _all("machine", _once(plan.machines), load_machine, problems)
    suites = _all("suite", _once(plan.suites), load_suite, problems)
    if problems.lines:
        return [], problems.lines
    problems.get(("caught",), "", partial(check_rules, plan.caught, names))
    cells = [
        problems.get(("suites",), s.name, partial(request, k, m, s))
        for k, m, s in itertools.product(kernels, machines, suites)
        if s.fits(m.device.name)
    ]
    wanted = [cell for cell in cells if cell and _wanted(plan, cell)]
    for suite in suites:
        if not any(cell and cell.suite is suite for cell in cells):
            drives = " or ".join(suite.devices)
            problems.add(("suites",), suite.name, f"suite {suite.name}: no machine has {drives}")
    folders: dict[Path, str] = {}
    for cell in wanted:
        other = folders.setdefault(cell_path(Path(), cell.name), cell.name)
        if other != cell.name:
            problems.add(("kernels",), "", f"{other} and {cell.name} would have one folder of logs")
    _unrun(plan, [cell for cell in cells if cell], wanted, problems)
    _unlooked(plan, names, wanted, problems)
    return wanted, problems.lines


def request(kernel: KernelSpec, machine: Machine, suite: Suite) -> CellRequest:
    """Return the cell of the three; the kernel gets the config fragments that the suite wants."""
    for name in suite.fragments:
        find_fragment(name)
    fragments = tuple(_once([*kernel.fragments, *suite.fragments]))
    machine = machine if suite.watch else machine.unwatched()
    return CellRequest(kernel.model_copy(update={"fragments": fragments}), machine, suite)


class Problems:
    """What is wrong with a plan; with file and line where it is a file."""

    def __init__(self, path: Path | None) -> None:
        self.lines: list[str] = []
        self._path = path

    def add(self, keys: tuple[int | str, ...], name: str, what: str) -> None:
        """Add a problem of the key path `keys`, with its value `name`."""
        line = f"{self._where(keys, name)}{what}"
        if line not in self.lines:  # a suite's fault is one in each of its cells
            self.lines.append(line)

    def get(self, keys: tuple[int | str, ...], name: str, make: Callable[[], V]) -> V | None:
        """Return what `make` returns; None when that is a problem, which is added."""
        try:
            return make()
        except UsageError as error:
            self.add(keys, name, str(error))
            return None

    def _where(self, keys: tuple[int | str, ...], name: str) -> str:
        if not self._path:
            return ""
        path, keys = _origin(self._path, keys)
        text = path.read_text(encoding="utf-8")
        line = line_of(text, keys)
        rest = enumerate(text.splitlines()[line - 1 :], line)
        line = next((n for n, words in rest if name and f'"{name}"' in words), line)
        return f"{path}:{line}: "


def _origin(path: Path, keys: tuple[int | str, ...]) -> tuple[Path, tuple[int | str, ...]]:
    """The file that a key comes from, the plan's own or one it extends, and its place there."""
    own = read_toml(path)
    if "extends" not in own:
        return path, keys
    base = _extended(path, own["extends"]) or path
    if keys[0] not in ADDED or len(keys) == 1:
        return (path, keys) if keys[0] in own else _origin(base, keys)
    before = len(getattr(_load(base, ()), str(keys[0])))
    at = int(keys[1])
    return (path, (keys[0], at - before, *keys[2:])) if at >= before else _origin(base, keys)


def _all(kind: str, names: list[str], load: Callable[[str], T], problems: Problems) -> list[T]:
    """What `names` name; a problem for two of one name, whose records nobody could tell apart."""
    keys = (f"{kind}s",)
    found: dict[str, str] = {}
    loaded = []
    for name in names:
        one = problems.get(keys, name, partial(load, name))
        if one is None:
            continue
        if one.name in found:
            what = f"two {kind}s of one name, {one.name}: {found[one.name]} and {name}"
            problems.add(keys, name, what)
        found[one.name] = name
        loaded.append(one)
    return loaded


def _wanted(plan: Plan, cell: CellRequest) -> bool:
    included = not plan.include or any(f.concerns(cell) for f in plan.include)
    return included and not any(f.concerns(cell) for f in plan.exclude)


def _unrun(
    plan: Plan, every: list[CellRequest], wanted: list[CellRequest], problems: Problems
) -> None:
    """Filters that change nothing, and suites that are never run."""
    for key, filters in (("include", plan.include), ("exclude", plan.exclude)):
        for at, one in enumerate(filters):
            if not any(one.concerns(cell) for cell in every):
                problems.add((key, at), "", f"{key}: no cell of the plan is {one.about()}")
    if not problems.lines:
        for name in {cell.suite.name for cell in every} - {cell.suite.name for cell in wanted}:
            problems.add(("suites",), name, f"suite {name}: no cell of the plan runs it")


def _unlooked(
    plan: Plan, kernels: Sequence[str], wanted: list[CellRequest], problems: Problems
) -> None:
    """What would never be looked at: nobody would notice that it is not met."""
    for at, expect in enumerate(plan.expect):
        mine = [cell for cell in wanted if expect.concerns(cell)]
        if not mine:
            what = f"expect {expect.path}: no cell of the plan is {expect.about()}"
            problems.add(("expect", at), "", what)
        elif not can_be_seen(expect.path, {cell.suite.name for cell in mine}):
            names = ", ".join(sorted({cell.suite.name for cell in mine}))
            what = f"expect {expect.path}: no suite here gives such a path: {names}, audit, witness"
            problems.add(("expect", at, "path"), "", what)
    for at, pair in enumerate(plan.compare):
        for name in (pair.base, pair.patched):
            if name not in kernels:
                problems.add(
                    ("compare", at), name, str(unknown("kernel to compare", name, kernels))
                )


def _once(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))
