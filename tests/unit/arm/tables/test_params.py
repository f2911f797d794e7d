# SPDX-License-Identifier: GPL-2.0-only
"""What the registers allow before a table is read, and walks with a stage off."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.arm.memtype import Shareability
from harness.arm.regs import Regs
from harness.arm.tables.params import (
    Fault,
    FaultKind,
    Params,
    stage1_params,
    stage1_table,
    stage2_params,
)
from harness.arm.tables.result import Walk
from harness.arm.tables.show import walk_lines
from harness.arm.tables.walk import walk
from harness.base.errors import MachineError
from tests.unit.arm.arm_tables import PAGE_BITS, STAGE1_START, STAGE2_START, TG0, TG1
from tests.unit.arm.table_builder import pack

BASE = Regs(*[0] * 9)
GRANULES = ["4k", "16k", "64k"]
UP = 2**64


def fault_of(params: Params | Fault, kind: FaultKind = FaultKind.TRANSLATION) -> str:
    assert isinstance(params, Fault)
    assert (params.kind, params.level) == (kind, 0)
    assert params.stage == (2 if "VTCR_EL2" in params.reason else 1)
    return params.reason


def good(params: Params | Fault) -> Params:
    assert isinstance(params, Params), params
    return params


def concatenated(params: Params) -> int:
    """How many start tables are in a row; 1 when there is no concatenation."""
    return 1 << max(0, params.index_bits - params.layout.granule.stride)


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("granule", GRANULES)
@pytest.mark.parametrize("ds", [False, True])
def test_stage1_start_level(granule: str, upper: bool, ds: bool) -> None:
    """Every TxSZ against the table of the Arm ARM; those outside it fault."""
    levels = {
        txsz: level
        for low, high, level in STAGE1_START[granule]
        for txsz in range(low, high + 1)
        if txsz >= 16 or ds or granule == "64k"
    }
    for txsz in range(64):
        if upper:
            tcr = pack(b21_16=txsz, b31_30=TG1[granule], b59=ds, b34_32=6)
        else:
            tcr = pack(b5_0=txsz, b15_14=TG0[granule], b59=ds, b34_32=6)
        params = stage1_params(replace(BASE, tcr_el1=tcr), UP - 1 if upper else 0)
        if txsz in levels:
            assert good(params).start_level == levels[txsz]
            assert good(params).register == f"TTBR{int(upper)}_EL1"
            assert good(params).input_bits == 64 - txsz
        else:
            assert f"T{int(upper)}SZ={txsz} is outside" in fault_of(params)


@pytest.mark.parametrize("granule", GRANULES)
@pytest.mark.parametrize("ds", [False, True])
def test_stage2_start_level(granule: str, ds: bool) -> None:
    """Every SL2, SL0 and T0SZ: the Arm ARM's sizes are walked, with the right concatenation."""
    rows = {(sl2, sl0): row for sl2, sl0, *row in STAGE2_START[granule]}
    most = 52 if ds or granule == "64k" else 48
    for sl2, sl0 in [(sl2, sl0) for sl2 in (0, 1) for sl0 in range(4)]:
        # SL2 counts for 4K with DS alone; 16K has SL0=3 with DS alone.
        row = rows.get((sl2 if granule == "4k" and ds else 0, sl0))
        if granule == "16k" and sl0 == 3 and not ds:
            row = None
        for size in range(1, 65):
            vtcr = pack(b5_0=64 - size, b7_6=sl0, b15_14=TG0[granule], b32=ds, b33=sl2, b18_16=6)
            params = stage2_params(replace(BASE, vtcr_el2=vtcr), 0)
            if row is None or not row[1] <= size <= min(row[2], most):
                assert "VTCR_EL2" in fault_of(params)
                continue
            assert good(params).start_level == row[0]
            page = PAGE_BITS[granule]
            one_table = page + (4 - row[0]) * (page - 3)
            assert concatenated(good(params)) == max(1, 2 ** (size - one_table))


def tcr(**more: int) -> Regs:
    """48-bit VAs in both halves, 4K."""
    return replace(BASE, tcr_el1=pack(b5_0=16, b21_16=16, b31_30=2, b34_32=5, **more))


# TCR_EL1 bits, VA, whether a fetch -> reason, empty when it walks
RANGES = [
    ({}, 0, False, ""),
    ({}, 2**48 - 1, False, ""),
    ({}, 2**48, False, "outside the 48-bit range of TTBR0_EL1"),
    ({}, 2**55 - 1, False, "outside the 48-bit range of TTBR0_EL1"),
    ({}, UP - 2**48, False, ""),
    ({}, UP - 2**48 - 1, False, "outside the 48-bit range of TTBR1_EL1"),
    ({}, 2**56, False, "outside the 48-bit range of TTBR0_EL1"),
    ({"b37": 1}, 0xAB << 56, False, ""),
    ({"b37": 1}, 0xAB << 56 | 2**48, False, "outside the 48-bit range of TTBR0_EL1"),
    ({"b38": 1}, 0xAB << 56, False, "outside the 48-bit range of TTBR0_EL1"),
    ({"b38": 1}, 0xAB << 56 | (2**56 - 2**48), False, ""),
    ({"b37": 1, "b51": 1}, 0xAB << 56, False, ""),
    ({"b37": 1, "b51": 1}, 0xAB << 56, True, "outside the 48-bit range of TTBR0_EL1"),
    ({"b37": 1}, 0xAB << 56, True, ""),
    ({"b38": 1, "b52": 1}, (2**56 - 2**48), True, "outside the 48-bit range of TTBR1_EL1"),
    ({"b60": 1}, 0x5 << 56, False, ""),
    ({"b60": 1}, 0x10 << 56, False, "outside the 48-bit range of TTBR0_EL1"),
    ({"b61": 1}, UP - 2**48 - (0xF << 56), False, ""),
    ({"b7": 1}, 0, False, "TCR_EL1.EPD0=1: no walk"),
    ({"b7": 1}, UP - 1, False, ""),
    ({"b23": 1}, UP - 1, False, "TCR_EL1.EPD1=1: no walk"),
    ({}, UP, False, "not a 64-bit address"),
    ({}, -1, False, "not a 64-bit address"),
]


@pytest.mark.parametrize(("set_bits", "va", "fetch", "reason"), RANGES)
def test_address_ranges(set_bits: dict[str, int], va: int, fetch: bool, reason: str) -> None:
    params = stage1_params(tcr(**set_bits), va, fetch=fetch)
    if reason:
        assert fault_of(params) == reason
    else:
        good(params)


def test_reserved_and_unsupported() -> None:
    reserved = replace(BASE, tcr_el1=pack(b5_0=16, b15_14=3))
    assert fault_of(stage1_params(reserved, 0), FaultKind.UNSUPPORTED) == "TCR_EL1.TG0 is reserved"
    half1 = replace(BASE, tcr_el1=pack(b21_16=16, b31_30=0))
    assert "TG1" in fault_of(stage1_params(half1, UP - 1), FaultKind.UNSUPPORTED)
    stage2 = replace(BASE, vtcr_el2=pack(b5_0=24, b15_14=3))
    assert "VTCR_EL2.TG0" in fault_of(stage2_params(stage2, 0), FaultKind.UNSUPPORTED)
    for bit, name in ((5, "D128"), (4, "AIE")):
        regs = replace(tcr(), tcr2_el1=1 << bit)
        assert name in fault_of(stage1_params(regs, 0), FaultKind.UNSUPPORTED)
    d128 = replace(BASE, vtcr_el2=pack(b5_0=24, b7_6=1, b38=1))
    assert "D128" in fault_of(stage2_params(d128, 0), FaultKind.UNSUPPORTED)


def test_ipa_size() -> None:
    regs = replace(BASE, vtcr_el2=pack(b5_0=24, b7_6=1, b18_16=5))
    assert concatenated(good(stage2_params(regs, 2**40 - 1))) == 2
    assert "40-bit IPA space" in fault_of(stage2_params(regs, 2**40))


def test_physical_address_size_of_the_cpu() -> None:
    """ID_AA64MMFR0_EL1.PARange bounds output sizes, T0SZ and SL0."""
    regs = replace(tcr(), id_aa64mmfr0_el1=2)
    assert good(stage1_params(regs, 0)).output_bits == 40
    assert good(stage1_params(tcr(), 0)).output_bits == 48
    stage2 = replace(BASE, vtcr_el2=pack(b5_0=24, b7_6=1, b18_16=5), id_aa64mmfr0_el1=2)
    assert good(stage2_params(stage2, 0)).output_bits == 40
    # 56 bits are for VMSAv9-128 alone.
    most = replace(BASE, tcr_el1=pack(b5_0=16, b34_32=7, b59=1), id_aa64mmfr0_el1=7)
    assert good(stage1_params(most, 0)).output_bits == 52
    misfit = replace(stage2, vtcr_el2=pack(b5_0=24, b7_6=0, b18_16=5))
    assert "SL0=0 does not fit T0SZ=24 (start level 2)" in fault_of(stage2_params(misfit, 0))
    too_big = replace(stage2, vtcr_el2=pack(b5_0=23, b7_6=1, b18_16=5))
    assert "T0SZ=23 is outside 24 to 48" in fault_of(stage2_params(too_big, 0))
    level0 = replace(stage2, vtcr_el2=pack(b5_0=24, b7_6=2, b18_16=5))
    assert "SL0=2 is invalid" in fault_of(stage2_params(level0, 0))


def test_output_sizes() -> None:
    """IPS of 52 bits counts only with DS, or with 64K granules."""

    def output(**more: int) -> tuple[int, bool]:
        params = good(stage1_params(replace(BASE, tcr_el1=pack(b5_0=16, b34_32=6, **more)), 0))
        return params.output_bits, params.layout.wide

    assert output() == (48, False)
    assert output(b59=1) == (52, True)
    assert output(b15_14=1) == (52, True)
    assert output(b15_14=1, b59=1) == (52, True)
    assert output(b15_14=2) == (48, False)


# TCR_EL1 and the address that TTBR1_EL1 = ASID 5, CnP and 0x0000_1234_5678_9A.. then names: the
# register's bits [5:2] are A[51:48] with DS (FEAT_LPA2), and with 64K granules and IPS of 52 bits
# (FEAT_LPA). Tables are aligned to their size: 512 entries of 4K, 2 of 16K, 1024 and 64 of 64K.
LOW = 0x1234_5678_9A00
TTBR1_TABLES = [
    (pack(b21_16=25, b31_30=2, b34_32=5), LOW | 0x14, 0x1234_5678_9000),  # 4K, 48 bits: [5:2] res0
    (pack(b21_16=25, b31_30=2, b34_32=6, b59=1), LOW | 0x14, 0x5_1234_5678_9000),
    (pack(b21_16=16, b31_30=1, b34_32=6, b59=1), LOW | 0x3C, 0xF << 48 | LOW),
    (pack(b21_16=12, b31_30=3, b34_32=6), LOW | 0x04, 0x1_1234_5678_8000),
    (pack(b21_16=16, b31_30=3, b34_32=5), LOW | 0x04, LOW),
]


@pytest.mark.parametrize(("tcr_el1", "ttbr", "table"), TTBR1_TABLES)
def test_the_first_table_of_a_register_with_52_bit_addresses(
    tcr_el1: int, ttbr: int, table: int
) -> None:
    regs = replace(BASE, tcr_el1=tcr_el1, ttbr1_el1=5 << 48 | ttbr | 1, ttbr0_el1=0xDEAD_0000)
    assert hex(stage1_table(regs, 1)) == hex(table)


def test_a_half_without_a_walk_has_no_table() -> None:
    epd1 = replace(BASE, tcr_el1=pack(b21_16=25, b23=1, b31_30=2))
    with pytest.raises(MachineError, match=r"TTBR1_EL1 names no table: .*EPD1=1"):
        stage1_table(epd1, 1)


def test_shareability_of_lpa2_comes_from_the_half() -> None:
    regs = replace(BASE, tcr_el1=pack(b5_0=16, b21_16=16, b31_30=2, b13_12=2, b29_28=3, b59=1))
    assert good(stage1_params(regs, 0)).layout.sh is Shareability.OUTER
    assert good(stage1_params(regs, UP - 1)).layout.sh is Shareability.INNER


def test_table_attributes_off() -> None:
    assert good(stage1_params(tcr(), 0)).table_attributes
    assert not good(stage1_params(tcr(b41=1), 0)).table_attributes
    assert good(stage1_params(tcr(b41=1), UP - 1)).table_attributes
    assert not good(stage1_params(tcr(b42=1), UP - 1)).table_attributes
    assert not good(stage1_params(replace(tcr(), tcr2_el1=2), 0)).table_attributes


def flat_walk(regs: Regs, words: dict[int, int], va: int) -> Walk:
    return walk(words.get, regs, va)


def test_table_register_above_the_output_size() -> None:
    regs = replace(tcr(), sctlr_el1=1, ttbr0_el1=1 << 40)
    regs = replace(regs, tcr_el1=regs.tcr_el1 & ~(7 << 32))
    fault = flat_walk(regs, {}, 0).fault
    assert fault is not None
    assert (fault.kind, fault.level, fault.fsc) == (FaultKind.ADDRESS_SIZE, 0, 0)
    assert "TTBR0_EL1 points above 32 bits" in fault.reason


# HCR_EL2, SCTLR_EL1 -> combined type of an access with stage 1 off and no stage 2
OFF = [(0, 0, "Device-nGnRnE"), (1 << 27, 1, "Device-nGnRnE")]


@pytest.mark.parametrize(("hcr", "sctlr", "name"), OFF)
def test_stage1_off(hcr: int, sctlr: int, name: str) -> None:
    result = flat_walk(replace(BASE, hcr_el2=hcr, sctlr_el1=sctlr), {}, 0x12345678)
    assert (result.pa, result.ipa, result.steps) == (0x12345678, 0x12345678, [])
    assert result.combined is not None and result.combined.name == name
    assert "stage 1 is off" in walk_lines(result)[0]


def test_stage1_off_checks_the_address() -> None:
    regs = replace(BASE, id_aa64mmfr0_el1=2)
    fault = flat_walk(regs, {}, 1 << 40).fault
    assert fault is not None and (fault.kind, fault.fsc) == (FaultKind.ADDRESS_SIZE, 0)
    assert flat_walk(regs, {}, (1 << 40) - 1).pa == (1 << 40) - 1
    # With TBI the top byte is no part of it.
    tagged = replace(regs, tcr_el1=pack(b37=1))
    assert flat_walk(tagged, {}, 0xAB << 56 | 0x1000).ipa == 0x1000


def small_stage2(descriptor: int, **hcr: int) -> tuple[Regs, dict[int, int]]:
    """A 4K stage-2 table at 0x1000 that starts at level 3 (16-bit IPAs): `descriptor` for every
    page, each with its own address added.
    """
    regs = replace(
        BASE, vttbr_el2=0x1000, vtcr_el2=pack(b5_0=48, b7_6=3, b18_16=5), hcr_el2=pack(**hcr)
    )
    return regs, {0x1000 + 8 * index: descriptor | index << 12 for index in range(16)}


def test_default_cacheable() -> None:
    """HCR_EL2.DC turns stage 2 on and stage 1 into Normal-WB, whatever SCTLR_EL1.M says."""
    regs, words = small_stage2(0b11 | 0xF << 2 | 1 << 10 | 3 << 6 | 0x20000, b12=1)
    result = flat_walk(replace(regs, sctlr_el1=1), words, 0x3008)
    assert result.pa == 0x23008
    assert result.combined is not None and result.combined.name == "Normal-WB"
    assert result.stage1 is not None and result.stage1.leaf is None


def stage1_over_stage2(s2_leaf: int, **hcr: int) -> Walk:
    """A one-level stage 1 (64K, T0SZ=47) whose table is read through one stage-2 page."""
    regs, words = small_stage2(s2_leaf, b0=1, **hcr)
    regs = replace(
        regs, tcr_el1=pack(b5_0=47, b15_14=1, b34_32=5), sctlr_el1=5, ttbr0_el1=0x2000,
        mair_el1=0xFF,
    )  # fmt: skip
    words[0x2000] = 0b11 | 1 << 10
    return flat_walk(regs, words, 0x10)


def test_notes_on_table_reads() -> None:
    normal, device = 0b11 | 0xF << 2 | 1 << 10, 0b11 | 0x1 << 2 | 1 << 10
    assert stage1_over_stage2(normal | 3 << 6).notes == []
    unreadable = stage1_over_stage2(normal | 2 << 6)
    assert unreadable.pa == 0x10 and "not readable at stage 2" in unreadable.notes[0]
    assert stage1_over_stage2(device | 3 << 6).notes == []
    protected = stage1_over_stage2(device | 3 << 6, b2=1)
    assert "HCR_EL2.PTW=1" in protected.notes[0]
    assert walk_lines(protected)[3].startswith("note: ")


def test_dirty_state_by_hardware() -> None:
    """A writable-clean page counts as writable where the CPU may make it so (HA, HD, DBM)."""
    page = 0b11 | 1 << 10 | 0b10 << 6 | 1 << 51
    regs = replace(BASE, sctlr_el1=1, ttbr0_el1=0x2000, mair_el1=0xFF)
    for flags, write in ((0, False), (1 << 39, False), (1 << 40, False), (3 << 39, True)):
        sized = replace(regs, tcr_el1=pack(b5_0=47, b15_14=1, b34_32=5) | flags)
        stage1 = flat_walk(sized, {0x2000: page}, 0).stage1
        assert stage1 is not None and stage1.el1 is not None
        assert stage1.el1.write is write
    stage2_page = 0b11 | 1 << 10 | 0b01 << 6 | 1 << 51
    for flags, write in ((0, False), (1 << 21, False), (3 << 21, True)):
        own, words = small_stage2(stage2_page, b0=1)
        result = flat_walk(replace(own, vtcr_el2=own.vtcr_el2 | flags), words, 0)
        assert result.stage2 is not None and result.stage2.el1 is not None
        assert result.stage2.el1.write is write


def test_indirect_permissions_are_not_made_up() -> None:
    """With TCR2_EL1.PIE and VTCR_EL2.S2PIE a descriptor holds an index, not permissions."""
    regs, words = small_stage2(0b11 | 0xF << 2 | 1 << 10 | 3 << 6, b0=1)
    regs = replace(
        regs, tcr_el1=pack(b5_0=47, b15_14=1, b34_32=5), sctlr_el1=5, ttbr0_el1=0x2000,
        tcr2_el1=2, vtcr_el2=regs.vtcr_el2 | 1 << 36,
    )  # fmt: skip
    words[0x2000] = 0b11 | 1 << 10
    result = flat_walk(regs, words, 0x10)
    assert result.stage1 is not None and result.stage2 is not None
    assert (result.stage1.el1, result.stage2.el1) == (None, None)
    assert sum("indirect permissions" in line for line in walk_lines(result)) == 2


def test_nested_virtualization_moves_permissions() -> None:
    """HCR_EL2.{NV, NV1} = {1, 1}: bit 54 is PXN; with NV1 alone nothing moves."""
    page = 0b11 | 1 << 10 | 1 << 54
    regs = replace(BASE, sctlr_el1=1, ttbr0_el1=0x2000, tcr_el1=pack(b5_0=47, b15_14=1, b34_32=5))
    for hcr, label in ((3 << 42, "rw-"), (1 << 43, "rwx"), (0, "rwx")):
        stage1 = flat_walk(replace(regs, hcr_el2=hcr), {0x2000: page}, 0).stage1
        assert stage1 is not None and stage1.el1 is not None
        assert stage1.el1.label == label
