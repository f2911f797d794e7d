# SPDX-License-Identifier: GPL-2.0-only
"""Causes of a guest's end: the failure classes of failures.toml, found in logs. Pure.

The same table serves the wait on a live console (`Watch`) and the post-mortem (`console`, `vmm`,
`qmp`). The first cause wins: the oops, not the panic that follows.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from harness.base.text import clean
from harness.results.failure_kinds import FailureKind
from harness.results.records import Failure

TABLE = Path(__file__).with_name("failures.toml")
BEFORE = 3  # lines of an excerpt before the one that shows the failure
EXCERPT = 40  # lines of an excerpt

Source = Literal["kernel", "qemu"]
Effect = Literal["ends", "hurts", "remark"]


@dataclass(frozen=True)
class FailureClass:
    """A row of failures.toml, where the fields are explained."""

    kind: FailureKind
    source: Source
    pattern: re.Pattern[str]
    effect: Effect
    silences: tuple[FailureKind, ...] = ()


@cache
def _rows(table: str = "failure") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = tomllib.loads(TABLE.read_text(encoding="utf-8"))[table]
    return rows


@cache
def classes(source: Source) -> tuple[FailureClass, ...]:
    """Return the failure classes of `source`, the narrower ones first."""
    return tuple(
        FailureClass(
            FailureKind(row["kind"]),
            source,
            re.compile(row["pattern"]),
            cast("Effect", row["effect"]),
            tuple(map(FailureKind, row.get("silences", ()))),
        )
        for row in _rows()
        if row["source"] == source
    )


@cache
def _any(source: Source) -> re.Pattern[str]:
    """Return one expression for all classes: most lines match none."""
    return re.compile("|".join(f"(?:{c.pattern.pattern})" for c in classes(source)))


def class_of(line: str, source: Source = "kernel") -> FailureClass | None:
    """Return the class of one line, None when the line shows no failure."""
    if not _any(source).search(line):
        return None
    return next((c for c in classes(source) if c.pattern.search(line)), None)


@cache
def _silences() -> tuple[tuple[re.Pattern[str], tuple[FailureKind, ...]], ...]:
    return tuple(
        (re.compile(row["pattern"]), tuple(map(FailureKind, row["kinds"])))
        for row in _rows("silence")
    )


def silenced_by(line: str) -> tuple[FailureKind, ...]:
    """Return the kinds that a kernel that has printed `line` tells nothing more of."""
    failure_class = class_of(line)
    if failure_class:
        return failure_class.silences
    return next((kinds for pattern, kinds in _silences() if pattern.search(line)), ())


class Watch:
    """Reads a live log line by line; `first` is the first failure that hurts or ends a guest."""

    def __init__(self, source: Source = "kernel") -> None:
        self._source: Source = source
        self.first: FailureClass | None = None

    def line(self, line: str) -> FailureClass | None:
        """Return the class of this line if its effect is to hurt or end the guest, else None."""
        failure_class = class_of(line, self._source)
        if failure_class is None or failure_class.effect == "remark":
            return None
        self.first = self.first or failure_class
        return failure_class


def _first(
    lines: Sequence[str], source: Source, effects: set[str]
) -> tuple[int, FailureKind] | None:
    """Return index and kind of the first line with one of `effects`, None without such a line."""
    for index, line in enumerate(lines):
        failure_class = class_of(line, source)
        if failure_class and failure_class.effect in effects:
            return index, failure_class.kind
    return None


_STAMP = re.compile(r"^\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?")
_PC = re.compile(r"\bpc : ([\w.$]+\+0x\w+/0x\w+(?: \[\w+\])?)")


def _summary(lines: Sequence[str], at: int) -> str:
    """Return the line at index `at` without its time stamp, with the pc that follows if any."""
    text = _STAMP.sub("", clean(lines[at]))
    for line in lines[at + 1 : at + EXCERPT]:
        pc = _PC.search(line)
        if pc:
            return f"{text} (pc {pc[1]})"
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
    """Return the first cause in a console log, a mere remark only without any other; else None.

    `where` is whose console it is ("L1", "L2"), `log` the file's name in the cell's folder.
    """
    lines = list(lines)
    first = _first(lines, "kernel", {"ends", "hurts"}) or _first(lines, "kernel", {"remark"})
    return _failure(first[1], lines, first[0], where, log) if first else None


def vmm(
    lines: Iterable[str],
    returncode: int | None,
    where: str = "VMM",
    log: str = "",
    *,
    source: Source = "qemu",
    name: str = "QEMU",
) -> Failure | None:
    """Return the failure that output and exit code of the VMM `name` show, None without one.

    `returncode` is None while the VMM runs, and negative for a signal, as subprocess has it. A
    VMM that runs, or ended with 0, failed only when KVM refused to run its guest. `source` names
    the VMM's rows of the table.
    """
    lines = list(lines)
    first = _first(lines, source, {"ends"})
    if first is None and not returncode:
        return None
    first = first or _first(lines, source, {"remark"})
    if first:
        return _failure(first[1], lines, first[0], where, log)
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


def qmp(events: Iterable[Mapping[str, object]], where: str = "VMM") -> Failure | None:
    """Return the first failure in QMP events (QEMU's qapi/run-state.json), None without one.

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
    """Return the failure of a log without output for `seconds`; `lines` came before."""
    last = next((clean(line) for line in reversed(lines) if line.strip()), "")
    after = f"the last line was: {_STAMP.sub('', last)}" if last else "it never said a word"
    excerpt = [clean(line) for line in lines[-EXCERPT:]]
    summary = f"no output for {seconds:.0f} s; {after}"
    return Failure(kind=FailureKind.SILENCE, summary=summary, excerpt=excerpt, where=where, log=log)


def deadline(
    seconds: float, what: str, lines: Sequence[str] = (), where: str = "", log: str = ""
) -> Failure:
    """Return the failure of `what` (e.g. "the suite wcprobe") that took more than `seconds`."""
    excerpt = [clean(line) for line in lines[-EXCERPT:]]
    summary = f"{what} was not done after {seconds:.0f} s"
    return Failure(
        kind=FailureKind.DEADLINE, summary=summary, excerpt=excerpt, where=where, log=log
    )


def first_cause(*failures: Failure | None) -> Failure | None:
    """Return the cause among the failures of several logs, given from outermost to innermost.

    An L1 that panics takes its L2 along, and KVM's message says more than QEMU's. A symptom
    (silence, deadline, reset, VMM exit) or a remark never hides a cause. Return None without any.
    """
    present = [f for f in failures if f is not None]
    causes = [f for f in present if not f.kind.symptom]
    symptoms = [f for f in present if not f.kind.remark]
    return next(iter(causes or symptoms or present), None)
