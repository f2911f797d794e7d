# SPDX-License-Identifier: GPL-2.0-only
"""All leaves of stage 2, folded into ranges.

Source: Arm ARM DDI 0487 K.a, D8.2 "Translation process" and D8.3 "Translation table descriptor
formats". Tables are read first, whole, and decoded afterwards: only the reading needs a machine
that stands still. Nothing here raises, whatever the tables hold.
"""

from __future__ import annotations

import functools
import itertools
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from harness.arm.bits import mask
from harness.arm.memtype import decode_memattr
from harness.arm.regs import Regs
from harness.arm.tables.descriptor import (
    Layout,
    Stage2Leaf,
    TableDescriptor,
    decode_stage2,
    size_label,
)
from harness.arm.tables.params import Fault, Params, stage2_params
from harness.arm.tables.permissions import stage2_access

ReadMemory = Callable[[int, int], bytes | None]
"""Reads so many bytes at a physical address; None where there is no memory."""

# Tables that lead back to themselves end there.
MOST_TABLES = 65536
MOST_LEAVES = 1 << 22


@dataclass(frozen=True)
class StageTables:
    """The tables below VTTBR_EL2 as they were read: their bytes by level and physical address.

    `unread` are the addresses at which there was no memory; `cut` that there were more tables than
    MOST_TABLES. `problem` is why stage 2 cannot be walked at all, "" when it can.
    """

    regs: Regs
    params: Params | None
    tables: Mapping[tuple[int, int], bytes] = field(default_factory=dict)
    unread: tuple[int, ...] = ()
    cut: bool = False
    problem: str = ""

    @property
    def why_not_whole(self) -> str | None:
        """Return in one line why leaves may be missing; None when all are there."""
        if self.problem:
            return self.problem
        if self.unread:
            places = ", ".join(map(hex, self.unread[:4]))
            return f"no memory where {len(self.unread)} of the tables should be ({places})"
        return f"more than {MOST_TABLES} tables" if self.cut else None


@dataclass(frozen=True)
class MappedRange:
    """Leaves that follow each other in both address spaces and are alike in all else.

    `ipa`, `pa` and `size` are in bytes, `block` is the size of each leaf. `type` is stage 2's
    memory type, `rights` EL1's at stage 2 (`rwx`, `?` with indirect permissions).
    """

    ipa: int
    pa: int
    size: int
    block: int
    type: str
    rights: str
    shareability: str
    contiguous: bool
    af: bool

    @property
    def leaves(self) -> int:
        """Return the number of leaves."""
        return self.size // self.block

    def describe(self) -> str:
        """Return the range in words, e.g. `1024 x 4K Device-nGnRE rw-`."""
        words = [f"{self.leaves} x {size_label(self.block)} {self.type} {self.rights}"]
        words += ["contiguous"] if self.contiguous else []
        words += [] if self.af else ["AF=0"]
        return ", ".join(words)


def read_stage2(read: ReadMemory, regs: Regs) -> StageTables:
    """Return all tables of stage 2, read with `read`. Pseudocode AArch64.S2Walk."""
    params = stage2_params(regs, 0)
    if isinstance(params, Fault):
        return StageTables(regs, None, problem=params.describe())
    whole = 8 << params.layout.granule.stride
    found: dict[tuple[int, int], bytes] = {}
    unread: dict[int, None] = {}
    wanted = [(params.start_level, params.base, 8 << params.index_bits)]
    while wanted and len(found) < MOST_TABLES:
        level, address, size = wanted.pop()
        if (level, address) in found:
            continue
        data = read(address, size)
        if data is None or len(data) != size:
            unread[address] = None
            continue
        found[level, address] = data
        if level < 3:  # level 3 has no tables
            below = _tables_in(data, level, params)
            wanted += [(level + 1, table, whole) for table in below]
    return StageTables(regs, params, found, tuple(unread), cut=bool(wanted))


def _tables_in(data: bytes, level: int, params: Params) -> Iterator[int]:
    for raw in _words(data, params):
        if raw & 0b11 == 0b11:
            entry = decode_stage2(raw, level, params.layout)
            if isinstance(entry, TableDescriptor):
                yield entry.address


def ranges(read: StageTables) -> list[MappedRange]:
    """Return all leaves of `read` (MOST_LEAVES at most) in the order of their IPAs, folded."""
    return list(fold(itertools.islice(leaves(read), MOST_LEAVES)))


def leaves(read: StageTables) -> Iterator[MappedRange]:
    """Yield each leaf as a range, in the order of IPAs."""
    if read.params is not None:
        yield from _below(read, read.params, read.params.start_level, read.params.base, 0)


def _below(
    read: StageTables, params: Params, level: int, table: int, begin: int
) -> Iterator[MappedRange]:
    data = read.tables.get((level, table))
    if data is None:
        return
    shift = params.layout.level_shift(level)
    fwb = read.regs.flag("hcr_el2", "FWB")
    for index, raw in enumerate(_words(data, params)):
        if not raw & 1:
            continue
        kind = _kind(raw & ~_address_bits(params.layout), level, params.layout, fwb, read.regs.xnx)
        if isinstance(kind, MappedRange):
            entry = decode_stage2(raw, level, params.layout)
            if isinstance(entry, Stage2Leaf):
                yield replace(kind, ipa=begin + (index << shift), pa=entry.address)
        elif kind:
            entry = decode_stage2(raw, level, params.layout)
            if isinstance(entry, TableDescriptor):
                yield from _below(read, params, level + 1, entry.address, begin + (index << shift))


@functools.lru_cache(maxsize=4096)
def _kind(attributes: int, level: int, layout: Layout, fwb: bool, xnx: bool) -> MappedRange | bool:
    """Return the leaf of a descriptor without its address; True for a table, False for neither.

    Of half a million leaves there are few kinds.
    """
    entry = decode_stage2(attributes, level, layout)
    if isinstance(entry, TableDescriptor):
        return True
    if not isinstance(entry, Stage2Leaf):
        return False
    rights = "?"
    if entry.pi_index is None:
        rights = stage2_access(entry.s2ap, entry.xn, xnx=xnx)[0].label
    return MappedRange(
        ipa=0,
        pa=0,
        size=entry.size,
        block=entry.size,
        type=decode_memattr(entry.memattr, fwb=fwb).name,
        rights=rights,
        shareability=entry.sh.label,
        contiguous=entry.contiguous,
        af=entry.af,
    )


def fold(found: Iterable[MappedRange]) -> Iterator[MappedRange]:
    """Yield ranges of which each is what follows each other in `found` and is alike."""
    last: MappedRange | None = None
    for one in found:
        if last is not None and _continues(last, one):
            last = replace(last, size=last.size + one.size)
            continue
        if last is not None:
            yield last
        last = one
    if last is not None:
        yield last


def _continues(last: MappedRange, one: MappedRange) -> bool:
    end = replace(last, ipa=last.ipa + last.size, pa=last.pa + last.size, size=one.size)
    return end == one


def _address_bits(layout: Layout) -> int:
    """Bits that hold nothing but an address, for every level."""
    if layout.lpa2:
        return mask(50) & ~mask(layout.granule.shift) | 0b11 << 8
    high = mask(48) & ~mask(max(layout.granule.shift, 17))  # bit 16 of a block is nT
    return high | 0xF << 12 if layout.wide else high


def _words(data: bytes, params: Params) -> tuple[int, ...]:
    order = ">" if params.big_endian else "<"
    return struct.unpack(f"{order}{len(data) // 8}Q", data)
