# SPDX-License-Identifier: GPL-2.0-only
"""Random translations with known results, made of table_builder's tables and packed registers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from harness.arm.regs import Regs
from harness.arm.tables.result import Walk
from harness.arm.tables.walk import walk, walk_stage2
from tests.unit.arm.arm_tables import (
    BLOCKS,
    MAIR,
    PAGE_BITS,
    PS_BITS,
    STAGE1,
    STAGE1_START,
    STAGE2_START,
    TG0,
    TG1,
)
from tests.unit.arm.table_builder import Entry, Memory, Space, Stage, pack

MAIR_VALUE = sum(MAIR[name] << 8 * index for index, name in enumerate(STAGE1))
Row1 = tuple[int, int, int]


@dataclass(frozen=True)
class Wanted:
    """The kind of translation to build; `stages` is "1", "2" or "12"."""

    seed: int
    stages: str
    granule1: str
    granule2: str
    wide1: bool
    wide2: bool
    upper: bool
    fwb: bool


def wanted(stages: str) -> st.SearchStrategy[Wanted]:
    granules, flags = st.sampled_from(["4k", "16k", "64k"]), st.booleans()
    seeds = st.integers(0, 2**32)
    return st.builds(Wanted, seeds, st.just(stages), granules, granules, flags, flags, flags, flags)


@dataclass(frozen=True)
class Visit:
    """A descriptor in the order a CPU reads them. `for_level`: the stage-1 level whose table a
    stage-2 walk looks for.
    """

    stage: int
    entry: Entry
    for_level: int | None = None


@dataclass
class Case:
    """One built translation: what to walk, and what must come back."""

    want: Wanted
    rng: random.Random
    memory: Memory
    regs: Regs = field(default_factory=lambda: Regs(*[0] * 9))
    tables1: Stage | None = None
    tables2: Stage | None = None
    va: int = 0
    ipa: int = 0
    pa: int = 0
    leaf1: int = 0
    leaf2: int = 0
    level1: int = 3
    level2: int = 3
    out1: int = 48
    out2: int = 48
    table_bits: dict[int, int] = field(default_factory=dict)
    visits: list[Visit] = field(default_factory=list)
    # Stage-2 pages below stage-1 tables: the page's IPA -> its PA and the path to its leaf.
    pages: dict[int, tuple[int, list[Entry]]] = field(default_factory=dict)

    def walk(self) -> Walk:
        if self.want.stages == "2":
            return walk_stage2(self.memory.read, self.regs, self.ipa)
        return walk(self.memory.read, self.regs, self.va)


def build(want: Wanted) -> Case:
    rng = random.Random(want.seed)  # noqa: S311 - tests
    case = Case(want, rng, Memory(rng, 48))
    if want.stages == "1":
        build_stage1(case, room=52)
        return case
    tables2 = add_stage2(case)
    if want.stages == "2":
        case.ipa = rng.randrange(0, 2**tables2.input_bits)
        case.level2 = leaf_level(case, tables2, case.out2)
        case.visits += [Visit(2, entry) for entry in map_stage2(case)]
        return case
    build_stage1(case, room=tables2.input_bits)
    return case


def block_bits(granule: str, level: int) -> int:
    """log2 of the bytes of a leaf at a level."""
    return PAGE_BITS[granule] + (3 - level) * (PAGE_BITS[granule] - 3)


def leaf_level(case: Case, tables: Stage, most: int) -> int:
    """A leaf level of these tables whose leaves have at most 2**most bytes."""
    blocks = BLOCKS[tables.granule][tables.wide]
    levels = [level for level in blocks if level >= tables.start_level]
    fitting = [level for level in levels if block_bits(tables.granule, level) <= most]
    return case.rng.choice([3, *fitting])


def output_size(case: Case, granule: str, wide: bool) -> int:
    """An encoding of IPS or PS, 36 bits at least; 64K is wide exactly with 0b110."""
    if granule == "64k":
        return 6 if wide else case.rng.randrange(1, 6)
    return case.rng.randrange(1, 7)


def add_stage2(case: Case) -> Stage:
    """Empty stage-2 tables with a random start level, IPA size and output size."""
    rng, want = case.rng, case.want
    most = 52 if want.wide2 else 48
    least = 36 if want.stages == "12" else 0  # tables of a stage 1 need room
    rows = [
        (sl2, sl0, start, max(low, least), min(high, most))
        for sl2, sl0, start, low, high in STAGE2_START[want.granule2]
        if max(low, least) <= min(high, most)
        # SL0=3 of 16K is valid with FEAT_LPA2's DS only.
        and not (want.granule2 == "16k" and sl0 == 3 and not want.wide2)
    ]
    sl2, sl0, start, low, high = rng.choice(rows)
    input_bits = rng.randint(low, high)
    ps = output_size(case, want.granule2, want.wide2)
    case.out2 = case.memory.bits = min(PS_BITS[ps], most)
    tables = Stage(
        case.memory, want.granule2, input_bits, start, want.wide2,
        case.memory.reserve, lambda address: address,
    )  # fmt: skip
    vtcr = pack(
        b5_0=64 - input_bits,
        b7_6=sl0,
        b13_12=3,
        b15_14=TG0[want.granule2],
        b18_16=ps,
        b32=int(tables.lpa2),
        b33=sl2,
    )
    case.tables2 = tables
    case.regs = replace(
        case.regs,
        vttbr_el2=tables.register() + pack(b63_48=rng.randrange(2**16), b0=1),
        vtcr_el2=vtcr,
        hcr_el2=pack(b0=1, b31=1, b46=int(want.fwb)),
    )
    return tables


def stage2_leaf(tables: Stage, pa: int, level: int, **more: int) -> int:
    """A stage-2 leaf with AF; inner shareable (LPA2 has that in VTCR_EL2)."""
    own = pack(b10=1, **more) + (0 if tables.lpa2 else pack(b9_8=3))
    return tables.address_bits(pa) + own + (0b11 if level == 3 else 0b01)


def map_stage2(case: Case) -> list[Entry]:
    """The stage-2 leaf of the address that is asked for, with random attributes."""
    tables, rng = case.tables2, case.rng
    assert tables is not None
    size = 2 ** block_bits(tables.granule, case.level2)
    base = rng.randrange(0, 2**case.out2 // size) * size
    case.pa = base + case.ipa % size
    case.leaf2 = stage2_leaf(
        tables, base, case.level2,
        b5_2=rng.randrange(16), b7_6=rng.randrange(4), b54_53=rng.randrange(4),
        b52=rng.randrange(2), b58_56=rng.randrange(8),
    )  # fmt: skip
    return tables.map(case.ipa, case.level2, case.leaf2)


def build_stage1(case: Case, room: int) -> None:
    """Stage-1 tables for one half, below stage 2 where there is one. `room`: its input size."""
    rng, want = case.rng, case.want
    most = 52 if want.wide1 else 48
    rows = [row for row in STAGE1_START[want.granule1] if row[1] >= 64 - most]
    low, high, start = rng.choice(rows)
    txsz = rng.randint(max(low, 64 - most), high)
    ips = output_size(case, want.granule1, want.wide1)
    case.out1 = min(PS_BITS[ips], most)
    room = min(room, case.out1)
    # The leaf goes to its place in the IPA space before the tables do.
    blocks = [lv for lv in BLOCKS[want.granule1][want.wide1] if lv >= start]
    fitting = [lv for lv in blocks if block_bits(want.granule1, lv) <= room]
    case.level1 = rng.choice([3, *fitting])
    size = 2 ** block_bits(want.granule1, case.level1)
    base = rng.randrange(0, 2**room // size) * size
    offset = rng.randrange(size)
    case.ipa = base + offset
    reserve, locate = places(case, room)
    tables = case.tables1 = Stage(
        case.memory, want.granule1, 64 - txsz, start, want.wide1, reserve, locate
    )
    low_va = rng.randrange(0, 2 ** (64 - txsz) // size) * size + offset
    stage1_registers(case, tables, txsz, ips)
    path = map_stage1(case, tables, low_va, base)
    case.va = low_va + ((2**txsz - 1) << (64 - txsz) if want.upper else 0)
    for entry in path:
        if case.tables2 is not None:
            _, below = page_of(case, entry)
            case.visits += [Visit(2, deeper, entry.level) for deeper in below]
        case.visits.append(Visit(1, entry))
    case.pa = case.ipa
    if case.tables2 is not None:
        case.visits += [Visit(2, entry) for entry in map_stage2(case)]


def page_of(case: Case, entry: Entry) -> tuple[int, list[Entry]]:
    page = 2 ** PAGE_BITS[case.want.granule2]
    return case.pages[(entry.table + 8 * entry.index) // page * page]


Places = tuple[Callable[[int, int], int], Callable[[int], int]]


def places(case: Case, room: int) -> Places:
    """Where stage-1 tables go, and how to find one's memory."""
    tables2 = case.tables2
    if tables2 is None:
        case.memory.bits = room
        return case.memory.reserve, lambda address: address
    # Stage 2's leaf for the final address leaves half of the space, at least, to tables.
    case.level2 = leaf_level(case, tables2, min(room - 1, case.out2))
    size2 = 2 ** block_bits(tables2.granule, case.level2)
    space = Space(case.rng, room)
    space.ranges.append((case.ipa // size2 * size2, case.ipa // size2 * size2 + size2))
    page = 1 << PAGE_BITS[tables2.granule]

    def reserve(size: int, align: int) -> int:
        ipa = space.reserve(max(size, page), max(align, page))
        for base in range(ipa, ipa + max(size, page), page):
            pa = case.memory.reserve(page, page)
            memattr = 6 if case.want.fwb else 0xF
            leaf = stage2_leaf(tables2, pa, 3, b5_2=memattr, b7_6=3, b54=1)
            case.pages[base] = pa, tables2.map(base, 3, leaf)
        # A small table starts anywhere in its page.
        slots = max(1, (page - size) // align + 1)
        return ipa + case.rng.randrange(slots) * align

    def locate(address: int) -> int:
        return case.pages[address // page * page][0] + address % page

    return reserve, locate


def stage1_registers(case: Case, tables: Stage, txsz: int, ips: int) -> None:
    """Registers for one half; the other half's fields are noise and its walks are off."""
    rng, upper = case.rng, case.want.upper
    ttbr = tables.register() + pack(b63_48=rng.randrange(2**16), b0=1)
    tcr = pack(b34_32=ips, b59=int(tables.lpa2), b41=rng.randrange(2), b42=rng.randrange(2))
    if upper:
        tcr += pack(b21_16=txsz, b29_28=3, b31_30=TG1[tables.granule])
        tcr += pack(b5_0=rng.randrange(64), b15_14=rng.randrange(4), b7=1)
    else:
        tcr += pack(b5_0=txsz, b13_12=3, b15_14=TG0[tables.granule])
        tcr += pack(b21_16=rng.randrange(64), b31_30=rng.randrange(4), b23=1)
    other = rng.randrange(2**64)
    case.regs = replace(
        case.regs,
        tcr_el1=tcr,
        ttbr0_el1=other if upper else ttbr,
        ttbr1_el1=ttbr if upper else other,
        mair_el1=MAIR_VALUE,
        sctlr_el1=pack(b0=1, b2=1, b12=1),
    )


def map_stage1(case: Case, tables: Stage, va: int, base: int) -> list[Entry]:
    """The stage-1 leaf with random attributes, below tables with random ones."""
    rng = case.rng
    own = pack(
        b4_2=rng.randrange(7), b7_6=rng.randrange(4), b10=1, b11=rng.randrange(2),
        b50=rng.randrange(2), b52=rng.randrange(2), b54_53=rng.randrange(4),
        b58_55=rng.randrange(16),
    )  # fmt: skip
    own += 0 if tables.lpa2 else pack(b9_8=3)
    case.leaf1 = tables.address_bits(base) + own + (0b11 if case.level1 == 3 else 0b01)
    case.table_bits = {
        level: pack(b59=rng.randrange(2), b60=rng.randrange(2), b62_61=rng.randrange(4))
        for level in range(tables.start_level, case.level1)
    }
    return tables.map(va, case.level1, case.leaf1, case.table_bits)
