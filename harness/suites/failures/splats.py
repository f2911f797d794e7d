# SPDX-License-Identifier: GPL-2.0-only
"""Splats: the reports of a kernel's log that a failure class begins, with all their lines. Pure.

Two of them are told the same although addresses, numbers, CPUs, tasks and times differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.base.text import clean
from harness.results.failure_kinds import FailureKind
from harness.suites.failures.classify import class_of, silenced_by

LONGEST = 200  # lines of a splat; lockdep's have the traces of all locks of a chain
TAIL = 8  # lines that may stand between a call trace and the end that the kernel marks

_STAMP = re.compile(r"^(?:<\d+>)?(?:\[ *\d+\.\d+\])?(?:\[ *[TC]\d+\])? ?")
_ADDRESS = re.compile(r"\b0x[0-9a-f]+\b|\b(?=[0-9a-f]*\d)[0-9a-f]{8,16}\b|\+0x[0-9a-f]+", re.I)
_FOLDER = re.compile(r"(?<![\w./])/(?:[^\s/:]+/)+")  # absolute: where a module was compiled
_NUMBER = re.compile(r"\d+")
_WORKER = re.compile(r"\bkworker/\S+")

_END = re.compile(r"---\[ end (trace|Kernel panic)")
_CUT = "------------[ cut here ]"
_SIGNS = re.compile(r"={20,}$")
_TRACE = re.compile(r"\b(Call trace|backtrace( \(crc \w+\))?):$")
_FRAME = re.compile(r"^(?:kmemleak: )?\s+(?:\[<\S+>\] )?([A-Za-z_][\w.$]*)\+0x[0-9a-f]+/0x")
_ANY_FRAME = re.compile(r"\b[\w.$]+\+0x[0-9a-f]+/0x")
_LOCK = re.compile(r"\((.+)\)\{[^}]*\}(-\{\d+:\d+\})?")
_CHAIN = "the existing dependency chain"
_LEAK = "kmemleak: "

# These reports stand between two lines of "=====".
ENCLOSED = (FailureKind.KASAN, FailureKind.KCSAN, FailureKind.KFENCE, FailureKind.UBSAN)
# The first line of these names no place in the kernel: what they say in each is the same.
PLACELESS = (
    FailureKind.ATOMIC_SLEEP,
    FailureKind.KASAN,  # of a double free: kfree()
    FailureKind.KMEMLEAK,
    FailureKind.LIST_CORRUPTION,
    FailureKind.LOCKDEP,
    FailureKind.RCU_USAGE,
    FailureKind.REFCOUNT,
    FailureKind.SLAB_CORRUPTION,
    FailureKind.UBSAN,
)
_HELPER = re.compile(
    r"dump_\w+|show_stack|print_\w+|report_\w+|_*(ubsan|kasan|kcsan|asan|tsan)_\w+|k?mem_?leak_\w+"
    r"|kfence_\w+|kmem_cache_\w+|_*k[vmz]*alloc\w*|_*kmem\w+|slab_\w+|_*slab_\w+|_*alloc_\w+"
    r"|kfree|_*(raw_)?(spin_|read_|write_)?(un)?lock\w*|lockdep_\w+|check_\w+|mark_\w+|_*might_\w+|refcount_\w+|_*list_\w+"
    r"|_*handle_\w+_out_of_\w+|object_err|free_to_partial_list|rcu_lockdep\w*"
)


@dataclass(frozen=True)
class Splat:
    """A report: its class, the line that shows it, all its lines, and what `key` it is known by.

    Lines are without level and time stamp.
    """

    kind: FailureKind
    line: str
    lines: tuple[str, ...]
    key: tuple[str, ...]


def stripped(line: str) -> str:
    """Return a line of a kernel's log without its level and time stamp."""
    return _STAMP.sub("", clean(line))


def plain(line: str) -> str:
    """Return a line of a kernel's log without what differs from boot to boot."""
    line = _FOLDER.sub("", _WORKER.sub("kworker", stripped(line)))
    return _NUMBER.sub("N", _ADDRESS.sub("X", line))


def is_helper(function: str) -> bool:
    """Return whether a function of a trace only reports, allocates or locks for its caller."""
    return _HELPER.fullmatch(function.partition(".")[0]) is not None


def splats(lines: Sequence[str]) -> list[Splat | str]:
    """Return a log as its splats, in their order, and the lines that belong to none."""
    found: list[Splat | str] = []
    texts = [stripped(line) for line in lines]
    number = 0
    while number < len(texts):
        failure = class_of(texts[number])
        if failure is None:
            found.append(texts[number])
            number += 1
            continue
        opened = number > 0 and bool(_SIGNS.match(texts[number - 1]))
        length = _length(failure.kind, texts[number : number + LONGEST], opened=opened)
        block = tuple(texts[number : number + length])
        # Whoever asks for the page that is not there says nothing of where the others went.
        first = "" if failure.kind is FailureKind.OOM else plain(block[0])
        key = (failure.kind.value, first, _place(failure.kind, block))
        found.append(Splat(failure.kind, block[0], block, key))
        number += length
    return found


def silenced(lines: Iterable[str]) -> dict[FailureKind, str]:
    """Return the kinds that a kernel tells nothing more of, each with the line after which."""
    found: dict[FailureKind, str] = {}
    for line in lines:
        for kind in silenced_by(line):
            found.setdefault(kind, stripped(line))
    return found


def _length(kind: FailureKind, lines: Sequence[str], *, opened: bool) -> int:
    """Return how many of `lines` belong to the first one; `opened`: "=====" stands before it."""
    if kind in ENCLOSED and opened:
        for number, line in enumerate(lines):
            if _SIGNS.match(line):
                return number + 1
    if kind is FailureKind.KMEMLEAK:
        return _leak(lines)
    last, traced = 0, False
    for number, line in enumerate(lines):
        if _END.search(line):
            return number + 1
        if number and (line.startswith(_CUT) or _SIGNS.match(line)):
            break
        if traced and number > last and (number > last + TAIL or class_of(line)):
            break
        begins = bool(_TRACE.search(line))
        traced = traced or begins
        if begins or (_FRAME.match(line) if traced else _ANY_FRAME.search(line)):
            last = number
    return last + 1


def _leak(lines: Sequence[str]) -> int:
    """One object that nobody refers to; the count of them stands below the last."""
    for number, line in enumerate(lines[1:], 1):
        if not line.startswith(_LEAK) or "unreferenced object" in line:
            return number
    return len(lines)


def _place(kind: FailureKind, lines: Sequence[str]) -> str:
    """Return the locks or the function that a report is about where its first line has none."""
    if kind not in PLACELESS:
        return ""
    head = list(lines)
    if kind is FailureKind.LOCKDEP:
        end = next((n for n, line in enumerate(lines) if line.startswith(_CHAIN)), len(lines))
        locks = {match[1] for line in lines[:end] if (match := _LOCK.search(line))}
        if locks:
            return " ".join(sorted(locks))
    traces = [n for n, line in enumerate(lines) if _TRACE.search(line)]
    head = list(lines[traces[-1] if kind is FailureKind.LOCKDEP else traces[0] :]) if traces else []
    functions = [match[1].partition(".")[0] for line in head if (match := _FRAME.match(line))]
    return next((name for name in functions if not is_helper(name)), "")
