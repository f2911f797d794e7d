# SPDX-License-Identifier: GPL-2.0-only
"""The word on a change of kernel, from typed facts: the only place that decides it. Pure.

A promise is what a test, an audit, an expectation or a clean log keeps. A fact is one thing that
two kernels' records say of a promise, with how far each of them came; its `kind` says whether the
promise was broken, was kept that was not before, or neither. docs/patch.md has a table of pairs of
records and their words, which a test plays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol


class Verdict(StrEnum):
    """What a patch did, all in all."""

    IMPROVED = "improved"
    REGRESSED = "regressed"
    MIXED = "mixed"
    UNCHANGED = "unchanged"
    NOT_EXERCISED = "not-exercised"
    UNDECIDED = "undecided"


class ChangeKind(StrEnum):
    """What a single change is."""

    IMPROVED = "improved"
    REGRESSED = "regressed"
    CHANGED = "changed"


class Stage(IntEnum):
    """How far a cell came: the last stage that it entered."""

    NOTHING = 0  # no kernel was started
    HOST = 1  # the kernel under test boots
    GUEST = 2  # it is up, and its VMM was started
    SUITE = 3  # the suite reported a test
    END = 4  # the suite came to its end


class Seen(StrEnum):
    """What a kernel's record has of one promise."""

    GOOD = "good"
    BAD = "bad"  # in one boot at least
    SKIPPED = "skipped"
    UNKNOWN = "unknown"  # a fault of the test or of the harness: nobody can tell
    ABSENT = "absent"  # the run came there, and nothing was seen
    NOT_REACHED = "not reached"  # the run did not come there: proves nothing


class Cause(StrEnum):
    """Why a run ended before its suite did."""

    NONE = "none"  # it did not
    KERNEL = "kernel"  # a panic, a killed VM, a VMM refused twice, a hang that has its place
    UNKNOWN = "unknown"  # the machine, the harness, or nobody can tell


class Fact(Protocol):
    """A fact of two records."""

    @property
    def kind(self) -> ChangeKind:
        """Return what this fact says of the change of kernel."""


@dataclass(frozen=True)
class Outcome:
    """What both kernels' records have of one test, case, audit, witness or expectation.

    `mendable`: what was bad and is absent now was mended; a test that is gone was not.
    """

    base: Seen
    patched: Seen
    mendable: bool = True

    @property
    def kind(self) -> ChangeKind:
        """Return IMPROVED or REGRESSED when both runs came there and only one is bad."""
        if self.patched is Seen.BAD and self.base in (Seen.GOOD, Seen.SKIPPED, Seen.ABSENT):
            return ChangeKind.REGRESSED
        if self.base is Seen.BAD and self.patched is Seen.GOOD:
            return ChangeKind.IMPROVED
        if self.base is Seen.BAD and self.patched is Seen.ABSENT and self.mendable:
            return ChangeKind.IMPROVED
        return ChangeKind.CHANGED


@dataclass(frozen=True)
class Ending:
    """How far both runs came, where one of them ended before the place that the other reached.

    `short` is the one that did (None: both came as far), `cause` why it ended.
    """

    short: str | None  # "base", "patched"
    cause: Cause

    @property
    def kind(self) -> ChangeKind:
        """Return REGRESSED for a patched kernel that by its own fault came less far."""
        if self.short is None or self.cause is not Cause.KERNEL:
            return ChangeKind.CHANGED
        return ChangeKind.REGRESSED if self.short == "patched" else ChangeKind.IMPROVED


@dataclass(frozen=True)
class LogLine:
    """A complaint that only one kernel's log has: `new` in the patched one's, otherwise gone.

    `failure`: it is of a class of failures.toml, not a line that only sounds like trouble.
    `reached`: the other kernel's run came to the place where it was said. `timing`: a busy machine
    says that as well, so that its absence proves nothing. `judged`: the other kernel could have
    said it; not so where it reports a kind once and has done so already.
    """

    new: bool
    failure: bool
    reached: bool
    timing: bool = False
    judged: bool = True

    @property
    def kind(self) -> ChangeKind:
        """Return REGRESSED for a new failure, IMPROVED for one that is gone."""
        if not (self.failure and self.reached and self.judged):
            return ChangeKind.CHANGED
        if self.new:
            return ChangeKind.REGRESSED
        return ChangeKind.CHANGED if self.timing else ChangeKind.IMPROVED


@dataclass(frozen=True)
class Figure:
    """A figure of both kernels; `differs` as results/stats.py tests it, `better` its direction."""

    differs: bool
    better: bool

    @property
    def kind(self) -> ChangeKind:
        """Return the direction of a figure that differs."""
        if not self.differs:
            return ChangeKind.CHANGED
        return ChangeKind.IMPROVED if self.better else ChangeKind.REGRESSED


@dataclass(frozen=True)
class RegionLeaves:
    """The leaves of one region of stage 2 that differ; whether they may is the rules' to say."""

    @property
    def kind(self) -> ChangeKind:
        """Return CHANGED: a rule that leaves break or keep is an Outcome."""
        return ChangeKind.CHANGED


@dataclass(frozen=True)
class CompilerWarning:
    """A new warning of the compiler in a line that the series adds."""

    @property
    def kind(self) -> ChangeKind:
        """Return REGRESSED."""
        return ChangeKind.REGRESSED


@dataclass(frozen=True)
class Lines:
    """How many of the lines that a series adds ran, have code that never ran, are not built.

    `booted`: the patched kernel ran; not so where its Image is the base's.
    """

    ran: int
    never: int = 0
    not_built: int = 0
    booted: bool = True

    @property
    def exercised(self) -> bool:
        """Return whether a kernel that behaves as before says anything of the lines.

        Lines without code (comments, declarations) have nothing to run. An Image that is the same
        with lines that have code in it behaves the same, bit for bit.
        """
        if self.ran or not (self.never or self.not_built):
            return True
        return not self.booted and bool(self.never)

    @property
    def sentence(self) -> str:
        """Return why the lines were not exercised."""
        if not self.never:
            return "no line that the series adds is built"
        return "no line that the series adds ran"


class Change(Protocol):
    """A fact in a document. `repeats`: it follows from another one, which is told instead."""

    @property
    def kind(self) -> ChangeKind:
        """Return the kind of the fact."""

    @property
    def repeats(self) -> bool:
        """Return whether the fact follows from another change."""


@dataclass(frozen=True)
class Tally:
    """The word, and how many things are better and worse: each is a change that has its line."""

    word: Verdict
    better: int
    worse: int

    @property
    def sentence(self) -> str:
        """Return what the word rests on, for a word that rests on counted things; otherwise ""."""
        match self.word:
            case Verdict.IMPROVED:
                return f"{_things(self.better)} better, nothing worse"
            case Verdict.REGRESSED:
                return f"{_things(self.worse)} worse, nothing better"
            case Verdict.MIXED:
                return f"{_things(self.better)} better, {_things(self.worse)} worse"
        return ""


def counts(change: Change) -> bool:
    """Tell whether a change is one of the things that the headline counts."""
    return change.kind is not ChangeKind.CHANGED and not change.repeats


def tally(
    changes: Iterable[Change], open_questions: Sequence[str], lines: Lines | None = None
) -> Tally:
    """Return the word on all `changes`; with open questions it is never a good one.

    `lines` are those that the series adds; None where nobody knows which of them ran.
    """
    kinds = [change.kind for change in changes if counts(change)]
    better, worse = kinds.count(ChangeKind.IMPROVED), kinds.count(ChangeKind.REGRESSED)
    if worse:
        word = Verdict.MIXED if better else Verdict.REGRESSED
    elif open_questions:
        word = Verdict.UNDECIDED
    elif better:
        word = Verdict.IMPROVED
    else:
        told = lines is None or lines.exercised
        word = Verdict.UNCHANGED if told else Verdict.NOT_EXERCISED
    return Tally(word, better, worse)


def _things(count: int) -> str:
    return f"{count} thing" if count == 1 else f"{count} things"
