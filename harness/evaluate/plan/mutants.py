# SPDX-License-Identifier: GPL-2.0-only
"""Kernels that are wrong on purpose: each must be caught by a check that is no crash. Pure.

In a plan:

    [[caught]]
    kernel = "debian-6.1+mutants/fwb-*"
    machine = "nested-tcg"
    reference = "debian-6.1+stage2-normal-nc"

A check that cannot fail is worth nothing, and a crash says only that something is wrong. So each
cell that a rule is about has to have at least one FAIL which is not the guest's death and which
`reference`, the kernel without the mistake, does not have on the same machine. Where a kernel has
no mistake (another machine than the rule names), a FAIL is as unexpected as in any other cell.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from harness.base.errors import UsageError
from harness.results.records import VM_KILLED, Cell, Observation, Status

Pattern = Annotated[str, Field(min_length=1)]
CAUGHT = "caught"  # the path of the record in a cell's `expectations`


class Caught(BaseModel):
    """A rule. Of several whose `kernel` fits, the first one is a kernel's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kernel: Pattern
    reference: Pattern
    machine: Pattern = "*"
    suite: Pattern = "*"


def expand(kernels: Iterable[str], series: Iterable[str]) -> list[str]:
    """Return the names of a plan's kernels with patterns of series replaced by all that fit.

    `debian-6.1+mutants/*` becomes one name for each of `series` below `mutants/`. Raises
    UsageError where none fits.
    """
    names: list[str] = []
    for kernel in kernels:
        base, plus, last = kernel.rpartition("+")
        if not plus or not any(sign in last for sign in "*?["):
            names.append(kernel)
            continue
        fitting = fnmatch.filter(series, last)
        if not fitting:
            raise UsageError(f"kernel {kernel}: no series is named {last} (see kernels/patches)")
        names += [f"{base}+{one}" for one in sorted(fitting)]
    return names


def check_rules(rules: Sequence[Caught], kernels: Sequence[str]) -> None:
    """Raise UsageError for a rule that would never be looked at, or has nothing to compare with.

    `kernels` are the plan's, in the order they are run; a reference has to come first.
    """
    for rule in rules:
        concerned = [kernel for kernel in kernels if rule_of(kernel, rules) is rule]
        if not concerned:
            raise UsageError(f"caught: no kernel of the plan is left for kernel = {rule.kernel}")
        if rule.reference not in kernels[: kernels.index(concerned[0])]:
            raise UsageError(
                f"caught: reference = {rule.reference} has to be one of the plan's kernels, before"
                f" {concerned[0]}"
            )


def rule_of(kernel: str, rules: Iterable[Caught]) -> Caught | None:
    """Return the rule for a kernel, None for one that is meant to be right."""
    return next((rule for rule in rules if fnmatch.fnmatchcase(kernel, rule.kernel)), None)


def concerning(cell: Cell, rules: Iterable[Caught]) -> Caught | None:
    """Return the rule that says that `cell` has a mistake to be caught."""
    rule = rule_of(cell.kernel.name, rules)
    if rule is None or not fnmatch.fnmatchcase(cell.machine.name, rule.machine):
        return None
    return rule if fnmatch.fnmatchcase(cell.suite.name, rule.suite) else None


def is_check(item: Observation) -> bool:
    """Whether a FAIL says what is wrong: it is neither the guest's death nor drawn from it."""
    died = item.value == VM_KILLED or item.detail.get("behaviour") == VM_KILLED
    return item.status is Status.FAIL and not died and "failure" not in item.detail


def catching(cell: Cell, reference: Cell) -> list[Observation]:
    """Return the checks that fail in `cell` and not in `reference`."""
    known = {item.path for item in reference.outcomes() if item.status is Status.FAIL}
    return [item for item in cell.outcomes() if is_check(item) and item.path not in known]


def judge_caught(cell: Cell, rules: Iterable[Caught], done: Iterable[Cell]) -> list[Observation]:
    """Return one record `caught` for a cell with a mistake, none for another one.

    PASS: `value` is the first check that caught it, `detail["by"]` has path and reason of each.
    FAIL: it survived. MISS: it, or its reference among the cells `done`, gave no results.
    """
    rule = concerning(cell, rules)
    if rule is None:
        return []
    reference = _cell(done, rule.reference, cell)
    for one, name in ((cell, cell.kernel.name), (reference, rule.reference)):
        if one is None or not one.outcomes():
            reason = f"no results of {name} on {cell.machine.name}"
            return [Observation(path=CAUGHT, status=Status.MISS, detail={"reason": reason})]
    assert reference is not None  # noqa: S101 - the loop looked
    found = catching(cell, reference)
    if found:
        by = [{"path": item.path, "reason": str(item.detail.get("reason", ""))} for item in found]
        return [
            Observation(path=CAUGHT, status=Status.PASS, value=found[0].path, detail={"by": by})
        ]
    died = any(item.value == VM_KILLED for item in cell.outcomes())
    reason = "survived: nothing but the VM's death" if died else "survived: no check"
    reason += f" tells {cell.kernel.name} from {rule.reference}"
    return [Observation(path=CAUGHT, status=Status.FAIL, detail={"reason": reason})]


def _cell(done: Iterable[Cell], kernel: str, like: Cell) -> Cell | None:
    """The cell of `kernel` on the machine and with the suite of `like`."""
    place = (kernel, like.machine.name, like.suite.name)
    return next((c for c in done if (c.kernel.name, c.machine.name, c.suite.name) == place), None)
