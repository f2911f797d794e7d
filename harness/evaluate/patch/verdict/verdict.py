# SPDX-License-Identifier: GPL-2.0-only
"""What a change of kernel came to: improved, regressed, mixed, unchanged or undecided. Pure.

A promise is what a test or an audit expects. One kept that was not is an improvement, one broken
that was kept a regression; all else that differs is told, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from harness.evaluate.patch.verdict.logdiff import TIMING, Complaint
from harness.results.compare import ABSENT, Pair, absent, every_change, follows
from harness.results.records import Cell, Observation, Status


class Verdict(StrEnum):
    """What a patch did, all in all."""

    IMPROVED = "improved"
    REGRESSED = "regressed"
    MIXED = "mixed"
    UNCHANGED = "unchanged"
    UNDECIDED = "undecided"


class ChangeKind(StrEnum):
    """What a single change is."""

    IMPROVED = "improved"
    REGRESSED = "regressed"
    CHANGED = "changed"


class VerdictChange(BaseModel):
    """One thing that differs. `about`: probe, audit, witness, expectation, figure, log or build.

    `repeats` another change: the verdict of an audit whose type changed. `detail` has what is
    particular: the statistics of a figure, the trace of a warning.
    """

    model_config = ConfigDict(extra="forbid")

    path: str
    base: str
    patched: str
    kind: ChangeKind
    about: str
    machine: str = ""
    suite: str = ""
    repeats: bool = False
    detail: dict[str, Any] = Field(default_factory=dict)


STATUS = {
    Verdict.IMPROVED: Status.PASS,
    Verdict.UNCHANGED: Status.PASS,
    Verdict.REGRESSED: Status.FAIL,
    Verdict.MIXED: Status.FAIL,
    Verdict.UNDECIDED: Status.MISS,
}
UNKNOWN = (Status.ERROR, Status.MISS)


def verdict(changes: Iterable[VerdictChange], open_questions: Sequence[str]) -> Verdict:
    """Return the verdict on all `changes`; with open questions it is never a good one."""
    kinds = {change.kind for change in changes}
    if ChangeKind.REGRESSED in kinds:
        return Verdict.MIXED if ChangeKind.IMPROVED in kinds else Verdict.REGRESSED
    if open_questions:
        return Verdict.UNDECIDED
    return Verdict.IMPROVED if ChangeKind.IMPROVED in kinds else Verdict.UNCHANGED


def observed(pair: Pair) -> list[VerdictChange]:
    """Return how observations, cases and the plan's expectations of two cells differ."""
    differences, _ = every_change(pair)
    changed = {change.path for change in differences}
    suite = pair.patched.suite.name
    machine = pair.patched.machine.name
    before, after = _by_path(pair.base.outcomes()), _by_path(pair.patched.outcomes())
    cases = {f"{suite}.{case.name}" for case in pair.base.cases}
    changes = []
    for change in differences:
        was, now = before.get(change.path), after.get(change.path)
        detail = {"reason": now.detail["reason"]} if now and "reason" in now.detail else {}
        sides = (("base", was), ("patched", now))
        flaky = {side: o.detail["flaky"] for side, o in sides if o and "flaky" in o.detail}
        changes.append(
            VerdictChange(
                path=change.path,
                base=change.before,
                patched=change.after,
                # A case that is gone was not mended: the patch has taken it out, or it did not run.
                kind=ChangeKind.CHANGED
                if now is None and change.path in cases
                else _kind(pair, change.path, was, now),
                about=_about(change.path),
                repeats=follows(change.path, changed, suite),
                detail={**detail, **({"flaky": flaky} if flaky else {})},
                machine=machine,
                suite=suite,
            )
        )
    return changes + _expectations(pair)


def unknown(pair: Pair) -> list[str]:
    """Return why the two cells cannot be told apart, a line each; none when they can."""
    reasons = []
    for side, cell in (("base", pair.base), ("patched", pair.patched)):
        broken = [o for o in cell.outcomes() if o.status in UNKNOWN]
        where = f"{side} on {cell.machine.name}, {cell.suite.name}"
        if not cell.outcomes() or cell.status is Status.SKIP:
            why = cell.failure.summary if cell.failure else "nothing was observed"
            reasons.append(f"{where}: {why}")
        elif broken:
            reason = broken[0].detail.get("reason", broken[0].value)
            reasons.append(f"{where}: {broken[0].path} is {broken[0].status.value}: {reason}")
        elif cell.status in UNKNOWN:
            reasons.append(
                f"{where}: {cell.failure.summary if cell.failure else cell.status.value}"
            )
    return reasons


def logged(
    pair: Pair, fresh: Iterable[Complaint], gone: Iterable[Complaint]
) -> list[VerdictChange]:
    """Return new and vanished complaints of the kernels' logs as changes."""
    changes = []
    reasons = [
        str(item.detail.get("reason", ""))
        for cell in (pair.base, pair.patched)
        for item in cell.outcomes()
    ]
    for complaint, new in [*((c, True) for c in fresh), *((c, False) for c in gone)]:
        if not complaint.kind and not new:
            continue
        kind = ChangeKind.CHANGED
        if complaint.kind and new:
            kind = ChangeKind.REGRESSED
        elif complaint.kind and complaint.kind not in TIMING:
            kind = ChangeKind.IMPROVED
        sides = ("not there", complaint.line) if new else (complaint.line, "not there")
        changes.append(
            VerdictChange(
                path=f"log.{complaint.where}.{complaint.kind or 'line'}",
                base=sides[0],
                patched=sides[1],
                kind=kind,
                about="log",
                machine=pair.patched.machine.name,
                suite=pair.patched.suite.name,
                repeats=any(complaint.line in reason for reason in reasons),
                detail={"trace": list(complaint.trace)} if len(complaint.trace) > 1 else {},
            )
        )
    return changes


def _kind(pair: Pair, path: str, was: Observation | None, now: Observation | None) -> ChangeKind:
    """Whether a promise was kept or broken. What one side never got to proves nothing."""
    if _unknown(was) or _unknown(now):
        return ChangeKind.CHANGED
    bad_before, bad_after = _bad(was), _bad(now)
    if bad_after and not bad_before and _known(pair.base, path, was):
        return ChangeKind.REGRESSED
    if bad_before and not bad_after and _known(pair.patched, path, now):
        skipped = now is not None and now.status is Status.SKIP
        return ChangeKind.CHANGED if skipped else ChangeKind.IMPROVED
    return ChangeKind.CHANGED


def _unknown(seen: Observation | None) -> bool:
    return seen is not None and seen.status in UNKNOWN


def _bad(seen: Observation | None) -> bool:
    """A promise broken, in one of the repeats at least."""
    return seen is not None and seen.status is Status.FAIL


def _known(cell: Cell, path: str, seen: Observation | None) -> bool:
    """Whether the cell got as far as `path`: what is absent from a whole cell did not happen."""
    return seen is not None or absent(cell, path) == ABSENT


def _expectations(pair: Pair) -> list[VerdictChange]:
    before, after = _by_path(pair.base.expectations), _by_path(pair.patched.expectations)
    changes = []
    for path in sorted(before.keys() & after.keys()):
        was, now = before[path].status, after[path].status
        if was is now or was in UNKNOWN or now in UNKNOWN:
            continue
        changes.append(
            VerdictChange(
                path=path,
                base=was.value,
                patched=now.value,
                kind=ChangeKind.IMPROVED if now is Status.PASS else ChangeKind.REGRESSED,
                about="expectation",
                machine=pair.patched.machine.name,
                suite=pair.patched.suite.name,
            )
        )
    return changes


def _by_path(observations: Iterable[Observation]) -> dict[str, Observation]:
    return {item.path: item for item in observations}


def _about(path: str) -> str:
    top = path.partition(".")[0]
    return top if top in ("audit", "witness") else "probe"
