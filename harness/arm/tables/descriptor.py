# SPDX-License-Identifier: GPL-2.0-only
"""VMSAv8-64 translation table descriptors of both stages (64-bit; not VMSAv9-128).

Source: Arm ARM DDI 0487 K.a, D8.3 "Translation table descriptor formats" (D8.3.1 for the 64-bit
formats) and D8.4 "Memory access control"; pseudocode AArch64.DecodeDescriptorType,
AArch64.NextTableBase, AArch64.LeafBase, AArch64.S1DirectBasePermissions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from harness.arm.bits import bit, bits, mask
from harness.arm.memtype import Shareability


class Granule(Enum):
    """Translation granule; the value is the log2 of its size in bytes."""

    G4K = 12
    G16K = 14
    G64K = 16

    @property
    def shift(self) -> int:
        """log2 of the granule's bytes."""
        return int(self.value)

    @property
    def stride(self) -> int:
        """Address bits that a whole table resolves: log2 of its entries."""
        return self.shift - 3

    @property
    def label(self) -> str:
        """E.g. `4K`."""
        return f"{1 << (self.shift - 10)}K"


@dataclass(frozen=True)
class Layout:
    """What decides how a descriptor's bits are read, besides stage and level.

    `wide`: 52-bit output addresses (4K and 16K: TCR_EL1.DS or VTCR_EL2.DS, FEAT_LPA2, which also
    takes SH away from the descriptor; 64K: FEAT_LPA). `sh` is the SH that
    applies to every leaf when the descriptor has none. `nv1`: HCR_EL2.{NV, NV1} = {1, 1}.
    `pie`: indirect permissions (FEAT_S1PIE, FEAT_S2PIE).
    """

    granule: Granule = Granule.G4K
    wide: bool = False
    sh: Shareability = Shareability.NON
    nv1: bool = False
    pie: bool = False

    @property
    def lpa2(self) -> bool:
        """Whether addresses are laid out as FEAT_LPA2 has them."""
        return self.wide and self.granule is not Granule.G64K

    def level_shift(self, level: int) -> int:
        """Return log2 of the bytes that one entry at `level` (-1 to 3) covers."""
        return self.granule.shift + self.granule.stride * (3 - level)


class DescriptorKind(Enum):
    """What bits [1:0] of a descriptor make of it at its level."""

    INVALID = "invalid"
    RESERVED = "reserved"
    TABLE = "table"
    BLOCK = "block"
    PAGE = "page"


@dataclass(frozen=True)
class InvalidDescriptor:
    """Bit 0 clear, or an encoding that is reserved at this level: a Translation fault."""

    kind: DescriptorKind

    def describe(self) -> str:
        """Return the kind in words."""
        return f"{self.kind.value} descriptor"


@dataclass(frozen=True)
class TableDescriptor:
    """A table descriptor; the attributes are stage 1's and all zero at stage 2."""

    address: int
    ap_table: int = 0
    uxn_table: bool = False
    pxn_table: bool = False
    ns_table: bool = False
    kind: DescriptorKind = DescriptorKind.TABLE

    def describe(self) -> str:
        """Return the next table's address and the attributes that are set."""
        parts = [f"table at {self.address:#x}"]
        parts += [f"APTable={self.ap_table:#04b}"] if self.ap_table else []
        for name in ("uxn_table", "pxn_table", "ns_table"):
            parts += [name.split("_")[0].upper() + "Table"] if getattr(self, name) else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Leaf:
    """What block and page descriptors of both stages share. `address` is the output address of
    the block's or page's first byte, `size` its bytes.
    """

    kind: DescriptorKind
    address: int
    size: int
    sh: Shareability
    af: bool
    contiguous: bool
    dbm: bool
    nt: bool
    pbha: int
    software: int

    def _described(self, own: list[str]) -> str:
        parts = [f"{self.kind.value} at {self.address:#x} ({size_label(self.size)})", *own]
        parts += [self.sh.label, f"AF={int(self.af)}"]
        parts += ["contiguous"] if self.contiguous else []
        parts += ["DBM"] if self.dbm else []
        parts += ["nT"] if self.nt else []
        parts += [f"PBHA={self.pbha:#x}"] if self.pbha else []
        parts += [f"software={self.software:#x}"] if self.software else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Stage1Leaf(Leaf):
    """A stage-1 block or page. `ap` is AP[2:1]. With indirect permissions (`pi_index` given)
    AP, UXN and PXN are the index into PIR_EL1 and mean nothing by themselves.
    """

    attr_index: int
    ap: int
    uxn: bool
    pxn: bool
    ng: bool
    ns: bool
    guarded: bool
    pi_index: int | None

    def describe(self) -> str:
        """Return the leaf's fields in words."""
        own = [f"AttrIndx={self.attr_index}"]
        if self.pi_index is None:
            own.append(f"AP[2:1]={self.ap:#04b}")
            own += ["UXN"] if self.uxn else []
            own += ["PXN"] if self.pxn else []
        else:
            own.append(f"PIIndex={self.pi_index:#x}")
        own += ["nG"] if self.ng else []
        own += ["NS"] if self.ns else []
        own += ["GP"] if self.guarded else []
        return self._described(own)


@dataclass(frozen=True)
class Stage2Leaf(Leaf):
    """A stage-2 block or page. `s2ap` is S2AP[1:0] (bit 0 read, bit 1 write), `xn` is XN[1:0]."""

    memattr: int
    s2ap: int
    xn: int
    fnxs: bool
    ns: bool
    pi_index: int | None

    def describe(self) -> str:
        """Return the leaf's fields in words."""
        own = [f"MemAttr={self.memattr:#x}"]
        if self.pi_index is None:
            own += [f"S2AP={self.s2ap:#04b}", f"XN[1:0]={self.xn:#04b}"]
        else:
            own.append(f"PIIndex={self.pi_index:#x}")
        own += ["FnXS"] if self.fnxs else []
        own += ["NS"] if self.ns else []
        return self._described(own)


Stage1Entry = InvalidDescriptor | TableDescriptor | Stage1Leaf
Stage2Entry = InvalidDescriptor | TableDescriptor | Stage2Leaf


def size_label(size: int) -> str:
    """Return `4K`, `2M`, `1G`, … for a size that is a power of two of at least 1024 bytes."""
    unit = (size.bit_length() - 1) // 10
    return f"{size >> (10 * unit)}{'BKMGTP'[unit]}"


def descriptor_kind(descriptor: int, level: int, layout: Layout) -> DescriptorKind:
    """Return what bits [1:0] say at `level` (-1 to 3).

    Arm ARM D8.3.1; pseudocode AArch64.DecodeDescriptorType.

    Blocks exist at levels 1 and 2 (4K), 2 (16K), 2 (64K), and one level up where output
    addresses have 52 bits (AArch64.BlockDescSupported).
    """
    if not bit(descriptor, 0):
        return DescriptorKind.INVALID
    if level == 3:
        return DescriptorKind.PAGE if bit(descriptor, 1) else DescriptorKind.RESERVED
    if bit(descriptor, 1):
        return DescriptorKind.TABLE
    top = {Granule.G4K: 1, Granule.G16K: 2, Granule.G64K: 2}[layout.granule]
    return DescriptorKind.BLOCK if level >= top - int(layout.wide) else DescriptorKind.RESERVED


def output_address(descriptor: int, low: int, layout: Layout) -> int:
    """Return the address in a descriptor, from bit `low` up.

    Arm ARM D8.3.1: bits [47:low]; with FEAT_LPA2 [49:low] and OA[51:50] in [9:8]; with 64K and
    52 bits OA[51:48] in [15:12].
    """
    if layout.lpa2:
        return bits(descriptor, 49, low) << low | bits(descriptor, 9, 8) << 50
    address = bits(descriptor, 47, low) << low
    return address | bits(descriptor, 15, 12) << 48 if layout.wide else address


def _table(descriptor: int, layout: Layout, *, attributes: bool) -> TableDescriptor:
    address = output_address(descriptor, layout.granule.shift, layout)
    if not attributes:
        return TableDescriptor(address)
    # With {NV, NV1} = {1, 1} bit 60 is PXNTable; APTable[0] and bit 59 are treated as 0.
    ap_table = bits(descriptor, 62, 61)
    return TableDescriptor(
        address,
        ap_table=ap_table & 0b10 if layout.nv1 else ap_table,
        uxn_table=bit(descriptor, 60) and not layout.nv1,
        pxn_table=bit(descriptor, 60) if layout.nv1 else bit(descriptor, 59),
        ns_table=bit(descriptor, 63),
    )


def _shareability(descriptor: int, layout: Layout) -> Shareability:
    return layout.sh if layout.lpa2 else Shareability(bits(descriptor, 9, 8))


def _pi_index(descriptor: int, layout: Layout) -> int | None:
    """PIIndex of FEAT_S1PIE and FEAT_S2PIE: bits 54, 53, 51 and 6."""
    if not layout.pie:
        return None
    return bits(descriptor, 54, 53) << 2 | bits(descriptor, 51, 51) << 1 | bits(descriptor, 6, 6)


def decode_stage1(descriptor: int, level: int, layout: Layout) -> Stage1Entry:
    """Return what a stage-1 descriptor of the EL1&0 regime holds. Arm ARM D8.3.1; never raises."""
    kind = descriptor_kind(descriptor, level, layout)
    if kind is DescriptorKind.TABLE:
        return _table(descriptor, layout, attributes=True)
    if kind not in (DescriptorKind.BLOCK, DescriptorKind.PAGE):
        return InvalidDescriptor(kind)
    shift = layout.level_shift(level)
    # With {NV, NV1} = {1, 1} bit 54 is PXN, bit 53 and AP[1] are treated as 0 (FEAT_NV).
    nv1 = layout.nv1
    return Stage1Leaf(
        kind=kind,
        address=output_address(descriptor, layout.granule.shift, layout) & ~mask(shift),
        size=1 << shift,
        sh=_shareability(descriptor, layout),
        af=bit(descriptor, 10),
        contiguous=bit(descriptor, 52),
        dbm=bit(descriptor, 51) and not layout.pie,
        nt=kind is DescriptorKind.BLOCK and bit(descriptor, 16),
        pbha=bits(descriptor, 62, 59),
        software=bits(descriptor, 58, 55),
        attr_index=bits(descriptor, 4, 2),
        ap=bits(descriptor, 7, 6) & (0b10 if nv1 else 0b11),
        uxn=bit(descriptor, 54) and not nv1,
        pxn=bit(descriptor, 54) if nv1 else bit(descriptor, 53),
        ng=bit(descriptor, 11),
        ns=bit(descriptor, 5),
        guarded=bit(descriptor, 50),
        pi_index=_pi_index(descriptor, layout),
    )


def decode_stage2(descriptor: int, level: int, layout: Layout) -> Stage2Entry:
    """Return what a stage-2 descriptor holds. Arm ARM D8.3.1; never raises."""
    kind = descriptor_kind(descriptor, level, layout)
    if kind is DescriptorKind.TABLE:
        return _table(descriptor, layout, attributes=False)
    if kind not in (DescriptorKind.BLOCK, DescriptorKind.PAGE):
        return InvalidDescriptor(kind)
    shift = layout.level_shift(level)
    return Stage2Leaf(
        kind=kind,
        address=output_address(descriptor, layout.granule.shift, layout) & ~mask(shift),
        size=1 << shift,
        sh=_shareability(descriptor, layout),
        af=bit(descriptor, 10),
        contiguous=bit(descriptor, 52),
        dbm=bit(descriptor, 51) and not layout.pie,
        nt=kind is DescriptorKind.BLOCK and bit(descriptor, 16),
        pbha=bits(descriptor, 62, 59),
        software=bits(descriptor, 58, 55),
        memattr=bits(descriptor, 5, 2),
        s2ap=bits(descriptor, 7, 6),
        xn=bits(descriptor, 54, 53),
        fnxs=bit(descriptor, 11),
        ns=bit(descriptor, 55),
        pi_index=_pi_index(descriptor, layout),
    )
