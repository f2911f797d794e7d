# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel complained of that the other one did not. Pure.

Times, addresses and numbers differ from boot to boot and say nothing: lines are compared without.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.base.text import clean
from harness.suites.failures.classify import class_of

# The kernel's logs of a cell, by whose they are.
LOGS = {"L1": ("console.log",), "L2": ("l2.kmsg.log", "l2.console.log")}
TRACE = 60  # lines of a complaint, from its first
# They come of a busy machine as well: that one is gone proves nothing.
TIMING = {"soft-lockup", "hard-lockup", "rcu-stall", "hung-task"}

_STAMP = re.compile(r"^(?:<\d+>)?(?:\[ *\d+\.\d+\])?(?:\[ *[TC]\d+\])? ?")
_ADDRESS = re.compile(r"\b0x[0-9a-f]+\b|\b(?=[0-9a-f]*\d)[0-9a-f]{8,16}\b|\+0x[0-9a-f]+", re.I)
_NUMBER = re.compile(r"\d+")
_COMPLAINT = re.compile(r"\b(warn(ing)?|error|fail(ed|ure)?|bug|unable|invalid|timed out)\b", re.I)
_END = re.compile(r"---\[ end (trace|Kernel panic)")


@dataclass(frozen=True)
class Complaint:
    """A failure class with its trace, or (`kind` "") a line that sounds like trouble."""

    where: str
    kind: str
    line: str
    trace: tuple[str, ...] = ()


def plain(line: str) -> str:
    """Return a line of a kernel's log without what differs from boot to boot."""
    return _NUMBER.sub("N", _ADDRESS.sub("X", stripped(line)))


def stripped(line: str) -> str:
    """Return a line without its level and time stamp."""
    return _STAMP.sub("", clean(line))


def complaints(where: str, lines: Sequence[str]) -> list[Complaint]:
    """Return what a log complains of, in its order; lines of a trace belong to its first one."""
    found: list[Complaint] = []
    until = -1
    for number, line in enumerate(lines):
        if number <= until:
            continue
        failure = class_of(line)
        if failure:
            trace = _trace(lines[number : number + TRACE])
            until = number + len(trace) - 1
            found.append(Complaint(where, failure.kind, stripped(line), tuple(trace)))
        elif _COMPLAINT.search(stripped(line)):
            found.append(Complaint(where, "", stripped(line)))
    return found


def news(base: Iterable[Complaint], patched: Iterable[Complaint]) -> list[Complaint]:
    """Return the complaints of `patched` that `base` has none like, each once."""
    known = {(c.where, c.kind, plain(c.line)) for c in base}
    fresh: dict[tuple[str, str, str], Complaint] = {}
    for complaint in patched:
        key = (complaint.where, complaint.kind, plain(complaint.line))
        if key not in known:
            fresh.setdefault(key, complaint)
    return list(fresh.values())


def _trace(lines: Sequence[str]) -> list[str]:
    """The lines that belong to the first one: up to the end that the kernel marks, or none."""
    for number, line in enumerate(lines):
        if _END.search(line):
            return [stripped(line) for line in lines[: number + 1]]
    calls = [n for n, line in enumerate(lines) if re.search(r"\b[\w.]+\+0x[0-9a-f]+/0x", line)]
    return [stripped(line) for line in lines[: (calls[-1] if calls else 0) + 1]]
