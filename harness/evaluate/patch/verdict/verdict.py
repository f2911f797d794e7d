# SPDX-License-Identifier: GPL-2.0-only
"""From the records of two kernels to the changes between them, each with its kind. Pure.

word.py decides what a kind is and what all of them come to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from harness.evaluate.patch.verdict.census import region_changes
from harness.evaluate.patch.verdict.logdiff import Complaint
from harness.evaluate.patch.verdict.reach import (
    FAULTS,
    GUEST,
    Course,
    came_as_far,
    described,
    ending,
    last_words,
    reach_of,
    reached,
    seen_in,
)
from harness.evaluate.patch.verdict.word import (
    ChangeKind,
    Fact,
    LogLine,
    Outcome,
    RegionLeaves,
    Stage,
    Verdict,
)
from harness.results.compare import ABSENT, NOT_REACHED, Pair, every_change, follows
from harness.results.failure_kinds import FailureKind
from harness.results.records import Cell, Observation, Status
from harness.suites.census import CENSUS

NOT_THERE = "not there"  # the word of the log that lacks a complaint
REACHED = "reached"  # `SUITE.reached`: how far a run came


class VerdictChange(BaseModel):
    """One thing that differs.

    `about` is probe, audit, census, witness, expectation, figure, ending, log or build.

    `follows` is the path of a change that this one comes of, and `repeats` whether that one tells
    it: an improvement or regression that does not repeat another one is counted and has its line.
    `detail` has what is particular: the statistics of a figure, the trace of a report, `judged`
    false where the other kernel would not have told of it.
    """

    model_config = ConfigDict(extra="forbid")

    path: str
    base: str
    patched: str
    kind: ChangeKind
    about: str
    machine: str = ""
    suite: str = ""
    follows: str = ""
    repeats: bool = False
    detail: dict[str, Any] = Field(default_factory=dict)


STATUS = {
    Verdict.IMPROVED: Status.PASS,
    Verdict.UNCHANGED: Status.PASS,
    Verdict.REGRESSED: Status.FAIL,
    Verdict.MIXED: Status.FAIL,
    Verdict.NOT_EXERCISED: Status.MISS,
    Verdict.UNDECIDED: Status.MISS,
}


def observed(pair: Pair) -> list[VerdictChange]:
    """Return how results, expectations and the ends of two cells differ."""
    differences, _ = every_change(pair)
    changed = {change.path for change in differences}
    suite = pair.patched.suite.name
    base, patched = Course.of(pair.base), Course.of(pair.patched)
    cases = {f"{suite}.{case.name}" for case in pair.base.cases}
    changes = []
    for change in differences:
        was, now = base.outcomes.get(change.path), patched.outcomes.get(change.path)
        detail = {"reason": now.detail["reason"]} if now and "reason" in now.detail else {}
        sides = (("base", was), ("patched", now))
        flaky = {side: o.detail["flaky"] for side, o in sides if o and "flaky" in o.detail}
        fact = Outcome(
            base.seen(patched, change.path),
            patched.seen(base, change.path),
            # A case that is gone was not mended: the patch has taken it out, or it did not run.
            mendable=change.path not in cases,
        )
        changes.append(
            _change(
                pair,
                change.path,
                _words_at(pair.base, pair.patched, change.path, change.before),
                _words_at(pair.patched, pair.base, change.path, change.after),
                fact,
                _about(change.path),
                follows=follows(change.path, changed, suite),
                detail={**detail, **({"flaky": flaky} if flaky else {})},
            )
        )
    changes += _regions(pair, changes)
    changes += _expectations(pair)
    return changes + _ending(pair, changes)


def unknown(pair: Pair) -> list[str]:
    """Return why the two cells cannot be told apart, a line each; none when they can."""
    reasons = []
    for side, cell in (("base", pair.base), ("patched", pair.patched)):
        broken = [o for o in cell.outcomes() if o.status in FAULTS]
        where = f"{side} on {cell.machine.name}, {cell.suite.name}"
        if not cell.outcomes() or cell.status is Status.SKIP:
            why = cell.failure.summary if cell.failure else "nothing was observed"
            reasons.append(f"{where}: {why}")
        elif broken:
            reason = broken[0].detail.get("reason", broken[0].value)
            reasons.append(f"{where}: {broken[0].path} is {broken[0].status.value}: {reason}")
        elif cell.status in FAULTS:
            reasons.append(
                f"{where}: {cell.failure.summary if cell.failure else cell.status.value}"
            )
    return reasons


def logged(
    pair: Pair, fresh: Sequence[Complaint], gone: Sequence[Complaint]
) -> list[VerdictChange]:
    """Return new and vanished complaints of the kernels' logs as changes."""
    changes = []
    for complaint, new in [*((c, True) for c in fresh), *((c, False) for c in gone)]:
        if not complaint.kind and not new:
            continue
        said, other = (pair.patched, pair.base) if new else (pair.base, pair.patched)
        fact = LogLine(
            new=new,
            failure=bool(complaint.kind),
            reached=_reached(complaint, said, other, new=new),
            timing=complaint.kind is not None and complaint.kind.by_chance,
            judged=complaint.judged,
        )
        sides = (NOT_THERE, complaint.line) if new else (complaint.line, NOT_THERE)
        changes.append(
            _change(
                pair,
                f"log.{complaint.where}.{complaint.kind or 'line'}",
                *sides,
                fact,
                "log",
                follows=_cause_of(complaint, said, fresh if new else gone),
                detail={
                    **({"trace": list(complaint.trace)} if len(complaint.trace) > 1 else {}),
                    **({} if complaint.judged else {"judged": False}),
                },
            )
        )
    return changes


def settled(changes: Sequence[VerdictChange]) -> list[VerdictChange]:
    """Return the changes of a pair of cells, those that only repeat another one marked.

    A promise that was kept or broken only repeats one of its own kind: the types that an audit
    read are no promise, its verdict is one.
    """
    by_path = {change.path: change for change in reversed(changes)}

    def repeats(change: VerdictChange) -> bool:
        if not change.follows:
            return False
        # A guest that ends in another way than before may have its end told as how far it came.
        parents = map(by_path.get, (change.follows, f"{change.suite}.{REACHED}"))
        kinds = {one.kind for one in parents if one is not None and one is not change}
        return change.kind in kinds or (change.kind is ChangeKind.CHANGED and bool(kinds))

    return [change.model_copy(update={"repeats": repeats(change)}) for change in changes]


def _change(
    pair: Pair,
    path: str,
    base: str,
    patched: str,
    fact: Fact,
    about: str,
    *,
    follows: str = "",
    detail: dict[str, Any] | None = None,
) -> VerdictChange:
    return VerdictChange(
        path=path,
        base=base,
        patched=patched,
        kind=fact.kind,
        about=about,
        machine=pair.patched.machine.name,
        suite=pair.patched.suite.name,
        follows=follows,
        detail=detail or {},
    )


def _words_at(cell: Cell, other: Cell, path: str, words: str) -> str:
    """Return the words of a change; where a guest's end is told, with how far each run came."""
    if path != f"{cell.suite.name}.{GUEST}":
        return words
    if words not in (ABSENT, NOT_REACHED):
        return f"{words} {described(cell)}"
    return described(cell).removeprefix("after ") if reached(cell, other, path) else words


def _ending(pair: Pair, changes: Sequence[VerdictChange]) -> list[VerdictChange]:
    """Return that one run came less far, unless the end of its guest is a change of that kind."""
    fact = ending(pair.base, pair.patched)
    if fact.kind is ChangeKind.CHANGED:
        return []
    ends = last_words(pair.patched if fact.short == "patched" else pair.base)
    suite = pair.patched.suite.name
    paths = {f"{suite}.{GUEST}", *(item.path for item in ends)}
    if any(change.path in paths and change.kind is fact.kind for change in changes):
        return []
    path = f"{suite}.{REACHED}"
    detail = {"reason": ends[-1].detail["reason"]} if ends and "reason" in ends[-1].detail else {}
    was, now = (f"ended {described(cell)}" for cell in (pair.base, pair.patched))
    return [_change(pair, path, was, now, fact, "ending", detail=detail)]


def _cause_of(complaint: Complaint, said: Cell, alike: Sequence[Complaint]) -> str:
    """Return the path of the change that a complaint follows from; "" when it says something new.

    It is the reason of a result, or the panic after the trouble that led to it.
    """
    result = _reason_with(complaint, said)
    if result is not None:
        return result.path
    if complaint.kind != FailureKind.PANIC:
        return ""
    before = [c for c in alike[: alike.index(complaint)] if c.kind and c.where == complaint.where]
    return f"log.{complaint.where}.{before[-1].kind}" if before else ""


def _reason_with(complaint: Complaint, cell: Cell) -> Observation | None:
    """Return the result whose reason is the complaint."""
    return next(
        (o for o in cell.outcomes() if complaint.line in str(o.detail.get("reason", ""))), None
    )


def _reached(complaint: Complaint, said: Cell, other: Cell, *, new: bool) -> bool:
    """Tell whether the run of `other` came to the place where that of `said` complained.

    The place is a test where the complaint is its reason. Of any other one a log tells only whose
    it is: a new complaint may have been anywhere, one that is gone may have been at the end.
    """
    result = _reason_with(complaint, said)
    if result is not None:
        return reached(other, said, result.path)
    if new:
        return reach_of(other).stage >= (Stage.GUEST if complaint.where == "L2" else Stage.HOST)
    return came_as_far(other, said)


def _expectations(pair: Pair) -> list[VerdictChange]:
    before, after = _by_path(pair.base.expectations), _by_path(pair.patched.expectations)
    changes = []
    for path in sorted(before.keys() & after.keys()):
        was, now = before[path].status, after[path].status
        if was is now or was in FAULTS or now in FAULTS:
            continue
        fact = Outcome(seen_in(before[path]), seen_in(after[path]))
        changes.append(_change(pair, path, was.value, now.value, fact, "expectation"))
    return changes


def _regions(pair: Pair, changes: Sequence[VerdictChange]) -> list[VerdictChange]:
    """Return the regions of stage 2 that differ; an audit may have told of one already."""
    told = {change.path: (change.base, change.patched) for change in changes}
    return [
        _change(
            pair,
            region.path,
            region.base,
            region.patched,
            RegionLeaves(),
            CENSUS,
            follows=region.told_by(told),
        )
        for region in region_changes(pair)
    ]


def _by_path(observations: Iterable[Observation]) -> dict[str, Observation]:
    return {item.path: item for item in observations}


def _about(path: str) -> str:
    top = path.partition(".")[0]
    return top if top in ("audit", "witness", CENSUS) else "probe"
