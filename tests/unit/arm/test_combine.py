# SPDX-License-Identifier: GPL-2.0-only
"""Combining both stages against the tables of the Arm ARM, typed in by hand in arm_tables.py."""

from __future__ import annotations

import pytest

from harness.arm.combine import (
    Attributes,
    Combined,
    Controls,
    combine,
    stage1_attributes,
    stage1_disabled,
    stage1_enabled,
    stage1_only,
)
from harness.arm.memtype import MemType, Shareability, decode_mair_byte
from tests.unit.arm.arm_tables import MAIR, STAGE1, expected

NSH, RES, OSH, ISH = (Shareability(value) for value in range(4))


def both(
    byte: int,
    memattr: int,
    *,
    s1: Shareability = ISH,
    s2: Shareability = ISH,
    controls: Controls | None = None,
    fnxs: bool = False,
    fetch: bool = False,
) -> Combined:
    attributes = Attributes(decode_mair_byte(byte), s1)
    return combine(attributes, memattr, s2, controls or Controls(), fnxs=fnxs, fetch=fetch)


@pytest.mark.parametrize("fwb", [False, True])
@pytest.mark.parametrize("memattr", range(16))
@pytest.mark.parametrize("stage1", STAGE1)
def test_type(fwb: bool, memattr: int, stage1: str) -> None:
    result = both(MAIR[stage1], memattr, controls=Controls(fwb=fwb))
    names = expected(fwb, memattr, stage1)
    assert result.names == names
    assert result.reserved == (not names)
    assert result.ambiguous == (len(names) > 1)


def test_what_the_project_is_about() -> None:
    """ioremap_wc over the two stage-2 types a kernel may use, on both kinds of CPU."""
    for fwb in (False, True):
        assert both(0x44, 0x1, controls=Controls(fwb=fwb)).name == "Device-nGnRE"
        assert both(0x44, 0x5, controls=Controls(fwb=fwb)).name == "Normal-NC"
        assert both(0x04, 0x5, controls=Controls(fwb=fwb)).name == "Device-nGnRE"
    assert both(0x04, 0x6, controls=Controls(fwb=True)).name == "Normal-WB"


def test_ambiguous_cell_has_both_readings() -> None:
    result = both(0x00, 0x3, controls=Controls(fwb=True))
    assert result.name == "Device-nGnRnE or Device-GRE"
    assert "disagree" in result.note
    assert result.type is not None and result.type.name == "Device-nGnRnE"


# stage-1 MAIR byte, MemAttr, FWB -> what is kept of hints, transience, tags and XS (which is 0
# for a Write-Back stage 1, and stays so under a stage 2 that makes it less cacheable)
HINTS = [
    (0xFF, 0xF, False, "Normal-WB, RA WA"),
    (0xEE, 0xF, False, "Normal-WB, RA"),
    (0xDD, 0xA, False, "Normal-WT, WA, XS=0"),
    (0x77, 0xA, False, "Normal-WT, RA WA transient, XS=0"),
    (0xFF, 0x5, False, "Normal-NC, XS=0"),
    (0xBB, 0x5, False, "Normal-NC"),
    (0xF4, 0xF, False, "Normal-inner-NC-outer-WB, inner NC, outer WB RA WA"),
    (0x4F, 0xD, False, "Normal-NC"),
    (0xF0, 0xF, False, "Normal-WB, RA WA, tagged"),
    (0xF0, 0xA, False, "Normal-WT, RA WA, XS=0"),
    (0xEE, 0x6, True, "Normal-WB, RA"),
    (0xBB, 0x6, True, "Normal-WB, RA WA"),
    (0x44, 0x6, True, "Normal-WB, RA WA"),
    (0x04, 0x6, True, "Normal-WB, RA WA"),
    (0x4E, 0x6, True, "Normal-WB, inner WB RA, outer WB RA WA"),
    (0xF0, 0x6, True, "Normal-WB, RA WA, tagged"),
    (0xF0, 0x7, True, "Normal-WB, RA WA, tagged"),
    (0xF0, 0x5, True, "Normal-NC, XS=0"),
    (0x40, 0x7, True, "Normal-NC, XS=0"),
    (0x05, 0x1, True, "Device-nGnRE, XS=0"),
    (0x40, 0x1, False, "Device-nGnRE, XS=0"),
]


@pytest.mark.parametrize(("byte", "memattr", "fwb", "text"), HINTS)
def test_hints_tags_and_xs(byte: int, memattr: int, fwb: bool, text: str) -> None:
    result = both(byte, memattr, controls=Controls(fwb=fwb))
    assert result.type is not None
    assert result.type.describe() == text


def test_fnxs_clears_xs() -> None:
    result = both(0x04, 0x5, fnxs=True)
    assert result.type is not None and result.type.describe() == "Device-nGnRE, XS=0"


# stage 1, stage 2 -> combined, for memory that is Normal and cacheable
SHAREABILITY = [
    (NSH, NSH, NSH),
    (NSH, ISH, ISH),
    (ISH, NSH, ISH),
    (ISH, ISH, ISH),
    (OSH, NSH, OSH),
    (NSH, OSH, OSH),
    (OSH, ISH, OSH),
    (ISH, OSH, OSH),
    (OSH, OSH, OSH),
    (RES, OSH, OSH),
    (RES, ISH, RES),
    (NSH, RES, RES),
]


@pytest.mark.parametrize(("s1", "s2", "result"), SHAREABILITY)
@pytest.mark.parametrize(("memattr", "fwb"), [(0xF, False), (0x6, True), (0x7, True)])
def test_shareability(
    s1: Shareability, s2: Shareability, result: Shareability, memattr: int, fwb: bool
) -> None:
    assert both(0xFF, memattr, s1=s1, s2=s2, controls=Controls(fwb=fwb)).sh is result


@pytest.mark.parametrize(
    ("byte", "memattr", "fwb"),
    [(0x04, 0xF, False), (0xFF, 0x1, False), (0x44, 0xF, False), (0xFF, 0x5, True)],
)
def test_device_and_nc_are_outer_shareable(byte: int, memattr: int, fwb: bool) -> None:
    assert both(byte, memattr, s1=NSH, s2=NSH, controls=Controls(fwb=fwb)).sh is OSH


def test_one_cacheable_side_keeps_shareability() -> None:
    assert both(0x4F, 0xF, s1=NSH, s2=ISH).sh is ISH


def test_reserved_mair_gives_no_reading() -> None:
    result = both(0x30, 0xF)
    assert result.reserved and result.type is None and result.sh is None
    assert result.describe() == "reserved (stage 1: MAIR byte 0x30: no inner attribute)"


# HCR_EL2.CD makes stage 2's Normal memory Non-cacheable for data, ID for fetches; both with FWB.
CACHE_DISABLE = [
    (0xFF, 0xF, Controls(cd=True), False, "Normal-NC"),
    (0xFF, 0xF, Controls(cd=True), True, "Normal-WB"),
    (0xFF, 0xF, Controls(icd=True), True, "Normal-NC"),
    (0xFF, 0xF, Controls(icd=True), False, "Normal-WB"),
    (0xFF, 0x6, Controls(cd=True, fwb=True), False, "Normal-NC"),
    (0xFF, 0x7, Controls(icd=True, fwb=True), True, "Normal-NC"),
    (0x04, 0xF, Controls(cd=True), False, "Device-nGnRE"),
    (0xFF, 0x1, Controls(cd=True), False, "Device-nGnRE"),
    (0xFF, 0x1, Controls(), True, "Normal-NC"),
]


@pytest.mark.parametrize(("byte", "memattr", "controls", "fetch", "name"), CACHE_DISABLE)
def test_cache_disable(byte: int, memattr: int, controls: Controls, fetch: bool, name: str) -> None:
    assert both(byte, memattr, controls=controls, fetch=fetch).name == name


# SCTLR_EL1.C and I on a stage-1 leaf.
STAGE1_CACHE = [
    (0xFF, Controls(), False, "Normal-WB"),
    (0xFF, Controls(c=False), False, "Normal-NC"),
    (0xFF, Controls(c=False), True, "Normal-WB"),
    (0xFF, Controls(i=False), True, "Normal-NC"),
    (0xFF, Controls(i=False), False, "Normal-WB"),
    (0x04, Controls(c=False), False, "Device-nGnRE"),
    (0x04, Controls(), True, "Normal-NC"),
    (0x30, Controls(c=False), False, "reserved"),
]


@pytest.mark.parametrize(("byte", "controls", "fetch", "name"), STAGE1_CACHE)
def test_stage1_cache_controls(byte: int, controls: Controls, fetch: bool, name: str) -> None:
    leaf = Attributes(decode_mair_byte(byte), ISH)
    result = stage1_attributes(leaf, controls, fetch=fetch)
    assert (result.type.name, result.sh) == (name, ISH)


# Stage 1 off: controls, fetch -> type in words, shareability
DISABLED = [
    (Controls(m=False), False, "Device-nGnRnE", OSH),
    (Controls(m=False), True, "Normal-WT, RA", OSH),
    (Controls(m=False, i=False), True, "Normal-NC", OSH),
    (Controls(tge=True), False, "Device-nGnRnE", OSH),
    (Controls(dc=True), False, "Normal-WB, RA WA", NSH),
    (Controls(dc=True), True, "Normal-WB, RA WA", NSH),
    (Controls(m=False, dc=True, dct=True), False, "Normal-WB, RA WA, tagged", NSH),
]


@pytest.mark.parametrize(("controls", "fetch", "text", "sh"), DISABLED)
def test_stage1_disabled(controls: Controls, fetch: bool, text: str, sh: Shareability) -> None:
    assert not stage1_enabled(controls)
    result = stage1_disabled(controls, fetch=fetch)
    assert (result.type.describe(), result.sh) == (text, sh)


def test_stage1_enabled_by_default() -> None:
    assert stage1_enabled(Controls())


def test_stage1_only() -> None:
    assert stage1_only(Attributes(decode_mair_byte(0x44), NSH)).sh is OSH
    assert stage1_only(Attributes(decode_mair_byte(0xFF), ISH)).describe() == (
        "Normal-WB, RA WA, inner shareable"
    )
    assert stage1_only(Attributes(MemType(reserved="why"), ISH)).name == "reserved"
