# SPDX-License-Identifier: GPL-2.0-only
"""All leaves of stage 2, against tables that table_builder.py made of random leaves."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.arm.tables import census
from harness.arm.tables.census import MappedRange, fold, leaves, ranges, read_stage2
from harness.arm.tables.walk import walk_stage2
from tests.unit.arm.arm_tables import BLOCKS
from tests.unit.arm.table_builder import Memory, Space
from tests.unit.arm.tables.walk_cases import Case, Wanted, block_bits, build, stage2_leaf

# S2AP[1:0] and XN[1:0] as EL1's rights, with FEAT_XNX.
RIGHTS = {0b00: "--", 0b01: "r-", 0b10: "-w", 0b11: "rw"}
EXECUTES = {0b00: "x", 0b01: "-", 0b10: "-", 0b11: "x"}
# MemAttr by HCR_EL2.FWB: Arm ARM D8.6.5 and D8.6.6.
TYPES = {
    False: {0x1: "Device-nGnRE", 0x5: "Normal-NC", 0xF: "Normal-WB"},
    True: {0x1: "Device-nGnRE", 0x5: "Normal-NC", 0x6: "Normal-WB"},
}


@dataclass(frozen=True)
class Mapped:
    """A leaf that was entered into the tables."""

    ipa: int
    pa: int
    size: int
    type: str
    rights: str
    contiguous: bool
    af: bool


def filled(want: Wanted) -> tuple[Case, list[Mapped]]:
    """Return tables with many random leaves, some of them behind each other, and the leaves."""
    case = build(want)
    tables = case.tables2
    assert tables
    case.memory.words.clear()
    tables.tables.clear()
    rng = case.rng
    space = Space(rng, tables.input_bits)
    levels = [3, *(lv for lv in BLOCKS[want.granule2][tables.wide] if lv >= tables.start_level)]
    found: list[Mapped] = []
    for _ in range(rng.randint(1, 12)):
        level = rng.choice([lv for lv in levels if fits(want, case, lv)])
        size = 2 ** block_bits(want.granule2, level)
        count = rng.choice([1, 1, 2, 5]) if level == 3 else 1
        if size * count > 2**tables.input_bits:
            continue
        ipa = space.reserve(size * count, size) if room(space, size * count) else None
        if ipa is None:
            continue
        pa = rng.randrange(2**case.out2 // size - count) * size
        memattr, s2ap, xn = rng.choice(list(TYPES[want.fwb])), rng.randrange(4), rng.randrange(4)
        contiguous, af = rng.randrange(2), rng.randrange(2)
        for number in range(count):
            at = ipa + number * size
            own = {"b5_2": memattr, "b7_6": s2ap, "b54_53": xn, "b52": contiguous}
            leaf = stage2_leaf(tables, pa + number * size, level, **own)
            tables.map(at, level, leaf - (0 if af else 1 << 10))
            found.append(Mapped(at, pa + number * size, size, TYPES[want.fwb][memattr],
                         RIGHTS[s2ap] + EXECUTES[xn], bool(contiguous), bool(af)))  # fmt: skip
    return case, sorted(found, key=lambda one: one.ipa)


def fits(want: Wanted, case: Case, level: int) -> bool:
    assert case.tables2
    return block_bits(want.granule2, level) <= min(case.tables2.input_bits, case.out2 - 4)


def room(space: Space, size: int) -> bool:
    taken = sum(high - low for low, high in space.ranges)
    return taken + size * 8 < 1 << space.bits


def reader(memory: Memory, skip: int = -1) -> census.ReadMemory:
    def read(address: int, size: int) -> bytes | None:
        words = [memory.read(address + 8 * n) for n in range(size // 8)]
        if address == skip or None in words:
            return None
        return b"".join((word or 0).to_bytes(8, "little") for word in words)

    return read


WANTED = st.builds(
    Wanted, st.integers(0, 2**32), st.just("2"), st.just("4k"),
    st.sampled_from(["4k", "16k", "64k"]), st.just(False), st.booleans(), st.just(False),
    st.booleans(),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(WANTED)
def test_each_leaf_is_found_once_as_it_was_entered(want: Wanted) -> None:
    case, mapped = filled(want)
    read = read_stage2(reader(case.memory), case.regs)
    assert not read.problem
    assert not read.unread
    found = [
        Mapped(o.ipa, o.pa, o.size, o.type, o.rights, o.contiguous, o.af) for o in leaves(read)
    ]
    assert found == mapped


@settings(max_examples=40, deadline=None)
@given(WANTED)
def test_ranges_are_the_leaves_and_no_two_could_be_one(want: Wanted) -> None:
    case, mapped = filled(want)
    folded = ranges(read_stage2(reader(case.memory), case.regs))
    unfolded = [
        (one.ipa + at, one.pa + at) for one in folded for at in range(0, one.size, one.block)
    ]
    assert unfolded == [(one.ipa, one.pa) for one in mapped]
    for one, other in itertools.pairwise(folded):
        alike = replace(one, ipa=0, pa=0, size=0) == replace(other, ipa=0, pa=0, size=0)
        follows = (one.ipa + one.size, one.pa + one.size) == (other.ipa, other.pa)
        assert not (alike and follows)


@settings(max_examples=60, deadline=None)
@given(WANTED)
def test_the_walk_of_each_address_agrees(want: Wanted) -> None:
    case, _ = filled(want)
    regs = replace(case.regs, vtcr_el2=case.regs.vtcr_el2 | 1 << 21)  # HA: AF=0 is no fault
    for one in ranges(read_stage2(reader(case.memory), regs)):
        walked = walk_stage2(case.memory.read, regs, one.ipa + one.size - 1)
        assert walked.stage2
        assert (walked.pa, walked.stage2.attr.name) == (one.pa + one.size - 1, one.type)
        assert walked.stage2.leaf.size == one.block


def test_a_table_without_memory_is_told_and_the_rest_is_there() -> None:
    case, mapped = filled(Wanted(7, "2", "4k", "4k", False, False, False, True))
    assert case.tables2
    gone = next(iter(case.tables2.tables.values()))
    read = read_stage2(reader(case.memory, gone), case.regs)
    assert read.unread == (gone,)
    assert len(list(leaves(read))) < len(mapped)


def test_tables_that_lead_back_to_themselves_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "MOST_LEAVES", 1000)
    case, _ = filled(Wanted(7, "2", "4k", "4k", False, False, False, True))
    assert case.tables2
    itself = case.tables2.root | 0b11
    read = read_stage2(lambda _, size: itself.to_bytes(8, "little") * (size // 8), case.regs)
    assert len(read.tables) <= 5
    assert sum(one.leaves for one in ranges(read)) == 1000


def test_registers_that_make_no_sense() -> None:
    case, _ = filled(Wanted(7, "2", "4k", "4k", False, False, False, True))
    read = read_stage2(reader(case.memory), replace(case.regs, vtcr_el2=0b11 << 14))
    assert "reserved" in read.problem
    assert ranges(read) == []


def a_range(ipa: int, pa: int, kind: str = "Normal-WB", block: int = 4096) -> MappedRange:
    return MappedRange(ipa, pa, block, block, kind, "rwx", "inner shareable", False, True)


def test_what_is_folded() -> None:
    one, next_one = a_range(0x1000, 0x8000), a_range(0x2000, 0x9000)
    (both,) = fold([one, next_one])
    assert (both.ipa, both.pa, both.size, both.leaves) == (0x1000, 0x8000, 0x2000, 2)
    assert both.describe() == "2 x 4K Normal-WB rwx"
    assert len(list(fold([one, a_range(0x2000, 0xA000)]))) == 2
    assert len(list(fold([one, a_range(0x3000, 0x9000)]))) == 2
    assert len(list(fold([one, a_range(0x2000, 0x9000, "Device-nGnRE")]))) == 2
    assert len(list(fold([one, a_range(0x2000, 0x9000, block=1 << 21)]))) == 2
    assert list(fold([])) == []
