# SPDX-License-Identifier: GPL-2.0-only
"""MAIR bytes and stage-2 MemAttr against tables typed in from the Arm ARM."""

from __future__ import annotations

import pytest

from harness.arm.memtype import (
    MAIR_BYTES,
    Cache,
    Rule,
    Shareability,
    decode_mair,
    decode_mair_byte,
    decode_memattr,
)

# Rows: the high half (outer, 0 to f); columns: the low half (inner). E e r g: Device nGnRnE to
# GRE; two letters: outer, inner with N T B for NC WT WB; `.` reserved. (MAIR_EL1, all extensions.)
MAIR_GRID = """
E E . . e e . . r r . . g g . .
. TT TT TT TN TB TB TB TT TT TT TT TB TB TB TB
. TT TT TT TN TB TB TB TT TT TT TT TB TB TB TB
. TT TT TT TN TB TB TB TT TT TT TT TB TB TB TB
NN NT NT NT NN NB NB NB NT NT NT NT NB NB NB NB
. BT BT BT BN BB BB BB BT BT BT BT BB BB BB BB
. BT BT BT BN BB BB BB BT BT BT BT BB BB BB BB
. BT BT BT BN BB BB BB BT BT BT BT BB BB BB BB
. TT TT TT TN TB TB TB TT TT TT TT TB TB TB TB
. TT TT TT TN TB TB TB TT TT TT TT TB TB TB TB
TT TT TT TT TN TB TB TB TT TT TT TT TB TB TB TB
. TT TT TT TN TB TB TB TT TT TT TT TB TB TB TB
. BT BT BT BN BB BB BB BT BT BT BT BB BB BB BB
. BT BT BT BN BB BB BB BT BT BT BT BB BB BB BB
. BT BT BT BN BB BB BB BT BT BT BT BB BB BB BB
BB BT BT BT BN BB BB BB BT BT BT BT BB BB BB BB
"""
DEVICES = {
    "E": "Device-nGnRnE",
    "e": "Device-nGnRE",
    "r": "Device-nGRE",
    "g": "Device-GRE",
    ".": "reserved",
}
POLICIES = {"N": "NC", "T": "WT", "B": "WB"}


def grid_name(cell: str) -> str:
    if cell in DEVICES:
        return DEVICES[cell]
    outer, inner = POLICIES[cell[0]], POLICIES[cell[1]]
    return f"Normal-{outer}" if outer == inner else f"Normal-inner-{inner}-outer-{outer}"


def test_every_mair_byte() -> None:
    rows = [row.split() for row in MAIR_GRID.split("\n") if row]
    cells = [cell for row in rows for cell in row]
    assert len(cells) == 256
    for byte, cell in enumerate(cells):
        memory = decode_mair_byte(byte)
        assert memory.name == grid_name(cell), hex(byte)
        assert bool(memory.reserved) == (cell == "."), hex(byte)


@pytest.mark.parametrize(
    ("byte", "text"),
    [
        (0x00, "Device-nGnRnE"),
        (0x01, "Device-nGnRnE, XS=0"),
        (0x0D, "Device-GRE, XS=0"),
        (0x02, "reserved (MAIR byte 0x02: Device with bit 1 set)"),
        (0x30, "reserved (MAIR byte 0x30: no inner attribute)"),
        (0x40, "Normal-NC, XS=0"),
        (0x44, "Normal-NC"),
        (0xA0, "Normal-WT, RA, XS=0"),
        (0xBB, "Normal-WT, RA WA"),
        (0x88, "Normal-WT"),
        (0xFF, "Normal-WB, RA WA"),
        (0xF0, "Normal-WB, RA WA, tagged"),
        (0x77, "Normal-WB, RA WA transient"),
        (0x12, "Normal-WT, inner WT RA transient, outer WT WA transient"),
        (0x4F, "Normal-inner-WB-outer-NC, inner WB RA WA, outer NC"),
    ],
)
def test_mair_byte_in_words(byte: int, text: str) -> None:
    assert decode_mair_byte(byte).describe() == text


@pytest.mark.parametrize(
    ("byte", "xs"),
    [
        (0x00, True),
        (0x01, False),
        (0x44, True),
        (0x40, False),
        (0xBB, True),
        (0xA0, False),
        (0xFF, False),
        (0xF0, False),
        (0x4F, True),
    ],
)
def test_xs(byte: int, xs: bool) -> None:
    assert decode_mair_byte(byte).xs is xs


def test_mair_register_of_a_guest() -> None:
    """What Linux on arm64 has: nGnRE would be Attr4 here, NC Attr2."""
    names = [memory.name for memory in decode_mair(0x000000FF_0C0444FF)]
    assert names[:5] == ["Normal-WB", "Normal-NC", "Device-nGnRE", "Device-GRE", "Normal-WB"]
    assert names[5:] == ["Device-nGnRnE"] * 3


def test_names_of_the_seven_types() -> None:
    assert list(MAIR_BYTES.values()) == [0x00, 0x04, 0x08, 0x0C, 0x44, 0xBB, 0xFF]
    for name, byte in MAIR_BYTES.items():
        assert decode_mair_byte(byte).name == name


# MemAttr -> name without FWB, name with FWB.
MEMATTR = {
    0x0: ("Device-nGnRnE", "Device-nGnRnE"),
    0x1: ("Device-nGnRE", "Device-nGnRE"),
    0x2: ("Device-nGRE", "Device-nGRE"),
    0x3: ("Device-GRE", "Device-GRE"),
    0x4: ("reserved", "reserved"),
    0x5: ("Normal-NC", "Normal-NC"),
    0x6: ("Normal-inner-WT-outer-NC", "Normal-WB"),
    0x7: ("Normal-inner-WB-outer-NC", "as stage 1"),
    0x8: ("reserved", "reserved"),
    0x9: ("Normal-inner-NC-outer-WT", "reserved"),
    0xA: ("Normal-WT", "reserved"),
    0xB: ("Normal-inner-WB-outer-WT", "reserved"),
    0xC: ("reserved", "reserved"),
    0xD: ("Normal-inner-NC-outer-WB", "reserved"),
    0xE: ("Normal-inner-WT-outer-WB", "reserved"),
    0xF: ("Normal-WB", "reserved"),
}


@pytest.mark.parametrize("value", range(16))
def test_memattr(value: int) -> None:
    off, on = decode_memattr(value, fwb=False), decode_memattr(value, fwb=True)
    assert (off.name, on.name) == MEMATTR[value]
    assert (off.rule is Rule.RESERVED) == (off.name == "reserved")
    assert (on.rule is Rule.RESERVED) == (on.name == "reserved")


@pytest.mark.parametrize(
    ("value", "fwb", "name"),
    [(0x4, False, "Normal-WB"), (0xE, True, "Normal-WB"), (0xF, True, "as stage 1")],
)
def test_memattr_of_mte_perm(value: int, fwb: bool, name: str) -> None:
    attr = decode_memattr(value, fwb=fwb, mte_perm=True)
    assert (attr.name, attr.fwb, attr.no_tag_access) == (name, fwb, True)
    without = decode_memattr(value, fwb=fwb)
    assert (without.rule, without.no_tag_access) == (Rule.RESERVED, False)
    assert "FEAT_MTE_PERM" in without.describe()


def test_cache_order_is_least_cacheable_first() -> None:
    assert sorted([Cache.WB, Cache.NC, Cache.WT]) == [Cache.NC, Cache.WT, Cache.WB]


def test_shareability_encoding() -> None:
    labels = ["non-shareable", "reserved", "outer shareable", "inner shareable"]
    assert [Shareability(value).label for value in range(4)] == labels
