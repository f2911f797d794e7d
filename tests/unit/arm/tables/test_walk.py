# SPDX-License-Identifier: GPL-2.0-only
"""Walks over random tables come back with what was put in, and with the fault that was planted."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.arm.regs import Regs
from harness.arm.tables.descriptor import Stage1Leaf, TableDescriptor
from harness.arm.tables.params import FaultKind
from harness.arm.tables.result import Walk
from harness.arm.tables.show import walk_lines
from harness.arm.tables.walk import walk
from tests.unit.arm.arm_tables import BLOCKS, STAGE1, expected
from tests.unit.arm.tables.walk_cases import Case, Visit, Wanted, build, wanted

EXAMPLES = settings(max_examples=150, deadline=None)
STAGES = st.sampled_from(["1", "2", "12"])


def digits(value: int, high: int, low: int) -> int:
    """A bit field, cut from the binary digits."""
    return int(format(value, "064b")[63 - high : 64 - low], 2)


def check_steps(case: Case, result: Walk) -> None:
    """Every descriptor that was entered, in order, and nothing else."""
    assert len(result.steps) == len(case.visits)
    for step, visit in zip(result.steps, case.visits, strict=True):
        entry = visit.entry
        assert (step.stage, step.for_level) == (visit.stage, visit.for_level)
        assert (step.level, step.table, step.index) == (entry.level, entry.table, entry.index)
        assert step.address == entry.physical
        assert step.descriptor == case.memory.words[entry.physical]


def check_stage1(case: Case, result: Walk) -> None:
    stage1 = result.stage1
    assert stage1 is not None and stage1.leaf is not None
    assert (stage1.ipa, stage1.level) == (case.ipa, case.level1)
    assert stage1.descriptor == case.leaf1
    index = digits(case.leaf1, 4, 2)
    assert stage1.leaf.attr_index == index
    assert stage1.attributes.type.name == STAGE1[index]
    assert stage1.leaf.sh == 3
    assert (stage1.leaf.contiguous, stage1.leaf.ng) == (
        digits(case.leaf1, 52, 52),
        digits(case.leaf1, 11, 11),
    )
    check_stage1_access(case, result)


def check_stage1_access(case: Case, result: Walk) -> None:
    stage1 = result.stage1
    assert stage1 is not None and stage1.el1 is not None and stage1.el0 is not None
    words = [case.leaf1 & ~(7 << 59)]
    hpd = 42 if case.want.upper else 41
    if not digits(case.regs.tcr_el1, hpd, hpd):
        words += case.table_bits.values()
    read_only = digits(case.leaf1, 7, 7) or any(digits(word, 62, 62) for word in words)
    user = digits(case.leaf1, 6, 6) and not any(digits(word, 61, 61) for word in words)
    uxn = digits(case.leaf1, 54, 54) or any(digits(word, 60, 60) for word in words)
    pxn = digits(case.leaf1, 53, 53) or any(digits(word, 59, 59) for word in words)
    el1, el0 = stage1.el1, stage1.el0
    assert (el1.read, el1.write) == (True, not read_only)
    assert (el0.read, el0.write) == (bool(user), bool(user and not read_only))
    assert el0.execute == (not uxn)
    assert el1.execute == (not pxn and not el0.write)


def check_stage2(case: Case, result: Walk) -> None:
    stage2 = result.stage2
    assert stage2 is not None
    assert (stage2.pa, stage2.level, stage2.descriptor) == (case.pa, case.level2, case.leaf2)
    assert stage2.leaf.memattr == digits(case.leaf2, 5, 2)
    assert (stage2.leaf.s2ap, stage2.leaf.xn) == (
        digits(case.leaf2, 7, 6),
        digits(case.leaf2, 54, 53),
    )
    assert stage2.leaf.sh == 3
    assert stage2.attr.fwb is case.want.fwb


def check_combined(case: Case, result: Walk) -> None:
    assert result.combined is not None
    stage1 = STAGE1[digits(case.leaf1, 4, 2)]
    if case.want.stages == "1":
        assert result.combined.names == (stage1,)
    else:
        names = expected(case.want.fwb, digits(case.leaf2, 5, 2), stage1)
        assert result.combined.names == names


@EXAMPLES
@given(STAGES.flatmap(wanted))
def test_walk_gives_back_what_was_built(want: Wanted) -> None:
    case = build(want)
    result = case.walk()
    assert result.fault is None, walk_lines(result)
    assert result.pa == case.pa
    check_steps(case, result)
    if want.stages != "2":
        check_stage1(case, result)
        check_combined(case, result)
    if want.stages != "1":
        check_stage2(case, result)
    assert not [line for line in walk_lines(result) if "fault" in line]


def plant(case: Case, rng: random.Random) -> tuple[FaultKind, int]:
    """Spoil one descriptor; returns the fault's kind and the place of the first one spoilt."""
    place = rng.randrange(len(case.visits))
    visit = case.visits[place]
    physical, level = visit.entry.physical, visit.entry.level
    tables = case.tables1 if visit.stage == 1 else case.tables2
    output = case.out1 if visit.stage == 1 else case.out2
    assert tables is not None
    word = case.memory.words[physical]
    leaf = level == 3 or word & 0b11 == 0b01
    no_block = level not in BLOCKS[tables.granule][tables.wide]
    kinds = ["invalid", "unreadable", "reserved" if no_block else ""]
    kinds += ["access flag" if leaf else "", "size" if too_large(output, tables.wide) else ""]
    kind = rng.choice([kind for kind in kinds if kind])
    if kind == "unreadable":
        low, high = case.memory.drop(physical)
        hit = [low <= visit.entry.physical < high for visit in case.visits]
        return FaultKind.EXTERNAL, hit.index(True)
    changed = {
        "invalid": word & ~1,
        "reserved": word & ~2,
        "access flag": word & ~(1 << 10),
        "size": word | (1 << 9 if tables.lpa2 else 1 << 47),
    }
    case.memory.words[physical] = changed[kind]
    fault = {
        "invalid": FaultKind.TRANSLATION,
        "reserved": FaultKind.TRANSLATION,
        "access flag": FaultKind.ACCESS_FLAG,
        "size": FaultKind.ADDRESS_SIZE,
    }
    return fault[kind], [visit.entry.physical for visit in case.visits].index(physical)


def too_large(output: int, wide: bool) -> bool:
    """Whether the highest address bit of a descriptor is beyond the output size."""
    return output < (52 if wide else 48)


@EXAMPLES
@given(STAGES.flatmap(wanted))
def test_planted_fault(want: Wanted) -> None:
    case = build(want)
    kind, place = plant(case, random.Random(want.seed + 1))  # noqa: S311 - tests
    result = case.walk()
    visit = case.visits[place]
    fault = result.fault
    assert fault is not None and result.pa is None and result.combined is None
    assert (fault.kind, fault.stage, fault.level) == (kind, visit.stage, visit.entry.level)
    assert fault.s1ptw == (visit.for_level is not None)
    check_fsc(fault.fsc, kind, visit)
    # The walk is shown up to the descriptor that ended it.
    shown = [step for step in result.steps if step.address is not None]
    assert [step.address for step in shown] == [
        seen.entry.physical for seen in case.visits[: place + 1]
    ]
    assert any(line.startswith("fault: ") for line in walk_lines(result))


def check_fsc(fsc: int | None, kind: FaultKind, visit: Visit) -> None:
    level = visit.entry.level
    table = {
        FaultKind.TRANSLATION: {-1: 0x2B, 0: 0x04, 1: 0x05, 2: 0x06, 3: 0x07},
        FaultKind.ADDRESS_SIZE: {-1: 0x29, 0: 0x00, 1: 0x01, 2: 0x02, 3: 0x03},
        FaultKind.ACCESS_FLAG: {0: 0x08, 1: 0x09, 2: 0x0A, 3: 0x0B},
        FaultKind.EXTERNAL: {-1: 0x13, 0: 0x14, 1: 0x15, 2: 0x16, 3: 0x17},
    }
    assert fsc == table[kind][level]


WORDS = st.integers(0, 2**64 - 1)


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, min_size=9, max_size=9), WORDS, st.integers(0, 2**32))
def test_nonsense_is_a_result(values: list[int], va: int, seed: int) -> None:
    """Random registers over random memory: an address or a fault, never an exception."""

    def read(address: int) -> int | None:
        rng = random.Random(seed ^ address)  # noqa: S311 - tests
        return None if rng.randrange(8) == 0 else rng.getrandbits(64) | rng.randrange(2)

    result = walk(read, Regs(*values), va)
    assert (result.fault is None) == (result.pa is not None)
    assert walk_lines(result)


@EXAMPLES
@given(STAGES.flatmap(wanted), st.integers(0, 2**32))
def test_garbage_in_good_tables_is_a_result(want: Wanted, seed: int) -> None:
    case = build(want)
    rng = random.Random(seed)  # noqa: S311 - tests
    spoilt = rng.choice(case.visits).entry.physical
    case.memory.words[spoilt] = rng.getrandbits(64) | 1
    result = case.walk()
    assert (result.fault is None) == (result.pa is not None)
    assert walk_lines(result)


def test_big_endian_tables() -> None:
    """SCTLR_EL1.EE and SCTLR_EL2.EE turn round the descriptors of their stage."""
    case = build(Wanted(7, "12", "4k", "4k", False, False, False, False))
    for visit in case.visits:
        if visit.stage == 1:
            word = case.memory.words[visit.entry.physical]
            turned = int.from_bytes(word.to_bytes(8, "big"), "little")
            case.memory.words[visit.entry.physical] = turned
    assert case.walk().pa != case.pa
    case.regs = replace(case.regs, sctlr_el1=case.regs.sctlr_el1 | 1 << 25)
    assert case.walk().pa == case.pa
    case.regs = replace(case.regs, sctlr_el2=1 << 25)
    assert case.walk().pa is None


@pytest.mark.parametrize(("stage", "register", "bit"), [(1, "tcr_el1", 39), (2, "vtcr_el2", 21)])
def test_access_flag_set_by_hardware(stage: int, register: str, bit: int) -> None:
    case = build(Wanted(3, "12", "4k", "16k", False, False, True, True))
    place = max(i for i, visit in enumerate(case.visits) if visit.stage == stage)
    case.memory.words[case.visits[place].entry.physical] &= ~(1 << 10)
    fault = case.walk().fault
    assert fault is not None and fault.kind is FaultKind.ACCESS_FLAG and fault.stage == stage
    regs = {register: getattr(case.regs, register) | 1 << bit}
    case.regs = replace(case.regs, **regs)
    assert case.walk().pa == case.pa


def test_step_entries_are_decoded() -> None:
    case = build(Wanted(11, "1", "4k", "4k", False, False, False, False))
    entries = [step.entry for step in case.walk().steps]
    assert all(isinstance(entry, TableDescriptor) for entry in entries[:-1])
    assert isinstance(entries[-1], Stage1Leaf)
