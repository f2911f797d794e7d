# SPDX-License-Identifier: GPL-2.0-only
"""Why a guest ended: the failure classes of failures.toml, found in logs.

Pure: lines in, a Failure out. The same table serves the wait on a live console (`Watch`) and the
post-mortem (`console`, `vmm`, `qmp`). The first cause wins: the oops, not the panic that follows.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from harness.base.text import clean
from harness.results.failure_kinds import FailureKind
from harness.results.records import Failure

TABLE = Path(__file__).with_name("failures.toml")
BEFORE = 3  # lines of an excerpt before the one that shows the failure
EXCERPT = 40  # lines of an excerpt

Source = Literal["kernel", "qemu"]


@dataclass(frozen=True)
class FailureClass:
    """One row of failures.toml, where the words are explained."""

    kind: FailureKind
    source: Source
    pattern: re.Pattern[str]
    effect: Literal["ends", "hurts", "remark"]


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


@cache
def classes(source: Source) -> tuple[FailureClass, ...]:
    """The failure classes of `source`, the narrower ones first."""
    return tuple(
        FailureClass(
            FailureKind(row["kind"]), row["source"], re.compile(row["pattern"]), row["effect"]
        )
        for row in _table()["failure"]
        if row["source"] == source
    )


@cache
def _any(source: Source) -> re.Pattern[str]:
    """One expression for a whole log: most lines are nobody's failure."""
    return re.compile("|".join(f"(?:{c.pattern.pattern})" for c in classes(source)))


def class_of(line: str, source: Source = "kernel") -> FailureClass | None:
    """The class of one line, None when it tells of no failure."""
    if not _any(source).search(line):
        return None
    return next((c for c in classes(source) if c.pattern.search(line)), None)


class Watch:
    """Reads a live log line by line; `first` is the first failure that hurts or ends a guest."""

    def __init__(self, source: Source = "kernel") -> None:
        self._source: Source = source
        self.first: FailureClass | None = None

    def line(self, line: str) -> FailureClass | None:
        """The class of this line, if it is one that hurts or ends the guest."""
        found = class_of(line, self._source)
        if found is None or found.effect == "remark":
            return None
        self.first = self.first or found
        return found


def _first(
    lines: Sequence[str], source: Source, effects: set[str]
) -> tuple[int, FailureKind] | None:
    """Index and kind of the first line with one of `effects`."""
    for index, line in enumerate(lines):
        found = class_of(line, source)
        if found and found.effect in effects:
            return index, found.kind
    return None


_STAMP = re.compile(r"^\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?")
_PC = re.compile(r"\bpc : ([\w.$]+\+0x\w+/0x\w+(?: \[\w+\])?)")


def _summary(lines: Sequence[str], at: int) -> str:
    """The line itself without its time stamp, with the place in the kernel where it says so."""
    text = _STAMP.sub("", clean(lines[at]))
    for line in lines[at + 1 : at + EXCERPT]:
        place = _PC.search(line)
        if place:
            return f"{text} (pc {place[1]})"
    return text


def _excerpt(lines: Sequence[str], at: int) -> list[str]:
    start = max(0, at - BEFORE)
    return [clean(line) for line in lines[start : start + EXCERPT]]


def _failure(kind: FailureKind, lines: Sequence[str], at: int, where: str, log: str) -> Failure:
    return Failure(
        kind=kind,
        summary=_summary(lines, at),
        excerpt=_excerpt(lines, at),
        where=where,
        log=log,
    )


def console(lines: Iterable[str], where: str = "", log: str = "") -> Failure | None:
    """What a console log tells: the first cause; a mere WARN only when there is nothing else.

    `where` is whose console it is ("L1", "L2"), `log` the file's name in the cell's folder.
    """
    lines = list(lines)
    found = _first(lines, "kernel", {"ends", "hurts"}) or _first(lines, "kernel", {"remark"})
    return _failure(found[1], lines, found[0], where, log) if found else None


def vmm(
    lines: Iterable[str],
    returncode: int | None,
    where: str = "VMM",
    log: str = "",
    *,
    source: Source = "qemu",
    name: str = "QEMU",
) -> Failure | None:
    """Return what the standard error and the exit code of the VMM `name` tell.

    `returncode` is None while it runs, and negative for a signal, as subprocess has it. A VMM
    that runs, or left with 0, failed only when KVM refused to run its guest. `source` names the
    VMM's rows of the table.
    """
    lines = list(lines)
    found = _first(lines, source, {"ends"})
    if found is None and not returncode:
        return None
    found = found or _first(lines, source, {"remark"})
    if found:
        return _failure(found[1], lines, found[0], where, log)
    how = f"signal {-returncode}" if returncode and returncode < 0 else f"exit code {returncode}"
    excerpt = [clean(line) for line in lines[-EXCERPT:]]
    last = next((f": {clean(line)}" for line in reversed(lines) if line.strip()), "")
    return Failure(
        kind=FailureKind.VMM_EXIT,
        summary=f"{name} ended with {how}{last}",
        excerpt=excerpt,
        where=where,
        log=log,
    )


def qmp(events: Iterable[Mapping[str, Any]], where: str = "VMM") -> Failure | None:
    """What QMP events tell (QEMU's qapi/run-state.json), in the order in which they came.

    A `query-status` answer may stand among them: its `internal-error` is KVM's.
    """
    for event in events:
        answer = event.get("return")
        status = answer.get("status") if isinstance(answer, Mapping) else None
        data = event.get("data") or {}
        reason = data.get("reason") if isinstance(data, Mapping) else None
        name = event.get("event")
        kind: FailureKind | None = None
        summary = ""
        if status == "internal-error":
            kind, summary = FailureKind.KVM_ERROR, "KVM could not run the guest: the VM is paused"
        elif name == "GUEST_PANICKED" or reason == "guest-panic":
            kind, summary = FailureKind.PANIC, "the guest told its VMM that it panicked"
        elif name in ("RESET", "SHUTDOWN") and reason == "guest-reset":
            kind, summary = FailureKind.RESET, "the guest reset itself"
        elif name == "SHUTDOWN" and reason == "host-error":
            kind, summary = FailureKind.VMM_EXIT, "QEMU gave up after an error of its own"
        if kind:
            return Failure(kind=kind, summary=summary, excerpt=[clean(str(event))], where=where)
    return None


def silence(seconds: float, lines: Sequence[str], where: str = "", log: str = "") -> Failure:
    """Nothing came for `seconds`; `lines` is what had come until then."""
    last = next((clean(line) for line in reversed(lines) if line.strip()), "")
    after = f"the last line was: {_STAMP.sub('', last)}" if last else "it never said a word"
    excerpt = [clean(line) for line in lines[-EXCERPT:]]
    summary = f"no output for {seconds:.0f} s; {after}"
    return Failure(kind=FailureKind.SILENCE, summary=summary, excerpt=excerpt, where=where, log=log)


def deadline(
    seconds: float, what: str, lines: Sequence[str] = (), where: str = "", log: str = ""
) -> Failure:
    """`what` (e.g. "the suite wcprobe") took longer than the `seconds` it had."""
    excerpt = [clean(line) for line in lines[-EXCERPT:]]
    summary = f"{what} was not done after {seconds:.0f} s"
    return Failure(
        kind=FailureKind.DEADLINE, summary=summary, excerpt=excerpt, where=where, log=log
    )


def first_cause(*failures: Failure | None) -> Failure | None:
    """The cause among what several logs tell; pass them from the outermost to the innermost.

    An L1 that panics takes its L2 along, and KVM's word says more than QEMU's; what only tells
    that something stopped (silence, deadline, reset, VMM exit) or a WARN never hides a cause.
    """
    there = [f for f in failures if f is not None]
    causes = [f for f in there if not f.kind.symptom]
    symptoms = [f for f in there if f.kind is not FailureKind.WARN]
    return next(iter(causes or symptoms or there), None)
