# SPDX-License-Identifier: GPL-2.0-only
"""Register fields, and what they say about where a vCPU is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.arm.bits import bit, bits, mask, swap64
from harness.arm.regs import FIELDS, Regs, runs_guest
from harness.base.errors import MachineError

BASE = Regs(*[0] * 9)

# Names in the case QEMU's gdb stub has them, and one that is of no interest; composed values.
STUB = {
    "TTBR0_EL1": 0x0001000041D5F000,
    "TTBR1_EL1": 0x0000000042E3D000,
    "TCR_EL1": 0x00000032B5593519,
    "MAIR_EL1": 0x000000040044FFFF,
    "SCTLR_EL1": 0x30D0198D,
    "VTTBR_EL2": 0x0001000045A60000,
    "VTCR_EL2": 0x0000000080023558,
    "HCR_EL2": 0x00004000C6780000 | 1 << 34 | 1,
    "cpsr": 0x600000C5,
    "DBGBVR0": 5,
}


def test_from_names() -> None:
    regs = Regs.from_names(STUB)
    assert regs.vttbr_el2 == 0x0001000045A60000
    assert regs.el == 1
    assert runs_guest(regs.cpsr, regs.hcr_el2) and regs.stage2_on and regs.vhe
    assert regs.flag("hcr_el2", "FWB")
    fields = {"T0SZ": 24, "SL0": 1, "TG0": 0, "PS": 2, "SH0": 3}
    assert {name: regs.field("vtcr_el2", name) for name in fields} == fields
    fields = {"T0SZ": 25, "T1SZ": 25, "TG0": 0, "TG1": 2, "IPS": 2}
    assert {name: regs.field("tcr_el1", name) for name in fields} == fields
    assert regs.pa_bits is None and regs.xnx


def test_every_missing_register_is_named() -> None:
    values = {name: 0 for name in STUB if name not in ("VTTBR_EL2", "cpsr")}
    with pytest.raises(MachineError) as caught:
        Regs.from_names(values)
    assert str(caught.value).startswith("registers missing: VTTBR_EL2, CPSR;")


# CPSR, HCR_EL2 -> whether a guest runs
IN_GUEST = [
    (0b0101, 1, True),
    (0b0000, 1, True),
    (0b0101, 0, False),
    (0b1001, 1, False),
    (0b0000, 1 | 1 << 27, False),
    (0b0101, 1 << 12, False),
]


@pytest.mark.parametrize(("cpsr", "hcr", "running"), IN_GUEST)
def test_runs_guest(cpsr: int, hcr: int, running: bool) -> None:
    assert runs_guest(cpsr, hcr) is running


# Bit numbers of the fields, typed again from the register descriptions.
BITS = {
    ("hcr_el2", 0): "VM", ("hcr_el2", 2): "PTW", ("hcr_el2", 12): "DC", ("hcr_el2", 27): "TGE",
    ("hcr_el2", 31): "RW", ("hcr_el2", 32): "CD", ("hcr_el2", 33): "ID", ("hcr_el2", 34): "E2H",
    ("hcr_el2", 42): "NV", ("hcr_el2", 43): "NV1", ("hcr_el2", 45): "NV2", ("hcr_el2", 46): "FWB",
    ("hcr_el2", 57): "DCT",
    ("sctlr_el1", 0): "M", ("sctlr_el1", 2): "C", ("sctlr_el1", 12): "I", ("sctlr_el1", 19): "WXN",
    ("sctlr_el1", 25): "EE", ("sctlr_el2", 25): "EE",
    ("tcr_el1", 7): "EPD0", ("tcr_el1", 23): "EPD1", ("tcr_el1", 37): "TBI0",
    ("tcr_el1", 38): "TBI1", ("tcr_el1", 39): "HA", ("tcr_el1", 40): "HD", ("tcr_el1", 41): "HPD0",
    ("tcr_el1", 42): "HPD1", ("tcr_el1", 51): "TBID0", ("tcr_el1", 52): "TBID1",
    ("tcr_el1", 55): "E0PD0", ("tcr_el1", 56): "E0PD1", ("tcr_el1", 59): "DS",
    ("tcr_el1", 60): "MTX0", ("tcr_el1", 61): "MTX1",
    ("tcr2_el1", 1): "PIE", ("tcr2_el1", 4): "AIE", ("tcr2_el1", 5): "D128",
    ("vtcr_el2", 19): "VS", ("vtcr_el2", 21): "HA", ("vtcr_el2", 22): "HD", ("vtcr_el2", 32): "DS",
    ("vtcr_el2", 33): "SL2", ("vtcr_el2", 36): "S2PIE", ("vtcr_el2", 38): "D128",
    ("vttbr_el2", 0): "CnP", ("ttbr0_el1", 0): "CnP", ("ttbr1_el1", 0): "CnP", ("cpsr", 4): "nRW",
    ("hpfar_el2", 63): "NS",
}  # fmt: skip


def test_flags_are_where_the_arm_arm_has_them() -> None:
    singles = {
        (register, high): name
        for register, fields in FIELDS.items()
        for name, (high, low) in fields.items()
        if high == low
    }
    assert singles == BITS


@pytest.mark.parametrize(
    ("parange", "size"), [(0, 32), (1, 36), (2, 40), (3, 42), (4, 44), (5, 48), (6, 52), (7, 56)]
)
def test_pa_bits(parange: int, size: int) -> None:
    assert replace(BASE, id_aa64mmfr0_el1=parange).pa_bits == size


def test_xnx() -> None:
    assert not replace(BASE, id_aa64mmfr1_el1=0).xnx
    assert replace(BASE, id_aa64mmfr1_el1=1 << 28).xnx


def test_bits() -> None:
    assert bits(0xABCD, 11, 4) == 0xBC
    assert (bit(8, 3), bit(8, 2)) == (True, False)
    assert (mask(4), mask(0), mask(-3)) == (15, 0, 0)
    assert swap64(0x0102030405060708) == 0x0807060504030201
