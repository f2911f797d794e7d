# SPDX-License-Identifier: GPL-2.0-only
"""Memory types and their encodings in MAIR_EL1 and in stage-2 descriptors.

Source: Arm ARM DDI 0487 (section numbers as in issue K.a), D8.6 "Memory region attributes", and
the description of MAIR_EL1.
A reserved encoding is a value like any other here: it decodes to something whose `reserved`
says why, because page tables of a kernel under test may hold anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from harness.arm.bits import bit, bits


class DeviceType(IntEnum):
    """Device memory, strictest first, so `min` is the architecture's combination."""

    NGNRNE = 0
    NGNRE = 1
    NGRE = 2
    GRE = 3

    @property
    def label(self) -> str:
        """The Arm ARM's name, e.g. `nGnRE`."""
        return ("nGnRnE", "nGnRE", "nGRE", "GRE")[self]


class Cache(IntEnum):
    """Cacheability of Normal memory, least cacheable first; the values are MemAttr's."""

    NC = 1
    WT = 2
    WB = 3


@dataclass(frozen=True)
class Cacheability:
    """One side (inner or outer) of Normal memory, with its allocation hints.

    The hints of Non-cacheable memory are all false.
    """

    policy: Cache
    read_allocate: bool = False
    write_allocate: bool = False
    transient: bool = False

    @property
    def label(self) -> str:
        """E.g. `WB RA WA`, `WT RA transient`, `NC`."""
        parts = [self.policy.name]
        parts += ["RA"] if self.read_allocate else []
        parts += ["WA"] if self.write_allocate else []
        parts += ["transient"] if self.transient else []
        return " ".join(parts)


NON_CACHEABLE = Cacheability(Cache.NC)


@dataclass(frozen=True)
class MemType:
    """A memory type: either `device`, or both `inner` and `outer`, or `reserved`.

    `tagged` is MTE's Allocation Tagged, `xs` the XS attribute of FEAT_XS. For a reserved
    encoding `reserved` says what it was and nothing else is set.
    """

    device: DeviceType | None = None
    inner: Cacheability | None = None
    outer: Cacheability | None = None
    tagged: bool = False
    xs: bool = True
    reserved: str = ""

    @property
    def is_device(self) -> bool:
        """Whether this is Device memory."""
        return self.device is not None

    @property
    def is_normal(self) -> bool:
        """Whether this is Normal memory."""
        return self.inner is not None and self.outer is not None

    @property
    def name(self) -> str:
        """`Device-nGnRE`, `Normal-NC`, `Normal-WB`, …; `Normal-inner-WB-outer-NC` when the two
        sides differ; `reserved`. Hints, tags and XS are no part of the name.
        """
        if self.device is not None:
            return f"Device-{self.device.label}"
        if self.inner is None or self.outer is None:
            return "reserved"
        if self.inner.policy == self.outer.policy:
            return f"Normal-{self.inner.policy.name}"
        return f"Normal-inner-{self.inner.policy.name}-outer-{self.outer.policy.name}"

    def describe(self) -> str:
        """Return the name and everything the name leaves out."""
        if self.reserved:
            return f"reserved ({self.reserved})"
        parts = [self.name]
        if self.inner is not None and self.outer is not None:
            if self.inner == self.outer:
                hints = self.inner.label.partition(" ")[2]
                parts += [hints] if hints else []
            else:
                parts.append(f"inner {self.inner.label}, outer {self.outer.label}")
        parts += ["tagged"] if self.tagged else []
        # Only Device and Non-cacheable memory have XS by default (MAIR_EL1).
        parts += ["XS=0"] if not self.xs and self.name != "Normal-WB" else []
        return ", ".join(parts)


def device(kind: DeviceType, *, xs: bool = True) -> MemType:
    """Return the type of Device memory of a kind."""
    return MemType(device=kind, xs=xs)


def normal(inner: Cacheability, outer: Cacheability, *, xs: bool | None = None) -> MemType:
    """Return a Normal type.

    XS is 0 for Write-Back on both sides, 1 otherwise, unless given (MAIR_EL1).
    """
    write_back = inner.policy == outer.policy == Cache.WB
    return MemType(inner=inner, outer=outer, xs=not write_back if xs is None else xs)


_RAWA = {"read_allocate": True, "write_allocate": True}
WB_RAWA = Cacheability(Cache.WB, **_RAWA)
WT_RAWA = Cacheability(Cache.WT, **_RAWA)
NORMAL_NC = normal(NON_CACHEABLE, NON_CACHEABLE)
NORMAL_WT = normal(WT_RAWA, WT_RAWA)
NORMAL_WB = normal(WB_RAWA, WB_RAWA)

# The seven types the project talks about and the MAIR byte that asks for each.
MAIR_BYTES = {
    "Device-nGnRnE": 0x00,
    "Device-nGnRE": 0x04,
    "Device-nGRE": 0x08,
    "Device-GRE": 0x0C,
    "Normal-NC": 0x44,
    "Normal-WT": 0xBB,
    "Normal-WB": 0xFF,
}

_WT_RA = Cacheability(Cache.WT, read_allocate=True)
# Bytes without an inner half that mean something as a whole: FEAT_XS (two), FEAT_MTE2.
_WHOLE_BYTES = {
    0x40: normal(NON_CACHEABLE, NON_CACHEABLE, xs=False),
    0xA0: normal(_WT_RA, _WT_RA, xs=False),
    0xF0: MemType(inner=WB_RAWA, outer=WB_RAWA, tagged=True, xs=False),
}


def _decode_half(nibble: int) -> Cacheability:
    """One half of a MAIR byte; not for 0b0000, which means something only in a whole byte.

    Arm ARM, MAIR_EL1 ("'oooo'" and "'iiii'"); pseudocode DecodeLDFAttr.
    """
    if nibble == 0b0100:
        return NON_CACHEABLE
    return Cacheability(
        Cache.WB if bit(nibble, 2) else Cache.WT,
        read_allocate=bit(nibble, 1),
        write_allocate=bit(nibble, 0),
        transient=not bit(nibble, 3),
    )


def decode_mair_byte(byte: int) -> MemType:
    """Return one attribute of MAIR_EL1, all extensions taken as implemented (XS, MTE2).

    Arm ARM, register MAIR_EL1; pseudocode S1DecodeMemAttrs. `byte` is 0 to 255.
    """
    high, low = bits(byte, 7, 4), bits(byte, 3, 0)
    if high == 0:
        if bit(low, 1):
            return MemType(reserved=f"MAIR byte {byte:#04x}: Device with bit 1 set")
        return device(DeviceType(bits(low, 3, 2)), xs=not bit(low, 0))
    if low == 0:
        reserved = MemType(reserved=f"MAIR byte {byte:#04x}: no inner attribute")
        return _WHOLE_BYTES.get(byte, reserved)
    return normal(inner=_decode_half(low), outer=_decode_half(high))


def decode_mair(value: int) -> tuple[MemType, ...]:
    """Return the eight attributes of MAIR_EL1, Attr0 first."""
    return tuple(decode_mair_byte(bits(value, 8 * i + 7, 8 * i)) for i in range(8))


class Shareability(IntEnum):
    """SH[1:0] of a descriptor or TCR_ELx; 0b01 is reserved (Arm ARM D8.6, shareability)."""

    NON = 0
    RESERVED = 1
    OUTER = 2
    INNER = 3

    @property
    def label(self) -> str:
        """The shareability in words."""
        return ("non-shareable", "reserved", "outer shareable", "inner shareable")[self]


class Rule(Enum):
    """What a stage-2 MemAttr does with stage 1's type."""

    COMBINE = "combined with stage 1's type"
    NC_UNLESS_DEVICE = "Normal-NC for a Normal stage 1, stage 1's own type for Device"
    FORCE_WB = "Normal-WB whatever stage 1 says"
    AS_STAGE1 = "stage 1's type"
    RESERVED = "reserved"


@dataclass(frozen=True)
class MemAttr:
    """A decoded stage-2 MemAttr[3:0]: the rule and, where it names one, the type.

    `type` is None for AS_STAGE1 and RESERVED. `no_tag_access` is FEAT_MTE_PERM's.
    """

    value: int
    fwb: bool
    rule: Rule
    type: MemType | None = None
    no_tag_access: bool = False
    note: str = ""

    @property
    def name(self) -> str:
        """The type's name; `as stage 1` or `reserved` where there is none."""
        if self.type is not None:
            return self.type.name
        return "as stage 1" if self.rule is Rule.AS_STAGE1 else "reserved"

    def describe(self) -> str:
        """Return the type in words, with what the rule does to stage 1's."""
        parts = [self.name]
        if self.rule is Rule.NC_UNLESS_DEVICE:
            parts.append("a Device stage 1 keeps its type")
        elif self.rule is Rule.FORCE_WB:
            parts.append("even over a Device stage 1")
        parts += ["no tag access"] if self.no_tag_access else []
        parts += [self.note] if self.note else []
        return f"{parts[0]} ({'; '.join(parts[1:])})" if len(parts) > 1 else parts[0]


_MTE_PERM_NOTE = "with FEAT_MTE_PERM: {} without tag access"


def decode_memattr(value: int, *, fwb: bool, mte_perm: bool = False) -> MemAttr:
    """Return what a stage-2 MemAttr[3:0] (descriptor bits [5:2]) means under HCR_EL2.FWB.

    Arm ARM D8.6.5 (FEAT_S2FWB off), D8.6.6 (on); pseudocode S2DecodeMemAttrs and
    AArch64.S2ApplyFWBMemAttrs. `value` is 0 to 15. `mte_perm` turns the encodings that
    FEAT_MTE_PERM adds from reserved into types.
    """
    return _decode_fwb(value, mte_perm) if fwb else _decode_nofwb(value, mte_perm)


def _decode_nofwb(value: int, mte_perm: bool) -> MemAttr:
    high, low = bits(value, 3, 2), bits(value, 1, 0)
    if high == 0:
        return MemAttr(value, False, Rule.COMBINE, device(DeviceType(low)))
    if low == 0:
        if value == 0b0100 and mte_perm:
            return MemAttr(value, False, Rule.COMBINE, NORMAL_WB, no_tag_access=True)
        note = _MTE_PERM_NOTE.format("Normal-WB") if value == 0b0100 else ""
        return MemAttr(value, False, Rule.RESERVED, note=note)
    # Stage 2 gives no allocation hints: stage 1's are kept when the two combine.
    inner, outer = Cacheability(Cache(low)), Cacheability(Cache(high))
    return MemAttr(value, False, Rule.COMBINE, normal(inner, outer))


def _decode_fwb(value: int, mte_perm: bool) -> MemAttr:
    if not bit(value, 3):
        return _decode_fwb_low(value)
    if value in (0b1110, 0b1111):
        low = _decode_fwb_low(value & 0b0111)
        if mte_perm:
            return MemAttr(value, True, low.rule, low.type, no_tag_access=True)
        return MemAttr(value, True, Rule.RESERVED, note=_MTE_PERM_NOTE.format(low.name))
    return MemAttr(value, True, Rule.RESERVED)


def _decode_fwb_low(value: int) -> MemAttr:
    if not bit(value, 2):
        return MemAttr(value, True, Rule.COMBINE, device(DeviceType(value)))
    named = {
        0b101: (Rule.NC_UNLESS_DEVICE, NORMAL_NC),
        0b110: (Rule.FORCE_WB, NORMAL_WB),
        0b111: (Rule.AS_STAGE1, None),
    }
    rule, memory = named.get(value, (Rule.RESERVED, None))
    return MemAttr(value, True, rule, memory)
