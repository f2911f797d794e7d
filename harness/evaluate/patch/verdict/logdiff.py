# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel complained of that the other one did not. Pure.

Times, addresses and numbers differ from boot to boot and say nothing: complaints are compared
without.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.results.failure_kinds import FailureKind
from harness.suites.failures.splats import plain, silenced, splats

# The kernel's logs of a cell, by whose they are.
LOGS = {"L1": ("console.log",), "L2": ("l2.kmsg.log", "l2.console.log")}

LAST_WORDS = (FailureKind.PANIC, FailureKind.SERROR, FailureKind.UNHANDLED_EXCEPTION)
_COMPLAINT = re.compile(r"\b(warn(ing)?|error|fail(ed|ure)?|bug|unable|invalid|timed out)\b", re.I)


@dataclass(frozen=True)
class Complaint:
    """A splat with its lines, or (`kind` None) a line that sounds like trouble.

    `judged` is False where the other kernel would not have told of it: it reports this kind once
    and has done so already, or the check had given up.
    """

    where: str
    kind: FailureKind | None
    line: str
    trace: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    judged: bool = True


@dataclass(frozen=True)
class KernelLog:
    """What one kernel's log has: complaints, and the kinds it tells nothing more of, with why."""

    complaints: Sequence[Complaint] = ()
    silenced: Mapping[FailureKind, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LogDifference:
    """What only one of two kernels complained of.

    `unjudged` says, a line each, of which kinds neither kernel tells enough to be judged.
    """

    fresh: list[Complaint] = field(default_factory=list)
    gone: list[Complaint] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)


def kernel_log(where: str, files: Iterable[Sequence[str]]) -> KernelLog:
    """Return what the logs of `where` ("L1", "L2") say; each of `files` has the lines of one."""
    found: list[Complaint] = []
    silent: dict[FailureKind, str] = {}
    for lines in files:
        found += complaints(where, lines)
        silent = {**silenced(lines), **silent}
    return KernelLog(found, silent)


def complaints(where: str, lines: Sequence[str]) -> list[Complaint]:
    """Return what a log complains of, in its order.

    What a kernel that has panicked finds wrong with itself on its way out is left out, and so is
    what other detectors tell of a CPU or a task that the first one has found.
    """
    found: list[Complaint] = []
    kinds: list[FailureKind] = []
    for one in splats(lines):
        if isinstance(one, str):
            if _COMPLAINT.search(one):
                found.append(Complaint(where, None, one, key=("", plain(one))))
        elif not _follows(one.kind, kinds):
            found.append(Complaint(where, one.kind, one.line, one.lines, one.key))
            kinds.append(one.kind)
    return found


def _follows(kind: FailureKind, before: Sequence[FailureKind]) -> bool:
    """Return whether a splat only follows from one of those before it."""
    if kind.remark:
        return any(one in LAST_WORDS for one in before)
    return kind.lockup and any(one.lockup and one is not kind for one in before)


def log_difference(base: KernelLog, patched: KernelLog) -> LogDifference:
    """Return what only one of the logs has, judged by what the other kernel could have told."""
    return LogDifference(
        [_judged(c, base) for c in news(base.complaints, patched.complaints)],
        [_judged(c, patched) for c in news(patched.complaints, base.complaints)],
        _unjudged(base, patched),
    )


def _judged(complaint: Complaint, other: KernelLog) -> Complaint:
    return replace(complaint, judged=complaint.kind not in other.silenced)


def _unjudged(base: KernelLog, patched: KernelLog) -> list[str]:
    """A kernel that told to its end and had nothing to tell is judged, whatever the other did."""
    by_reason: dict[str, list[FailureKind]] = {}
    for kind in sorted(base.silenced.keys() & patched.silenced.keys()):
        by_reason.setdefault(base.silenced[kind], []).append(kind)
    return [
        f"{' and '.join(kinds)} not judged: the base tells nothing more of it after: {reason}"
        for reason, kinds in by_reason.items()
    ]


def news(base: Iterable[Complaint], patched: Iterable[Complaint]) -> list[Complaint]:
    """Return the complaints of `patched` that `base` has none like, each once."""
    known = {(c.where, c.key) for c in base}
    fresh: dict[tuple[str, tuple[str, ...]], Complaint] = {}
    for complaint in patched:
        key = (complaint.where, complaint.key)
        if key not in known:
            fresh.setdefault(key, complaint)
    return list(fresh.values())
