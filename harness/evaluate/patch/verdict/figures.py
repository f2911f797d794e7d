# SPDX-License-Identifier: GPL-2.0-only
"""Figures of two cells: how they lie against each other, and whether that may be said at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.evaluate.patch.verdict.verdict import Change, Kind
from harness.results.compare import Pair
from harness.results.figures import figure
from harness.results.records import Observation, Status
from harness.results.stats import CONFIDENCE, SMALL_EFFECT, Shift, shift

BOOTS = 3  # samples of one boot have that boot in common: fewer decide nothing
# Units of which more is better; of all others (times, ticks, counts) less is.
RATES = ("/s", "Hz")


def not_comparable(pair: Pair) -> str:
    """Why figures of the two cells must not be compared; "" when they may be."""
    base, patched = pair.base, pair.patched
    here, there = base.machine, patched.machine
    for what in ("accel", "cpu", "smp", "memory_mib", "topology", "name"):
        before, after = getattr(here, what), getattr(there, what)
        if before != after:
            return f"different machines: {what} {before} and {after}"
    if here.qemu != there.qemu:
        return f"different QEMUs: {here.qemu or 'unknown'} and {there.qemu or 'unknown'}"
    if base.fidelity != patched.fidelity:
        ours, theirs = base.fidelity.model_dump(), patched.fidelity.model_dump()
        odd = [k for k in sorted(ours.keys() | theirs.keys()) if ours.get(k) != theirs.get(k)]
        return f"different fidelity: {', '.join(odd)}"
    if base.suite.source_hash != patched.suite.source_hash:
        return f"different sources of the suite {base.suite.name}"
    return ""


def compared(pair: Pair, *, always: bool = False) -> list[dict[str, Any]]:
    """One record a figure that both cells measured; nothing where `not_comparable` says why.

    Figures that are not representative (an emulator's) are left out unless `always`: they cost
    time and decide nothing.
    """
    if not_comparable(pair):
        return []
    found = [
        (was, now)
        for was, now in _both(pair)
        if always or (_representative(was) and _representative(now))
    ]
    return [_record(pair, was, now, len(found)) for was, now in found]


def changes(records: list[dict[str, Any]]) -> list[Change]:
    """The figures that differ as changes."""
    return [
        Change(
            path=one["path"],
            base=_words(one["base"], one["unit"]),
            patched=_words(one["patched"], one["unit"]),
            kind=Kind(one["kind"]),
            about="figure",
            machine=one["machine"],
            suite=one["suite"],
            detail={key: one[key] for key in ("ratio", "p", "effect")},
        )
        for one in records
        if one["differs"]
    ]


def _record(pair: Pair, was: Observation, now: Observation, count: int) -> dict[str, Any]:
    found = shift(was.samples, now.samples)
    representative = _representative(was) and _representative(now)
    # Many figures are looked at: each has to be that much less likely to be chance (Bonferroni).
    differs = found.p * count < 1 - CONFIDENCE and abs(found.effect) >= SMALL_EFFECT
    decides = representative and min(pair.base.repeats, pair.patched.repeats) >= BOOTS
    return {
        "path": was.path,
        "machine": pair.patched.machine.name,
        "suite": pair.patched.suite.name,
        "unit": was.unit,
        "base": _summary(found, "base"),
        "patched": _summary(found, "patched"),
        "ratio": None if found.ratio != found.ratio else found.ratio,
        "p": found.p,
        "effect": found.effect,
        "representative": representative,
        "differs": differs and representative,
        "kind": (_direction(found, was.unit or "") if differs and decides else Kind.CHANGED).value,
    }


def _direction(found: Shift, unit: str) -> Kind:
    better = found.effect > 0 if unit.endswith(RATES) else found.effect < 0
    return Kind.IMPROVED if better else Kind.REGRESSED


def _summary(found: Shift, side: str) -> dict[str, float]:
    one = getattr(found, side)
    return {"median": one.median, "low": one.low, "high": one.high, "count": one.count}


def _words(one: dict[str, float], unit: str | None) -> str:
    interval = f"{figure(one['low'], None)}..{figure(one['high'], None)}"
    return f"{figure(one['median'], unit)} ({interval})"


def _both(pair: Pair) -> Iterator[tuple[Observation, Observation]]:
    after = {item.path: item for item in pair.patched.observations}
    for was in pair.base.observations:
        now = after.get(was.path)
        if now is None or not was.unit or was.unit != now.unit:
            continue
        if was.samples and now.samples and {was.status, now.status} == {Status.DONE}:
            yield was, now


def _representative(item: Observation) -> bool:
    return item.detail.get("representative", True) is True
