# SPDX-License-Identifier: GPL-2.0-only
"""Figures of two cells are compared: page and verdict share this one comparison. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.results.compare import Pair
from harness.results.records import Observation, Status
from harness.results.repeats import boots_of
from harness.results.stats import Shift, independent, shift


@dataclass(frozen=True)
class FigureShift:
    """A figure that both cells of a pair measured, and how its samples differ."""

    base: Observation
    patched: Observation
    shift: Shift

    @property
    def representative(self) -> bool:
        """Tell whether both figures say something about hardware; an emulator's timings do not."""
        return representative(self.base) and representative(self.patched)


def representative(item: Observation) -> bool:
    """Tell whether a figure says anything about hardware; an emulator's timings do not."""
    return item.detail.get("representative") is not False


def not_comparable(pair: Pair) -> str:
    """Return why figures of the two cells must not be compared; "" when they may be."""
    base, patched = pair.base, pair.patched
    old, new = base.machine, patched.machine
    for name in ("accel", "cpu", "smp", "memory_mib", "topology", "name"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            return f"different machines: {name} {before} and {after}"
    if old.qemu != new.qemu:
        return f"different QEMUs: {old.qemu or 'unknown'} and {new.qemu or 'unknown'}"
    if base.fidelity != patched.fidelity:
        before, after = base.fidelity.model_dump(), patched.fidelity.model_dump()
        keys = sorted(before.keys() | after.keys())
        differing = [key for key in keys if before.get(key) != after.get(key)]
        return f"different fidelity: {', '.join(differing)}"
    if base.suite.source_hash != patched.suite.source_hash:
        return f"different sources of the suite {base.suite.name}"
    return ""


def figure_shifts(pair: Pair, *, always: bool = False) -> list[FigureShift]:
    """Return a shift for every figure that both cells measured; none if not_comparable() objects.

    Figures that are not representative (an emulator's) are left out unless `always`: they cost
    time and decide nothing. Samples of one boot are not independent: the boot counts once, with
    their median. The more figures are compared, the less likely each has to be by chance.
    """
    if not_comparable(pair):
        return []
    both = [
        (was, now)
        for was, now in _both(pair)
        if always or (representative(was) and representative(now))
    ]
    return [
        FigureShift(
            was,
            now,
            shift(
                independent(boots_of(was, pair.base.repeats)),
                independent(boots_of(now, pair.patched.repeats)),
                len(both),
            ),
        )
        for was, now in both
    ]


def _both(pair: Pair) -> Iterator[tuple[Observation, Observation]]:
    after = {item.path: item for item in pair.patched.observations}
    for was in pair.base.observations:
        now = after.get(was.path)
        if now is None or not was.unit or was.unit != now.unit:
            continue
        if was.samples and now.samples and {was.status, now.status} == {Status.DONE}:
            yield was, now
