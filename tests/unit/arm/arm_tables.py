# SPDX-License-Identifier: GPL-2.0-only
"""The architecture's tables, typed in by hand. Nothing here is computed by the code under test.

Sources: Arm ARM DDI 0487 D8.2 (input sizes and start levels), D8.6.5 and D8.6.6 (combining).
"""

from __future__ import annotations

# Columns of the combining tables.
STAGE1 = (
    "Device-nGnRnE",
    "Device-nGnRE",
    "Device-nGRE",
    "Device-GRE",
    "Normal-NC",
    "Normal-WT",
    "Normal-WB",
)
MAIR = {
    "Device-nGnRnE": 0x00,
    "Device-nGnRE": 0x04,
    "Device-nGRE": 0x08,
    "Device-GRE": 0x0C,
    "Normal-NC": 0x44,
    "Normal-WT": 0xBB,
    "Normal-WB": 0xFF,
}
SHORT = {
    "E": "Device-nGnRnE",
    "e": "Device-nGnRE",
    "r": "Device-nGRE",
    "g": "Device-GRE",
    "N": "Normal-NC",
    "T": "Normal-WT",
    "B": "Normal-WB",
    "nT": "Normal-inner-NC-outer-WT",
    "nB": "Normal-inner-NC-outer-WB",
    "Tn": "Normal-inner-WT-outer-NC",
    "Bn": "Normal-inner-WB-outer-NC",
    "tB": "Normal-inner-WT-outer-WB",
    "bT": "Normal-inner-WB-outer-WT",
    "-": "reserved",
}

# MemAttr -> the combination for each stage-1 type of STAGE1. In the two-letter ones inner is first.
NO_FWB = {
    0x0: "E E E E E E E",
    0x1: "E e e e e e e",
    0x2: "E e r r r r r",
    0x3: "E e r g g g g",
    0x4: "- - - - - - -",
    0x5: "E e r g N N N",
    0x6: "E e r g N Tn Tn",
    0x7: "E e r g N Tn Bn",
    0x8: "- - - - - - -",
    0x9: "E e r g N nT nT",
    0xA: "E e r g N T T",
    0xB: "E e r g N T bT",
    0xC: "- - - - - - -",
    0xD: "E e r g N nT nB",
    0xE: "E e r g N T tB",
    0xF: "E e r g N T B",
}
# With FWB. `a/b`: the stricter of both, or stage 2's: sources disagree.
FWB = {
    0x0: "E E E E E E E",
    0x1: "E/e e e e e e e",
    0x2: "E/r e/r r r r r r",
    0x3: "E/g e/g r/g g g g g",
    0x4: "- - - - - - -",
    0x5: "E e r g N N N",
    0x6: "B B B B B B B",
    0x7: "E e r g N T B",
    0x8: "- - - - - - -",
    0x9: "- - - - - - -",
    0xA: "- - - - - - -",
    0xB: "- - - - - - -",
    0xC: "- - - - - - -",
    0xD: "- - - - - - -",
    0xE: "- - - - - - -",
    0xF: "- - - - - - -",
}


def expected(fwb: bool, memattr: int, stage1: str) -> tuple[str, ...]:
    """The names the combination may have; `()` for a reserved MemAttr."""
    cell = (FWB if fwb else NO_FWB)[memattr].split()[STAGE1.index(stage1)]
    return () if cell == "-" else tuple(SHORT[part] for part in cell.split("/"))


# granule -> (TxSZ from, TxSZ to, start level) of stage 1; below 16 only with 52-bit addresses.
STAGE1_START = {
    "4k": ((12, 15, -1), (16, 24, 0), (25, 33, 1), (34, 42, 2), (43, 48, 3)),
    "16k": ((12, 16, 0), (17, 27, 1), (28, 38, 2), (39, 48, 3)),
    "64k": ((12, 21, 1), (22, 34, 2), (35, 47, 3)),
}
# granule -> (SL2, SL0, start level, IPA bits from, IPA bits to), the size ranges with up to 16
# concatenated tables.
STAGE2_START = {
    "4k": (
        (0, 3, 3, 16, 25),
        (0, 0, 2, 22, 34),
        (0, 1, 1, 31, 43),
        (0, 2, 0, 40, 52),
        (1, 0, -1, 49, 52),
    ),
    "16k": ((0, 0, 3, 16, 29), (0, 1, 2, 26, 40), (0, 2, 1, 37, 51), (0, 3, 0, 48, 52)),
    "64k": ((0, 0, 3, 17, 33), (0, 1, 2, 30, 46), (0, 2, 1, 43, 52)),
}
TG0 = {"4k": 0b00, "64k": 0b01, "16k": 0b10}
TG1 = {"16k": 0b01, "4k": 0b10, "64k": 0b11}
PAGE_BITS = {"4k": 12, "16k": 14, "64k": 16}
# Levels that have block descriptors, without and with 52-bit addresses.
BLOCKS = {"4k": ((1, 2), (0, 1, 2)), "16k": ((2,), (1, 2)), "64k": ((2,), (1, 2))}
PS_BITS = {0: 32, 1: 36, 2: 40, 3: 42, 4: 44, 5: 48, 6: 52}
