# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval clean`: lists runs and caches, chooses what is to be removed, and removes it."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.app import housekeeping
from harness.app.housekeeping import DAY, RESULTS, DiskItem, RemovalRules, counted, size
from harness.base.errors import UsageError

HOUR = 3600.0
UNITS = {"h": HOUR, "d": DAY, "w": 7 * DAY}


@dataclass(frozen=True)
class KindTotals:
    """The things of one kind: how many, bytes on disk, times since 1970 in seconds."""

    name: str
    place: Path
    count: int
    size: int
    oldest: float
    newest: float


@dataclass(frozen=True)
class CleanPlan:
    """What there is, what of it is to go, and the runs whose logs are to be compressed."""

    kinds: list[KindTotals]
    doomed: list[DiskItem]
    packed: list[DiskItem]


def seconds(text: str) -> float:
    """Return `30d`, `12h` or `2w` in seconds. Raise UsageError for anything else."""
    match = re.fullmatch(r"(\d+)([hdw])", text)
    if not match:
        raise UsageError(f"--older-than {text}: give hours, days or weeks: 12h, 30d, 2w")
    return int(match[1]) * UNITS[match[2]]


def survey(wanted: RemovalRules, *, compress: bool) -> CleanPlan:
    """Return what there is and what of it is to be removed. Nothing is touched."""
    now = time.time()
    items = housekeeping.measure([*housekeeping.runs(), *housekeeping.cached()])
    doomed = housekeeping.select(items, wanted, now)
    stay = [item for item in items if item.kind == RESULTS and item not in doomed]
    old = wanted.older_than or 0.0
    packed = [run for run in stay[:-1] if now - run.used > old] if compress else []
    kinds = dict.fromkeys(item.kind for item in items)
    return CleanPlan([_kind(kind, items) for kind in kinds], doomed, packed)


def _kind(name: str, items: Sequence[DiskItem]) -> KindTotals:
    mine = [item for item in items if item.kind == name]
    used = [item.used for item in mine]
    folder = mine[0].path.parent
    return KindTotals(name, folder, len(mine), sum(i.size for i in mine), min(used), max(used))


def document(plan: CleanPlan, done: Sequence[str]) -> dict[str, Any]:
    """Return what `--json` prints: sizes in bytes, times in seconds since 1970."""

    def row(item: DiskItem) -> dict[str, Any]:
        named = {"kind": item.kind, "path": str(item.path), "what": item.what}
        return {**named, "size": item.size, "used": item.used}

    kinds = [{**vars(kind), "place": str(kind.place)} for kind in plan.kinds]
    return {
        "kinds": kinds,
        "selected": [row(item) for item in plan.doomed],
        "compress": [str(item.path) for item in plan.packed],
        "done": list(done),
    }


def overview(plan: CleanPlan) -> Iterator[str]:
    """Yield a line for each kind of things there are, with their sizes and ages."""
    now = time.time()
    yield f"{'':12} {'count':>6} {'size':>10}  last used"
    for kind in plan.kinds:
        span = f"{_ago(now - kind.newest)} .. {_ago(now - kind.oldest)} ago"
        yield f"{kind.name:12} {kind.count:6} {size(kind.size):>10}  {span:24} {kind.place}"
    whole = sum(kind.size for kind in plan.kinds)
    yield f"{'':12} {'':6} {size(whole):>10}"


def intended(plan: CleanPlan) -> Iterator[str]:
    """Yield a line for each thing that is to be removed."""
    now = time.time()
    for item in plan.doomed:
        name = f"{item.kind}/{item.path.name} {item.what}".rstrip()
        yield f"  {size(item.size):>10}  {_ago(now - item.used):>6} ago  {name}"
    if plan.doomed:
        count = len(plan.doomed)
        yield f"to be removed: {count} of these, {size(sum(i.size for i in plan.doomed))}"
    if plan.packed:
        yield f"to be compressed: the logs of {counted(len(plan.packed), 'run')}"
    if not plan.doomed and not plan.packed:
        yield "nothing is that old or that many"


def agreed(ask: Callable[[str], bool], *, yes: bool) -> bool:
    """Return whether the user agrees. Raise UsageError where nobody can be asked."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("nothing was removed: add --yes (or --dry-run, to see what would be)")
    return ask("Remove these?")


def carry_out(plan: CleanPlan) -> list[str]:
    """Remove and compress what the plan says; return what was done and what was not, in lines."""
    lines: list[str] = []
    gone, left = housekeeping.remove(plan.doomed, lines.append)
    if gone:
        lines.append(f"removed {len(gone)}, {size(sum(item.size for item in gone))}")
    reasons: dict[str, list[str]] = {}
    for item in left:
        reasons.setdefault(item.why, []).append(item.path.name)
    lines += [f"{_some(names)} stays: {why}" for why, names in reasons.items()]
    count, saved = housekeeping.compress(plan.packed)
    if count:
        lines.append(f"compressed {counted(count, 'log')}, {size(saved)} saved")
    if swept := housekeeping.sweep():
        lines.append(f"removed {counted(swept, 'temporary folder')} of guests that were killed")
    return lines


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _ago(passed: float) -> str:
    if passed < HOUR:
        return f"{max(0.0, passed) // 60:.0f} min"
    return f"{passed / HOUR:.0f} h" if passed < 2 * DAY else f"{passed / DAY:.0f} d"
