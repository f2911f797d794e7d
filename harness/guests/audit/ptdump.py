# SPDX-License-Identifier: GPL-2.0-only
"""KVM's own dump of a guest's stage 2, compared with the leaves that were read from outside. Pure.

Kernels from 6.12 on have it, with CONFIG_PTDUMP_STAGE2_DEBUGFS: debugfs, kvm/PID-FD/
stage2_page_tables (arch/arm64/kvm/ptdump.c). A line is a range of leaves of one level that are
alike; it has no PA and no memory type. A line without attributes has no leaves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.arm.tables.census import MappedRange
from harness.arm.tables.descriptor import Granule, size_label
from harness.base.text import clean

_LINE = re.compile(
    r"0x(?P<begin>[0-9a-f]+)-0x(?P<end>[0-9a-f]+)\s+\d+[KMGTPE]?\s+(?P<level>-?\d)(?P<rest>.*)"
)
_HEADING = "---["
_RIGHTS = re.compile(
    r" [ F] (?P<r>[R ]) (?P<w>[W ]) (?P<xn>px ux|PXNux|PXNUXN|px UXN)\s?(?P<af>.*)"
)


@dataclass(frozen=True)
class DumpedLeaves:
    """Leaves that follow each other, as both sides tell them. `block` is a leaf's size in bytes."""

    begin: int
    end: int
    block: int
    rights: str  # EL1's, as MappedRange has them
    af: bool

    def describe(self) -> str:
        """Return the leaves in words."""
        af = "" if self.af else " AF=0"
        return f"{self.begin:#x}-{self.end:#x} {size_label(self.block)} {self.rights}{af}"


def parse(text: str, granule: Granule) -> list[DumpedLeaves]:
    """Return the leaves of a dump of tables with `granule`.

    Raise ValueError, with the line, for one that is none of a dump.
    """
    found = []
    for line in text.splitlines():
        if line.startswith(_HEADING) or not line.strip():
            continue
        match = _LINE.fullmatch(line.rstrip())
        attributes = _RIGHTS.match(match["rest"]) if match and match["rest"].strip() else None
        if match is None or (match["rest"].strip() and attributes is None):
            raise ValueError(f"not a line of a dump: {clean(line)}")
        if attributes is None:
            continue
        shift = granule.shift + (3 - int(match["level"])) * granule.stride
        x = "x" if attributes["xn"].startswith("px") else ""
        rights = (attributes["r"], attributes["w"], x)
        found.append(
            DumpedLeaves(
                begin=int(match["begin"], 16),
                end=int(match["end"], 16),
                block=1 << shift,
                rights="".join(one.strip().lower() or "-" for one in rights),
                af="AF" in attributes["af"].split(),
            )
        )
    return list(_merged(found))


def difference(dump: str, found: Iterable[MappedRange], granule: Granule) -> str:
    """Return the first leaves that a dump and what was read do not have in common; "" for none.

    Raise ValueError for a text that is no dump.
    """
    theirs = parse(dump, granule)
    ours = list(_merged(_leaves(found)))
    for one, other in _pairs(theirs, ours):
        if one != other:
            there, here = (leaves.describe() if leaves else "none" for leaves in (one, other))
            return f"KVM's dump has {there}, the tables have {here}"
    return ""


def _leaves(found: Iterable[MappedRange]) -> Iterator[DumpedLeaves]:
    for one in found:
        yield DumpedLeaves(one.ipa, one.ipa + one.size, one.block, one.rights, one.af)


def _merged(found: Iterable[DumpedLeaves]) -> Iterator[DumpedLeaves]:
    """Yield leaves of which each is all that follows each other and is alike."""
    last: DumpedLeaves | None = None
    for one in found:
        alike = last and replace(one, begin=last.begin) == replace(last, end=one.end)
        if last and alike and last.end == one.begin:
            last = replace(last, end=one.end)
            continue
        if last:
            yield last
        last = one
    if last:
        yield last


def _pairs(
    theirs: Sequence[DumpedLeaves], ours: Sequence[DumpedLeaves]
) -> Iterator[tuple[DumpedLeaves | None, DumpedLeaves | None]]:
    for number in range(max(len(theirs), len(ours))):
        yield (
            theirs[number] if number < len(theirs) else None,
            ours[number] if number < len(ours) else None,
        )
