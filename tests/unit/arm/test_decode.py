# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval decode`: strings in, lines out, one clear line for bad input."""

from __future__ import annotations

from typing import Any

import pytest

from harness.arm.decode import decode
from harness.base.errors import UsageError


def text(kind: str, *values: str, **options: Any) -> str:
    return "\n".join(decode(kind, values, **options))


def test_stage2_descriptor() -> None:
    assert decode("s2", ["0x400080000007c7"], fwb=False, level=3) == [
        "stage-2 descriptor 0x00400080000007c7, level 3, 4K granule:",
        "  page of 0x1000 bytes at 0x8000000000",
        "  shareability: inner shareable",
        "  access flag: 1",
        "  MemAttr 0x1, FWB off: Device-nGnRE",
        "  EL1 rw-, EL0 rw- (S2AP=0b11, XN[1:0]=0b10)",
    ]
    patched = text("s2", "0x400080000007d7", fwb=True)
    assert "MemAttr 0x5, FWB on: Normal-NC (a Device stage 1 keeps its type)" in patched
    assert "table descriptor: give the level" in patched


def test_stage1_descriptor() -> None:
    """A page of ioremap_wc: index 2 of a MAIR_EL1 that has 0x44 there."""
    assert decode("s1", ["0x006800800000070b"], level=3, mair="0x0000000400440000") == [
        "stage-1 descriptor 0x006800800000070b, level 3, 4K granule:",
        "  page of 0x1000 bytes at 0x8000000000",
        "  shareability: inner shareable",
        "  access flag: 1",
        "  DBM",
        "  type: MAIR_EL1 Attr2 = Normal-NC",
        "  EL1 rw-, EL0 --- (AP[2:1]=0b00, UXN=1, PXN=1)",
        "  nG=0, NS=0, GP=0",
    ]
    assert text("s1", "0x40000003", level=1).endswith("  table at 0x40000000")
    assert "invalid descriptor" in text("s1", "0")
    assert "type: MAIR_EL1 Attr1\n" in text("s1", "0x400000000407", granule="64k")


def test_block_without_a_level() -> None:
    assert "level 2, 4K granule" in text("s2", "0x40000401")
    assert "block of 0x200000 bytes at 0x40000000" in text("s2", "0x40000401")
    assert "block of 0x2000000 bytes" in text("s2", "0x40000401", granule="16K")
    assert "block of 0x40000000 bytes" in text("s2", "0x40000401", level=1)


def test_access_flag_is_pointed_out() -> None:
    assert "access flag: 0 (an access faults)" in text("s1", "0x3")


def test_wide_addresses() -> None:
    lines = text("s2", "0x40000703", level=3, lpa=True)
    assert "at 0xc000040000000" in lines and "FEAT_LPA2" in lines
    assert "at 0x1000040000000" in text("s2", "0x40001403", level=3, lpa=True, granule="64k")


def test_mair() -> None:
    assert decode("mair", ["0xf0"]) == ["MAIR byte 0xf0: Normal-WB, RA WA, tagged"]
    lines = decode("mair", ["0x000000040044ffff"])
    assert len(lines) == 9
    assert lines[3] == "  Attr2 0x44  Normal-NC"
    assert lines[5] == "  Attr4 0x04  Device-nGnRE"
    # Written with more digits it is the register.
    assert len(decode("mair", ["0x0044"])) == 9


def test_memattr() -> None:
    assert decode("memattr", ["6"]) == [
        "MemAttr 0x6, FWB off: Normal-inner-WT-outer-NC",
        "MemAttr 0x6, FWB on: Normal-WB (even over a Device stage 1)",
    ]
    assert decode("memattr", ["0b0101"], fwb=False) == ["MemAttr 0x5, FWB off: Normal-NC"]
    assert decode("memattr", ["4"], fwb=True) == ["MemAttr 0x4, FWB on: reserved"]


def test_combine() -> None:
    assert decode("combine", ["normal-nc", "0x1"], fwb=False) == [
        "Normal-NC over MemAttr 0x1 [Device-nGnRE], FWB off: Device-nGnRE"
    ]
    assert text("combine", "0x04", "6", fwb=True).endswith("FWB on: Normal-WB, RA WA")
    assert "Device-nGnRnE or Device-GRE (sources disagree" in text("combine", "0x0", "3", fwb=True)
    assert text("combine", "0x30", "5", fwb=True).endswith(
        "reserved (stage 1: MAIR byte 0x30: no inner attribute)"
    )
    assert len(decode("combine", ["Device-GRE", "1"])) == 2


def test_esr() -> None:
    assert "alignment fault" in decode("esr", ["0x92000021"])[0]
    assert decode("esr", ["2449473569"])[0] == decode("esr", ["0x92000021"])[0]


BAD: list[tuple[str, list[str], dict[str, Any], str]] = [
    ("est", ["1"], {}, "cannot decode 'est': did you mean esr?"),
    ("zzzz", ["1"], {}, "cannot decode 'zzzz': use one of esr, mair, memattr, s1, s2, combine"),
    ("esr", [], {}, "decode esr takes VALUE, not 0 values"),
    ("combine", ["1"], {}, "decode combine takes S1TYPE MEMATTR, not 1 values"),
    ("esr", ["ffff"], {}, "ESR 'ffff' is not a number: write 0x…, 0b… or decimal"),
    ("esr", ["-1"], {}, "ESR -1 does not fit in 64 bits"),
    ("esr", ["0x10000000000000000"], {}, "ESR 0x10000000000000000 does not fit in 64 bits"),
    ("memattr", ["16"], {}, "MemAttr 16 does not fit in 4 bits"),
    ("s1", ["1"], {"level": 4}, "level 4 does not exist: levels are -1 to 3"),
    ("s2", ["1"], {"granule": "8k"}, "granule '8k' does not exist: use 4k, 16k or 64k"),
    ("s1", ["1"], {"mair": "x"}, "MAIR 'x' is not a number: write 0x…, 0b… or decimal"),
    (
        "combine",
        ["normal-nv", "1"],
        {},
        "memory type 'normal-nv' does not exist: did you mean Normal-NC?",
    ),
    ("combine", ["0x100", "1"], {}, "MAIR byte 0x100 does not fit in 8 bits"),
    ("esr", ["9" * 5000], {}, f"ESR '{'9' * 39}…' is not a number: write 0x…, 0b… or decimal"),
]


@pytest.mark.parametrize(("kind", "values", "options", "message"), BAD)
def test_bad_input(kind: str, values: list[str], options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        decode(kind, values, **options)
    assert str(caught.value) == message
    assert "\n" not in str(caught.value)
