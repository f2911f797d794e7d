# SPDX-License-Identifier: GPL-2.0-only
"""ESR_ELx values in words, and the fault status codes typed in from the Arm ARM."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.arm.iss import STATUS_CODES, fault_status
from harness.arm.syndrome import decode_esr
from harness.arm.sysreg import NAMES, sysreg_name
from tests.unit.arm.table_builder import pack


def esr(ec: int, **iss: int) -> int:
    return pack(b31_26=ec, b25=1, **iss)


def test_alignment_fault_that_kills_a_vm() -> None:
    """`Unsupported FSC: EC=0x24 xFSC=0x21`: what KVM says of Device memory read unaligned."""
    syndrome = decode_esr(esr(0x24, b5_0=0x21))
    assert (syndrome.ec, syndrome.il, syndrome.field("DFSC")) == (0x24, True, 0x21)
    assert syndrome.summary() == "data abort from a lower exception level: alignment fault, read"


SUMMARIES = [
    (
        esr(0x24, b24=1, b23_22=3, b20_16=7, b15=1, b6=1, b5_0=0x07),
        "data abort from a lower exception level: translation fault, level 3, write, 8 bytes, "
        "register x7",
    ),
    (
        esr(0x24, b24=1, b23_22=1, b21=1, b20_16=31, b14=1, b5_0=0x0D),
        "data abort from a lower exception level: permission fault, level 1, read, 2 bytes, "
        "sign-extended, register wzr, acquire or release",
    ),
    (
        esr(0x25, b10=1, b9=1, b12_11=2, b5_0=0x10),
        "data abort from the same exception level: synchronous external abort, uncontainable, "
        "external, FAR is not valid, read",
    ),
    (
        esr(0x24, b7=1, b8=1, b6=1, b5_0=0x06),
        "data abort from a lower exception level: translation fault, level 2, on the walk of a "
        "stage-1 table, write, cache maintenance or address translation instruction",
    ),
    (
        esr(0x25, b13=1, b5_0=0x2B),
        "data abort from the same exception level: translation fault, level -1, read, memory "
        "access of a register at VNCR_EL2",
    ),
    (
        esr(0x20, b5_0=0x0F),
        "instruction abort from a lower exception level: permission fault, level 3",
    ),
    (
        esr(0x21, b5_0=0x14),
        "instruction abort from the same exception level: synchronous external abort on a table "
        "walk, level 0",
    ),
    (esr(0x2F, b12_10=3, b5_0=0x11), "SError: asynchronous SError exception, recoverable"),
    (esr(0x2F, b5_0=0x00), "SError: uncategorized"),
    (esr(0x2F, b24=1), "SError: implementation defined syndrome"),
    (esr(0x01, b24=1, b23_20=14, b1_0=0), "WFI, WFE, WFIT or WFET trapped: WFI"),
    (
        esr(0x01, b1_0=3, b2=1, b9_5=9),
        "WFI, WFE, WFIT or WFET trapped: WFET, register x9",
    ),
    (esr(0x16, b15_0=0), "HVC in AArch64 state: #0x0"),
    (esr(0x17, b15_0=0x1234), "SMC in AArch64 state: #0x1234"),
    (esr(0x15, b15_0=1), "SVC in AArch64 state: #0x1"),
    (esr(0x3C, b15_0=0x800), "BRK in AArch64 state: #0x800"),
    (
        esr(0x18, b21_20=3, b13_10=12, b4_1=11, b19_17=5, b9_5=3),
        "MSR, MRS or system instruction trapped: write to ICC_SGI1R_EL1, register x3",
    ),
    (
        esr(0x18, b21_20=3, b16_14=7, b13_10=15, b4_1=2, b19_17=1, b9_5=31, b0=1),
        "MSR, MRS or system instruction trapped: read of S3_7_C15_C2_1, register xzr",
    ),
    (
        esr(0x18, b21_20=1, b13_10=7, b4_1=6, b19_17=2, b9_5=4),
        "MSR, MRS or system instruction trapped: system instruction DC ISW, register x4",
    ),
    (esr(0x03, b24=1, b23_20=14, b0=1), "MCR or MRC (coproc=0b1111) trapped: read"),
    (esr(0x04), "MCRR or MRRC (coproc=0b1111) trapped: write"),
    (esr(0x1A), "ERET, ERETAA or ERETAB trapped: ERET"),
    (esr(0x1A, b1_0=3), "ERET, ERETAA or ERETAB trapped: ERETAB"),
    (esr(0x1D, b2_0=2), "SME trapped: not in Streaming SVE mode"),
    (esr(0x2C, b23=1, b1=1), "floating-point exception in AArch64 state: divide by zero"),
    (esr(0x30, b5_0=0x22), "breakpoint from a lower exception level: debug exception"),
    (
        esr(0x33, b24=1, b6=1, b5_0=0x22),
        "software step from the same exception level: debug exception, a load-exclusive was "
        "stepped",
    ),
    (esr(0x34, b6=1, b5_0=0x22), "watchpoint from a lower exception level: write"),
    (esr(0x22), "PC alignment fault"),
    (esr(0x00), "unknown reason"),
    (esr(0x3F), "reserved exception class 0x3f"),
    (
        esr(0x24, b5_0=0x3A),
        "data abort from a lower exception level: reserved fault status 0x3a, read",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("value", "summary"), SUMMARIES)
def test_summary(value: int, summary: str) -> None:
    assert decode_esr(value).summary() == summary


# DFSC and IFSC
CODES = """
0x00 address size fault, level 0
0x01 address size fault, level 1
0x02 address size fault, level 2
0x03 address size fault, level 3
0x04 translation fault, level 0
0x05 translation fault, level 1
0x06 translation fault, level 2
0x07 translation fault, level 3
0x08 access flag fault, level 0
0x09 access flag fault, level 1
0x0a access flag fault, level 2
0x0b access flag fault, level 3
0x0c permission fault, level 0
0x0d permission fault, level 1
0x0e permission fault, level 2
0x0f permission fault, level 3
0x10 synchronous external abort
0x11 synchronous tag check fault
0x12 synchronous external abort on a table walk, level -2
0x13 synchronous external abort on a table walk, level -1
0x14 synchronous external abort on a table walk, level 0
0x15 synchronous external abort on a table walk, level 1
0x16 synchronous external abort on a table walk, level 2
0x17 synchronous external abort on a table walk, level 3
0x18 synchronous parity or ECC error
0x1b synchronous parity or ECC error on a table walk, level -1
0x1c synchronous parity or ECC error on a table walk, level 0
0x1d synchronous parity or ECC error on a table walk, level 1
0x1e synchronous parity or ECC error on a table walk, level 2
0x1f synchronous parity or ECC error on a table walk, level 3
0x21 alignment fault
0x22 granule protection fault on a table walk, level -2
0x23 granule protection fault on a table walk, level -1
0x24 granule protection fault on a table walk, level 0
0x25 granule protection fault on a table walk, level 1
0x26 granule protection fault on a table walk, level 2
0x27 granule protection fault on a table walk, level 3
0x28 granule protection fault
0x29 address size fault, level -1
0x2a translation fault, level -2
0x2b translation fault, level -1
0x2c address size fault, level -2
0x30 TLB conflict
0x31 unsupported atomic hardware update
0x34 implementation defined fault (lockdown)
0x35 implementation defined fault (unsupported exclusive or atomic access)
"""


def test_fault_status_codes() -> None:
    rows = [line.split(" ", 1) for line in CODES.split("\n") if line]
    assert {int(code, 16): words for code, words in rows} == STATUS_CODES
    assert fault_status(0x20) == "reserved fault status 0x20"


def test_fields_without_a_valid_syndrome() -> None:
    syndrome = decode_esr(esr(0x24, b20_16=5, b5_0=0x21))
    assert syndrome.field("ISV") == 0
    assert syndrome.field("SRT") is None and syndrome.words("SRT") == ""


def test_coprocessor_fields() -> None:
    """Neighbours of a field are ones where the field is zero, and the other way round."""
    mcr = decode_esr(esr(0x03, b19_17=5, b16_14=2, b13_10=9, b9_5=21, b4_1=6, b0=1))
    names = ("Opc2", "Opc1", "CRn", "Rt", "CRm", "Dir", "CV")
    assert [mcr.field(name) for name in names] == [5, 2, 9, 21, 6, 1, 0]
    mcrr = decode_esr(esr(0x04, b24=1, b23_20=11, b19_16=6, b14_10=21, b9_5=10, b4_1=9))
    names = ("CV", "COND", "Opc1", "Rt2", "Rt", "CRm", "Dir")
    assert [mcrr.field(name) for name in names] == [1, 11, 6, 21, 10, 9, 0]


def test_lines() -> None:
    value = pack(b31_26=0x16, b15_0=3, b36_32=0x11)
    assert decode_esr(value).lines() == [
        "ESR 0x1158000003: HVC in AArch64 state: #0x3",
        "  EC   0x16  HVC in AArch64 state",
        "  IL   0     16-bit instruction",
        "  ISS  0x0000003",
        "  ISS2 0x000011",
        "    imm16   0x3  #0x3",
    ]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_any_value_decodes(value: int) -> None:
    syndrome = decode_esr(value)
    assert syndrome.lines()[0].startswith(f"ESR {value:#x}: {syndrome.ec_words}")
    assert syndrome.iss == value % 2**25


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ((3, 0, 1, 0, 0), "SCTLR_EL1"),
        ((3, 0, 2, 0, 2), "TCR_EL1"),
        ((3, 0, 10, 2, 0), "MAIR_EL1"),
        ((3, 0, 0, 7, 0), "ID_AA64MMFR0_EL1"),
        ((1, 0, 7, 8, 0), "AT S1E1R"),
        ((2, 0, 1, 0, 4), "OSLAR_EL1"),
        ((3, 3, 14, 2, 1), "CNTP_CTL_EL0"),
        ((3, 4, 15, 15, 7), "S3_4_C15_C15_7"),
    ],
)
def test_system_register_names(encoding: tuple[int, int, int, int, int], name: str) -> None:
    assert sysreg_name(*encoding) == name


def test_system_register_table_is_well_formed() -> None:
    assert len(set(NAMES.values())) == len(NAMES)
    for op0, op1, crn, crm, op2 in NAMES:
        assert op0 in (1, 2, 3) and op1 < 8 and crn < 16 and crm < 16 and op2 < 8
