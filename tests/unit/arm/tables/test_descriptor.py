# SPDX-License-Identifier: GPL-2.0-only
"""Descriptors: recorded real ones, every field by its bit numbers, and which levels have what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.arm.memtype import Shareability, decode_memattr
from harness.arm.tables.descriptor import (
    DescriptorKind,
    Granule,
    InvalidDescriptor,
    Layout,
    Stage1Leaf,
    Stage2Leaf,
    TableDescriptor,
    decode_stage1,
    decode_stage2,
    descriptor_kind,
    size_label,
)
from harness.arm.tables.permissions import stage1_access, stage2_access
from tests.unit.arm.arm_tables import BLOCKS
from tests.unit.arm.table_builder import pack

GRANULES = {"4k": Granule.G4K, "16k": Granule.G16K, "64k": Granule.G64K}
PAGE = Layout()


def stage1(descriptor: int, level: int = 3, layout: Layout = PAGE) -> Stage1Leaf:
    entry = decode_stage1(descriptor, level, layout)
    assert isinstance(entry, Stage1Leaf)
    return entry


def stage2(descriptor: int, level: int = 3, layout: Layout = PAGE) -> Stage2Leaf:
    entry = decode_stage2(descriptor, level, layout)
    assert isinstance(entry, Stage2Leaf)
    return entry


@pytest.mark.parametrize(
    ("descriptor", "memattr", "name"),
    [(0x400080000007C7, 0x1, "Device-nGnRE"), (0x400080000007D7, 0x5, "Normal-NC")],
)
def test_recorded_stage2_leaf(descriptor: int, memattr: int, name: str) -> None:
    """The leaf of a vfio-pci BAR as KVM of 6.1 wrote it, without and with a four-line patch."""
    leaf = stage2(descriptor)
    assert leaf.memattr == memattr
    for fwb in (False, True):
        assert decode_memattr(leaf.memattr, fwb=fwb).name == name
    assert (leaf.address, leaf.size, leaf.kind) == (0x80_0000_0000, 4096, DescriptorKind.PAGE)
    assert (leaf.s2ap, leaf.xn, leaf.af, leaf.contiguous) == (3, 2, True, False)
    assert leaf.sh is Shareability.INNER
    el1, el0 = stage2_access(leaf.s2ap, leaf.xn)
    assert (el1.label, el0.label) == ("rw-", "rw-")


# bits of a leaf -> the field that must change, and to what
STAGE1_FIELDS: list[tuple[dict[str, int], dict[str, Any]]] = [
    ({"b4_2": 5}, {"attr_index": 5}),
    ({"b5": 1}, {"ns": True}),
    ({"b7_6": 2}, {"ap": 2}),
    ({"b9_8": 3}, {"sh": Shareability.INNER}),
    ({"b10": 1}, {"af": True}),
    ({"b11": 1}, {"ng": True}),
    ({"b47_12": 0xABCDE1234}, {"address": 0xABCDE1234000}),
    ({"b50": 1}, {"guarded": True}),
    ({"b51": 1}, {"dbm": True}),
    ({"b52": 1}, {"contiguous": True}),
    ({"b53": 1}, {"pxn": True}),
    ({"b54": 1}, {"uxn": True}),
    ({"b58_55": 9}, {"software": 9}),
    ({"b62_59": 6}, {"pbha": 6}),
    ({"b4_2": 7}, {"attr_index": 7}),
    ({"b7_6": 3}, {"ap": 3}),
    ({"b58_55": 15}, {"software": 15}),
    ({"b62_59": 15}, {"pbha": 15}),
    ({"b47_12": 2**36 - 1}, {"address": 2**48 - 2**12}),
]
STAGE2_FIELDS: list[tuple[dict[str, int], dict[str, Any]]] = [
    ({"b5_2": 13}, {"memattr": 13}),
    ({"b7_6": 2}, {"s2ap": 2}),
    ({"b9_8": 2}, {"sh": Shareability.OUTER}),
    ({"b10": 1}, {"af": True}),
    ({"b11": 1}, {"fnxs": True}),
    ({"b47_12": 0x123456789}, {"address": 0x123456789000}),
    ({"b51": 1}, {"dbm": True}),
    ({"b52": 1}, {"contiguous": True}),
    ({"b54_53": 1}, {"xn": 1}),
    ({"b54_53": 2}, {"xn": 2}),
    ({"b55": 1}, {"ns": True, "software": 1}),
    ({"b62_59": 3}, {"pbha": 3}),
    ({"b5_2": 15}, {"memattr": 15}),
    ({"b7_6": 3}, {"s2ap": 3}),
    ({"b54_53": 3}, {"xn": 3}),
    ({"b58_56": 7}, {"software": 14}),
    ({"b62_59": 15}, {"pbha": 15}),
    ({"b47_12": 2**36 - 1}, {"address": 2**48 - 2**12}),
]


@pytest.mark.parametrize(("set_bits", "change"), STAGE1_FIELDS)
def test_stage1_field(set_bits: dict[str, int], change: dict[str, Any]) -> None:
    assert stage1(0b11 + pack(**set_bits)) == replace(stage1(0b11), **change)


@pytest.mark.parametrize(("set_bits", "change"), STAGE2_FIELDS)
def test_stage2_field(set_bits: dict[str, int], change: dict[str, Any]) -> None:
    assert stage2(0b11 + pack(**set_bits)) == replace(stage2(0b11), **change)


@pytest.mark.parametrize("granule", ["4k", "16k", "64k"])
def test_bits_above_47_are_no_address_without_52_bits(granule: str) -> None:
    layout = Layout(GRANULES[granule])
    more = pack(b49_48=3)
    assert stage2(0b11 + more, layout=layout) == stage2(0b11, layout=layout)
    assert decode_stage1(0b11 + more, 2, layout) == TableDescriptor(0)


def test_nt_is_a_bit_of_blocks_only() -> None:
    assert stage2(0b01 + pack(b16=1), level=2).nt
    assert not stage2(0b11 + pack(b16=1)).nt
    assert stage2(0b11 + pack(b16=1)).address == 0x10000


def test_table_attributes_of_stage1() -> None:
    plain = decode_stage1(0x40000003, 1, PAGE)
    assert plain == TableDescriptor(0x40000000)
    everything = 0x40000003 + pack(b63=1, b62_61=3, b60=1, b59=1)
    assert decode_stage1(everything, 1, PAGE) == TableDescriptor(0x40000000, 3, True, True, True)
    for set_bits, table in (
        ({"b63": 1}, TableDescriptor(0x40000000, ns_table=True)),
        ({"b62_61": 2}, TableDescriptor(0x40000000, ap_table=2)),
        ({"b60": 1}, TableDescriptor(0x40000000, uxn_table=True)),
        ({"b59": 1}, TableDescriptor(0x40000000, pxn_table=True)),
    ):
        assert decode_stage1(0x40000003 + pack(**set_bits), 1, PAGE) == table
    # Stage-2 tables have no attributes.
    assert decode_stage2(everything, 1, PAGE) == TableDescriptor(0x40000000)


def test_nv1_moves_the_permission_bits() -> None:
    nv1 = Layout(nv1=True)
    leaf = stage1(0b11 + pack(b7_6=3, b54=1), layout=nv1)
    assert (leaf.ap, leaf.uxn, leaf.pxn) == (2, False, True)
    leaf = stage1(0b11 + pack(b53=1), layout=nv1)
    assert (leaf.uxn, leaf.pxn) == (False, False)
    table = decode_stage1(0b11 + pack(b62_61=3, b60=1, b59=0), 1, nv1)
    assert table == TableDescriptor(0, ap_table=2, pxn_table=True)


def test_indirect_permissions() -> None:
    pie = Layout(pie=True)
    descriptor = 0b11 + pack(b54_53=2, b51=1, b6=1)
    assert stage1(descriptor, layout=pie).pi_index == 0b1011
    assert stage2(descriptor, layout=pie).pi_index == 0b1011
    assert not stage1(descriptor, layout=pie).dbm
    assert stage1(descriptor).pi_index is None
    assert "PIIndex=0xb" in stage1(descriptor, layout=pie).describe()


@pytest.mark.parametrize("granule", ["4k", "16k", "64k"])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("level", [-1, 0, 1, 2, 3])
def test_kind(granule: str, wide: bool, level: int) -> None:
    layout = Layout(GRANULES[granule], wide=wide)
    for low in (0b00, 0b10):
        assert descriptor_kind(low, level, layout) is DescriptorKind.INVALID
    block = level in BLOCKS[granule][wide]
    assert descriptor_kind(0b01, level, layout) is (
        DescriptorKind.BLOCK if block else DescriptorKind.RESERVED
    )
    assert descriptor_kind(0b11, level, layout) is (
        DescriptorKind.PAGE if level == 3 else DescriptorKind.TABLE
    )
    for decode in (decode_stage1, decode_stage2):
        assert isinstance(decode(0b01, level, layout), InvalidDescriptor) is not block


# granule, wide, level, descriptor's address bits -> output address, size
LEAVES = [
    ("4k", False, 3, {"b47_12": 0x812345678}, 0x812345678000, "4K"),
    ("4k", False, 2, {"b47_12": 0x812345678}, 0x812345600000, "2M"),
    ("4k", False, 1, {"b47_12": 0x812345678}, 0x812340000000, "1G"),
    ("4k", True, 0, {"b47_39": 0x1FF, "b49_48": 3, "b9_8": 2}, 0xBFF8000000000, "512G"),
    ("4k", True, 3, {"b47_12": 1, "b49_48": 2, "b9_8": 1}, 0x6000000001000, "4K"),
    ("16k", False, 3, {"b47_12": 0x812345678}, 0x812345678000, "16K"),
    ("16k", False, 2, {"b47_12": 0x812345678}, 0x812344000000, "32M"),
    ("16k", True, 1, {"b47_36": 0xFFF, "b9_8": 3}, 0xCFFF000000000, "64G"),
    ("64k", False, 3, {"b47_16": 0x81234567, "b15_12": 0xF}, 0x812345670000, "64K"),
    ("64k", False, 2, {"b47_16": 0x81234567}, 0x812340000000, "512M"),
    ("64k", True, 3, {"b47_16": 0x81234567, "b15_12": 0xA}, 0xA812345670000, "64K"),
    ("64k", True, 1, {"b47_42": 0x21, "b15_12": 0x5}, 0x5840000000000, "4T"),
]


@pytest.mark.parametrize(("granule", "wide", "level", "set_bits", "address", "size"), LEAVES)
def test_output_address(
    granule: str, wide: bool, level: int, set_bits: dict[str, int], address: int, size: str
) -> None:
    layout = Layout(GRANULES[granule], wide=wide)
    descriptor = (0b11 if level == 3 else 0b01) + pack(**set_bits)
    for leaf in (stage1(descriptor, level, layout), stage2(descriptor, level, layout)):
        assert leaf.address == address
        assert size_label(leaf.size) == size


def test_lpa2_takes_shareability_from_the_register() -> None:
    layout = Layout(wide=True, sh=Shareability.INNER)
    assert stage1(0b11 + pack(b9_8=2), layout=layout).sh is Shareability.INNER
    # 64K granules with 52 bits keep SH in the descriptor.
    large = Layout(Granule.G64K, wide=True, sh=Shareability.INNER)
    assert stage1(0b11 + pack(b9_8=2), layout=large).sh is Shareability.OUTER


# AP[2:1], UXN, PXN, APTable, WXN -> EL1, EL0
STAGE1_ACCESS = [
    (0b00, 0, 0, 0b00, 0, "rwx", "--x"),
    (0b01, 0, 0, 0b00, 0, "rw-", "rwx"),
    (0b10, 0, 0, 0b00, 0, "r-x", "--x"),
    (0b11, 0, 0, 0b00, 0, "r-x", "r-x"),
    (0b00, 1, 1, 0b00, 0, "rw-", "---"),
    (0b01, 1, 0, 0b00, 0, "rw-", "rw-"),
    (0b11, 1, 0, 0b00, 0, "r-x", "r--"),
    (0b01, 0, 0, 0b01, 0, "rwx", "--x"),
    (0b01, 0, 0, 0b10, 0, "r-x", "r-x"),
    (0b01, 0, 0, 0b11, 0, "r-x", "--x"),
    (0b00, 0, 0, 0b00, 1, "rw-", "--x"),
    (0b01, 0, 0, 0b00, 1, "rw-", "rw-"),
    (0b11, 0, 0, 0b00, 1, "r-x", "r-x"),
]


@pytest.mark.parametrize(("ap", "uxn", "pxn", "ap_table", "wxn", "el1", "el0"), STAGE1_ACCESS)
def test_stage1_access(
    ap: int, uxn: int, pxn: int, ap_table: int, wxn: int, el1: str, el0: str
) -> None:
    access = stage1_access(ap, uxn=bool(uxn), pxn=bool(pxn), ap_table=ap_table, wxn=bool(wxn))
    assert tuple(one.label for one in access) == (el1, el0)


def test_table_execute_never() -> None:
    pxn_el1, pxn_el0 = stage1_access(0b11, uxn=False, pxn=False, pxn_table=True)
    assert (pxn_el1.label, pxn_el0.label) == ("r--", "r-x")
    uxn_el1, uxn_el0 = stage1_access(0b11, uxn=False, pxn=False, uxn_table=True)
    assert (uxn_el1.label, uxn_el0.label) == ("r-x", "r--")


# XN[1:0] -> EL1, EL0 with FEAT_XNX, and without
STAGE2_XN = [
    (0b00, ("rwx", "rwx"), ("rwx", "rwx")),
    (0b01, ("rw-", "rwx"), ("rwx", "rwx")),
    (0b10, ("rw-", "rw-"), ("rw-", "rw-")),
    (0b11, ("rwx", "rw-"), ("rw-", "rw-")),
]


@pytest.mark.parametrize(("xn", "with_xnx", "without"), STAGE2_XN)
def test_stage2_execute_never(xn: int, with_xnx: tuple[str, str], without: tuple[str, str]) -> None:
    assert tuple(one.label for one in stage2_access(3, xn)) == with_xnx
    assert tuple(one.label for one in stage2_access(3, xn, xnx=False)) == without


def test_stage2_read_write() -> None:
    assert [stage2_access(s2ap, 2)[0].label for s2ap in range(4)] == ["---", "r--", "-w-", "rw-"]


def test_words() -> None:
    leaf = stage1(0x00E8000040000F8B)
    assert leaf.describe() == (
        "page at 0x40000000 (4K), AttrIndx=2, AP[2:1]=0b10, UXN, PXN, nG, "
        "inner shareable, AF=1, DBM, software=0x1"
    )
    text = stage2(0x400080000007C7).describe()
    assert text == (
        "page at 0x8000000000 (4K), MemAttr=0x1, S2AP=0b11, XN[1:0]=0b10, inner shareable, AF=1"
    )
    table = decode_stage1(0x1800000040000003, 1, PAGE)
    assert table.describe() == "table at 0x40000000, UXNTable, PXNTable"
    assert decode_stage2(0, 1, PAGE).describe() == "invalid descriptor"
