# SPDX-License-Identifier: GPL-2.0-only
"""A criterion on observations: `wcprobe.*`, `audit.ioremap_wc.stage2=Normal-NC`, `a.b>100`."""

from __future__ import annotations

import fnmatch
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from harness.base.errors import UsageError
from harness.results.records import UNREACHED, Cell, Observation, Status

_FORM = re.compile(r"(?P<path>[^\s=<>!]+)(?:(?P<sign>=|!=|<=|>=|<|>)(?P<word>.+))?")
_BOUNDS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# What becomes of a guest as a whole says nothing about a test.
_APART = ("guest", UNREACHED)
END, NONE = "failure", "none"  # the first part of such a path; its value where there is none
_UNKNOWN = (Status.ERROR, Status.MISS)


@dataclass(frozen=True)
class CheckResult:
    """Whether a cell meets a check; `met` None: it cannot tell. `why` is what was seen."""

    met: bool | None
    why: str


@dataclass(frozen=True)
class Check:
    """`path` is a pattern (fnmatch); without a sign all that it names must pass."""

    path: str
    sign: str = ""
    word: str = ""

    def __str__(self) -> str:
        return f"{self.path}{self.sign}{self.word}"

    def of(self, cell: Cell) -> CheckResult:
        """Return what `cell` says; a guest that never came to the test says nothing."""
        asked = end_of(cell) if self.path.startswith(f"{END}.") else cell.outcomes()
        observations = [o for o in asked if self._names(o)]
        if not observations:
            failure = f"{cell.failure.kind}: {cell.failure.summary}" if cell.failure else ""
            return CheckResult(None, failure or f"nothing was observed at {self.path}")
        if self.sign in _BOUNDS:
            return self._bound(observations)
        return self._word(observations) if self.sign else _pass(observations)

    def _names(self, item: Observation) -> bool:
        last = item.path.rpartition(".")[2]
        return last not in _APART and fnmatch.fnmatchcase(item.path, self.path)

    def _bound(self, observations: list[Observation]) -> CheckResult:
        figures = [
            (o, float(o.value))
            for o in observations
            if isinstance(o.value, (int, float)) and not isinstance(o.value, bool)
        ]
        if not figures:
            return CheckResult(None, f"{observations[0].path} is no figure")
        beyond = [(o, v) for o, v in figures if not _BOUNDS[self.sign](v, float(self.word))]
        item, value = (beyond or figures)[0]
        return CheckResult(not beyond, f"{item.path}: {value:g} {item.unit or ''}".rstrip())

    def _word(self, observations: list[Observation]) -> CheckResult:
        unknown = next((o for o in observations if o.status in _UNKNOWN), None)
        if unknown and self.word not in set(Status):
            return CheckResult(None, f"{unknown.path}: {_described(unknown)}")
        equal = [o for o in observations if self.word in (str(o.value), o.status.value)]
        odd = [o for o in observations if o not in equal]
        if self.sign == "!=":
            odd, equal = equal, odd
        return CheckResult(not odd, f"{(odd or equal)[0].path}: {_described((odd or equal)[0])}")


def end_of(cell: Cell) -> list[Observation]:
    """Return how a cell's guest ended: observations `failure.kind`, `failure.place.function`, ….

    Their values are `none` where all went well. A fault of the harness or the machine tells
    nothing. A guest that fell silent at a place is taken to hang there: a bisection has shown that
    another kernel's guest does not.
    """
    failure = cell.failure
    place = failure.place if failure else None
    status = Status.PASS
    if failure:
        status = Status.FAIL if place else failure.status
    values: dict[str, str | int] = {"kind": failure.kind if failure else NONE}
    for name in ("function", "file", "line", "el", "interrupts", "where"):
        values[f"place.{name}"] = getattr(place, name) if place else NONE
    detail = {"reason": failure.summary} if failure else {}
    return [
        Observation(path=f"{END}.{name}", status=status, value=value, detail=detail)
        for name, value in values.items()
    ]


def parse_check(text: str) -> Check:
    """Return the check that `text` is; raise UsageError when it is none."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--check {text}: not PATH, PATH=WORD, PATH!=WORD or PATH<NUMBER")
    check = Check(match["path"], match["sign"] or "", match["word"] or "")
    if check.sign in _BOUNDS:
        try:
            fine = math.isfinite(float(check.word))
        except ValueError:
            fine = False
        if not fine:
            raise UsageError(f"--check {text}: {check.word} is no number")
    return check


def _pass(observations: list[Observation]) -> CheckResult:
    bad = [o for o in observations if o.status is Status.FAIL]
    unknown = [o for o in observations if o.status in _UNKNOWN]
    good = [o for o in observations if o.status in (Status.PASS, Status.DONE)]
    if bad:
        return CheckResult(False, f"{bad[0].path}: {_described(bad[0])}")
    if unknown or not good:
        first = (unknown or observations)[0]
        return CheckResult(None, f"{first.path}: {_described(first)}")
    return CheckResult(True, f"{len(good)} passed")


def _described(item: Observation) -> str:
    word = f"{item.status.value} {item.value if item.value is not None else ''}".strip()
    reason = str(item.detail.get("reason", ""))
    return f"{word} ({reason})" if reason else word
