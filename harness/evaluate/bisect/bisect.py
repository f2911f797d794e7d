# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval bisect`: the first commit that no longer meets a check.

Every answer is kept as it is found, in cache/bisect/ID/answers.jsonl: killed and started again,
a bisection goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from harness.base.errors import UsageError
from harness.base.paths import cache_dir
from harness.evaluate.bisect.commits import History
from harness.evaluate.bisect.confidence import BAD, GOOD, confidence
from harness.evaluate.bisect.git_bisect import GitBisect
from harness.evaluate.events import Listener, Note
from harness.evaluate.patch.verdict.check import CheckResult

SKIP = "skip"
MOST = 5  # boots of a commit whose check flickers; more than one dissenter: skip


@dataclass(frozen=True)
class Tried:
    """What was found out about a commit. `dissent` of the `boots` said otherwise."""

    commit: str
    answer: str
    why: str
    boots: int = 1
    subject: str = ""
    dissent: int = 0


@dataclass
class Result:
    """`found` is the first bad commit; "" with the candidates in `left`.

    `confidence` is the chance (0 to 1) that it is the one; None when none was found. Of the
    commits that were looked at, in `boots` boots, `flickered` had boots that disagreed.
    """

    check: str
    good: str
    bad: str
    found: str = ""
    left: list[str] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)
    resumed: int = 0  # answers of an earlier run
    confidence: float | None = None
    boots: int = 0
    flickered: int = 0


class Answers:
    """The answers so far, a line each; one that was cut off by a kill is not there."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "answers.jsonl"
        self.known: dict[str, Tried] = {}
        for line in self.path.read_text().splitlines() if self.path.is_file() else ():
            try:
                one = Tried(**json.loads(line))
            except (ValueError, TypeError):
                continue
            self.known[one.commit] = one

    def add(self, one: Tried) -> None:
        """Keep an answer, on disk before this returns."""
        self.known[one.commit] = one
        with self.path.open("a") as file:
            # On a line of its own, whatever a kill has left of the one before.
            file.write(f"\n{json.dumps(asdict(one))}\n")
            file.flush()
            os.fsync(file.fileno())


class Boots(Protocol):
    """Boots kernels of commits and asks the check."""

    def __call__(self, commit: str) -> CheckResult:
        """Boot once and look."""

    def ahead(self, commits: Sequence[str]) -> None:
        """Get ready for all of `commits`, which are asked for next."""


def bisect(
    history: History, check: str, shape: str, boots: Boots, listener: Listener, *, repeat: int
) -> Result:
    """Find the first commit at which `check` is not met.

    `shape` is all that shapes the answers, beside the two ends: with another one, none of the
    answers of before is known. UsageError when the ends are not what they are said to be, or when
    the same bisection is going on already.
    """
    whole = "\n".join([str(history.repository), history.good, history.bad, check, shape])
    folder = cache_dir("bisect", hashlib.sha256(whole.encode()).hexdigest()[:16])
    try:
        with FileLock(folder / "lock", timeout=0):
            return _locked(history, check, boots, listener, folder, repeat)
    except Timeout:
        raise UsageError(f"this bisection is going on already ({folder})") from None


def _locked(
    history: History, check: str, boots: Boots, listener: Listener, folder: Path, repeat: int
) -> Result:
    answers = Answers(folder)
    result = Result(check, history.good, history.bad, resumed=len(answers.known))

    def tried(commit: str) -> Tried:
        known = answers.known.get(commit)
        if known is None:
            known = _look(commit, history.subject(commit), boots, repeat)
            answers.add(known)
        listener(Note(f"{known.answer} {commit[:12]} {known.subject}: {known.why}"))
        result.tried.append(known)
        return known

    boots.ahead([end for end in (history.bad, history.good) if end not in answers.known])
    _ends(history, tried)
    git = GitBisect(folder / "git", history)
    while not git.over:
        commit = git.asks
        git.answer(commit, tried(commit).answer)
    result.found, result.left = git.found, git.left
    _weigh(result)
    return result


def _weigh(result: Result) -> None:
    """Say how much the answers are worth."""
    every = list({one.commit: one for one in result.tried}.values())
    result.boots = sum(one.boots for one in every)
    result.flickered = sum(one.dissent > 0 for one in every)
    if result.found:
        result.confidence = round(confidence(every), 4)


def _ends(history: History, tried: Callable[[str], Tried]) -> None:
    """Both ends have to be what the user takes them for: all that follows rests on it."""
    last, first = tried(history.bad), tried(history.good)
    if first.answer == last.answer:
        said = {GOOD: "meet the check", BAD: "do not meet the check", SKIP: "cannot be judged"}
        raise UsageError(f"--good and --bad both {said[first.answer]}: {first.why}; {last.why}")
    for name, one, wanted in (("--good", first, GOOD), ("--bad", last, BAD)):
        if one.answer == SKIP:
            raise UsageError(f"{name} {one.commit[:12]} cannot be judged: {one.why}")
        if one.answer != wanted:
            raise UsageError(f"{name} {one.commit[:12]} is {one.answer}: turn the two, or use !=")


def _look(commit: str, subject: str, boots: Boots, repeat: int) -> Tried:
    """Boot until `repeat` boots agree, or, where they do not, until all but one of MOST do."""
    seen: list[CheckResult] = []
    most = max(MOST, repeat)
    while len(seen) < most:
        seen.append(boots(commit))
        counts = Counter(answer.met for answer in seen)
        if seen[-1].met is None:  # does not build or boot: another boot would not change it
            return Tried(commit, SKIP, seen[-1].why, len(seen), subject)
        if len(counts) == 1 and len(seen) >= repeat:
            break
    (met, times), *others = counts.most_common()
    why = next(answer.why for answer in seen if answer.met == met)
    if others:
        why = f"{why} ({times} of {len(seen)} boots)"
    dissent = len(seen) - times
    answer = SKIP if dissent > 1 else GOOD if met else BAD
    return Tried(commit, answer, why, len(seen), subject, dissent)
