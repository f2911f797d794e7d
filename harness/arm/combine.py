# SPDX-License-Identifier: GPL-2.0-only
"""What stage 1 and stage 2 combine to: memory type and shareability.

Source: Arm ARM DDI 0487 K.a, D8.6.5 "Stage 2 memory region type and cacheability attributes when
FEAT_S2FWB is disabled" (rules R_HMNDG, R_TNHFM, R_GQFSF), D8.6.6 the same when it is enabled
(R_VRJSW, R_RHWZM), the shareability rule R_GDTNP, and the descriptions of HCR_EL2.{CD, ID, DC,
DCT} and SCTLR_EL1.{M, C, I}; pseudocode AArch64.S2Translate, AArch64.S2ApplyFWBMemAttrs,
S2CombineS1MemAttrs, AArch64.S1DisabledOutput.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.arm.memtype import (
    NON_CACHEABLE,
    NORMAL_NC,
    NORMAL_WB,
    WB_RAWA,
    Cache,
    Cacheability,
    DeviceType,
    MemAttr,
    MemType,
    Rule,
    Shareability,
    decode_memattr,
    device,
    normal,
)


@dataclass(frozen=True)
class Attributes:
    """A memory type with its shareability: what one stage of translation, or both, give."""

    type: MemType
    sh: Shareability

    def describe(self) -> str:
        """Return the type and the shareability in words."""
        return f"{self.type.describe()}, {self.sh.label}"


@dataclass(frozen=True)
class Controls:
    """The control bits that change types on their way through both stages.

    `m`, `c`, `i` are SCTLR_EL1's; `dc`, `dct`, `tge`, `cd`, `icd`, `fwb` are HCR_EL2's (`icd` is
    HCR_EL2.ID). The defaults are what Linux runs with.
    """

    m: bool = True
    c: bool = True
    i: bool = True
    dc: bool = False
    dct: bool = False
    tge: bool = False
    cd: bool = False
    icd: bool = False
    fwb: bool = False
    mte_perm: bool = False


@dataclass(frozen=True)
class Combined:
    """The combination. `readings` has the architecture's reading first; it is empty when a
    reserved encoding takes part, and has more than one entry where sources disagree.
    """

    readings: tuple[Attributes, ...]
    note: str = ""

    @property
    def type(self) -> MemType | None:
        """The type by the architecture's reading; None when reserved."""
        return self.readings[0].type if self.readings else None

    @property
    def sh(self) -> Shareability | None:
        """The shareability by the architecture's reading; None when reserved."""
        return self.readings[0].sh if self.readings else None

    @property
    def reserved(self) -> bool:
        """Whether a reserved encoding takes part."""
        return not self.readings

    @property
    def ambiguous(self) -> bool:
        """Whether sources disagree."""
        return len(self.readings) > 1

    @property
    def names(self) -> tuple[str, ...]:
        """The type names a correct machine may show; `()` when reserved."""
        return tuple(reading.type.name for reading in self.readings)

    @property
    def name(self) -> str:
        """`Normal-NC`; `Device-nGnRE or Device-GRE` when ambiguous; `reserved`."""
        return " or ".join(self.names) or "reserved"

    def describe(self) -> str:
        """Return all readings in words, with the note."""
        text = " or ".join(reading.describe() for reading in self.readings) or "reserved"
        return f"{text} ({self.note})" if self.note else text


def combine_cacheability(stage1: Cacheability, stage2: Cacheability) -> Cacheability:
    """Return one side, inner or outer: the less cacheable policy, stage 1's hints.

    Arm ARM D8.6.5, R_GQFSF; pseudocode S2CombineS1AttrHints.
    """
    policy = min(stage1.policy, stage2.policy)
    return NON_CACHEABLE if policy is Cache.NC else replace(stage1, policy=policy)


def combine_shareability(stage1: Shareability, stage2: Shareability) -> Shareability:
    """Return the more shareable of both. Arm ARM R_GDTNP; pseudocode S2CombineS1Shareability.

    A reserved SH may act as any of the three, so only Outer is sure beside it.
    """
    order = (Shareability.OUTER, Shareability.RESERVED, Shareability.INNER)
    return next((sh for sh in order if sh in (stage1, stage2)), Shareability.NON)


def effective_shareability(memory: MemType, sh: Shareability) -> Shareability:
    """Return the shareability of a type: Device and Normal-NC are Outer Shareable whatever SH says.

    Arm ARM D8.6, shareability; pseudocode EffectiveShareability.
    """
    return Shareability.OUTER if memory.is_device or memory.name == "Normal-NC" else sh


def _effective(memory: MemType, sh: Shareability) -> Attributes:
    return Attributes(memory, effective_shareability(memory, sh))


def stage1_disabled(controls: Controls, *, fetch: bool = False) -> Attributes:
    """Return what an access has when stage 1 is off: SCTLR_EL1.M=0, HCR_EL2.DC=1 or HCR_EL2.TGE=1.

    Arm ARM D8.2.12 "The effects of disabling an address translation stage"; pseudocode
    AArch64.S1DisabledOutput.
    """
    if controls.dc:
        return Attributes(replace(NORMAL_WB, tagged=controls.dct), Shareability.NON)
    if not fetch:
        return Attributes(device(DeviceType.NGNRNE), Shareability.OUTER)
    if controls.i:
        through = Cacheability(Cache.WT, read_allocate=True)
        return Attributes(normal(through, through), Shareability.OUTER)
    return Attributes(NORMAL_NC, Shareability.OUTER)


def stage1_enabled(controls: Controls) -> bool:
    """Return whether stage 1 of the EL1&0 regime translates (pseudocode AArch64.S1Enabled)."""
    return controls.m and not controls.dc and not controls.tge


def stage1_attributes(leaf: Attributes, controls: Controls, *, fetch: bool = False) -> Attributes:
    """Return stage 1's result from its leaf: SCTLR_EL1.C=0 makes data, I=0 fetches Non-cacheable.

    Arm ARM D8.6, and SCTLR_EL1.{C, I}; pseudocode AArch64.S1Translate. A fetch from Device
    memory that is not execute-never is treated as Normal Non-cacheable. SH stays as the leaf has
    it: the effective shareability of Device and Normal-NC is that of the final type.
    """
    memory = leaf.type
    fetch_uncached = memory.is_device or not controls.i
    uncached = fetch_uncached if fetch else memory.is_normal and not controls.c
    return Attributes(replace(NORMAL_NC, xs=memory.xs) if uncached else memory, leaf.sh)


def stage1_only(stage1: Attributes) -> Combined:
    """Return the result where stage 2 is off (HCR_EL2.VM=0 and DC=0)."""
    if stage1.type.reserved:
        return Combined((), f"stage 1: {stage1.type.reserved}")
    return Combined((_effective(stage1.type, stage1.sh),))


def combine(
    stage1: Attributes,
    memattr: int,
    stage2_sh: Shareability,
    controls: Controls,
    *,
    fnxs: bool = False,
    fetch: bool = False,
) -> Combined:
    """Combine stage 1's result (see stage1_attributes, stage1_disabled) with a stage-2 leaf.

    `memattr` is the leaf's MemAttr[3:0], `fnxs` its bit 11 (FEAT_XS). Never raises: a reserved
    encoding on either side gives a Combined without readings. A Device stage 1 under a Device
    stage 2 with FWB is the one place where sources disagree (the Arm ARM's pseudocode and Linux
    7.2 `arch/arm64/kvm/at.c`: the stricter one; QEMU `target/arm/ptw.c` and Linux 6.12 `at.c`:
    stage 2's), so both readings are returned when they differ.
    """
    attr = decode_memattr(memattr, fwb=controls.fwb, mte_perm=controls.mte_perm)
    # FORCE_WB and NC_UNLESS_DEVICE of a reserved stage 1 still hang on what it is taken for.
    if stage1.type.reserved:
        return Combined((), f"stage 1: {stage1.type.reserved}")
    if attr.rule is Rule.RESERVED:
        return Combined((), f"stage 2: MemAttr {memattr:#x} is reserved")
    sh = combine_shareability(stage1.sh, stage2_sh)
    merge = _merge_fwb if controls.fwb else _merge_nofwb
    readings = tuple(
        dict.fromkeys(
            _effective(_finish(memory, stage1.type, fnxs), sh)
            for memory in merge(stage1.type, attr, controls, fetch)
        )
    )
    note = "sources disagree on Device over Device with FWB" if len(readings) > 1 else ""
    return Combined(readings, note)


def _finish(memory: MemType, stage1: MemType, fnxs: bool) -> MemType:
    """Allocation tags and XS, which follow rules of their own (pseudocode S2MemTagType).

    Memory stays tagged only while both sides are Write-Back with RA and WA.
    """
    tagged = stage1.tagged and memory.inner == memory.outer == WB_RAWA
    return replace(memory, tagged=tagged, xs=memory.xs and not fnxs)


def _cache_disabled(memory: MemType, controls: Controls, fetch: bool) -> MemType:
    """HCR_EL2.CD and ID: stage 2 gives Normal-NC. The pseudocode (AArch64.S2Translate) and Linux
    apply them with FWB too; QEMU ignores them there, but it has no caches to show it.
    """
    nc = replace(NORMAL_NC, xs=memory.xs)
    if fetch:
        return nc if memory.is_device or controls.icd else memory
    return nc if memory.is_normal and controls.cd else memory


def _merge_nofwb(
    stage1: MemType, attr: MemAttr, controls: Controls, fetch: bool
) -> tuple[MemType, ...]:
    """Device beats Normal, the stricter of two Devices, the less cacheable of two Normals.

    Arm ARM D8.6.5, R_HMNDG, R_TNHFM, R_GQFSF; pseudocode S2CombineS1MemAttrs.
    """
    stage2 = _cache_disabled(attr.type or NORMAL_NC, controls, fetch)
    if stage1.device is not None and stage2.device is not None:
        return (replace(stage1, device=min(stage1.device, stage2.device)),)
    if stage1.device is not None:
        return (stage1,)
    if stage2.device is not None:
        return (replace(stage2, xs=stage1.xs and stage2.xs),)
    return (_merge_normal(stage1, stage2),)


def _merge_normal(stage1: MemType, stage2: MemType) -> MemType:
    """Both Normal: inner with inner, outer with outer; XS as in S2CombineS1MemAttrs."""
    inner = combine_cacheability(stage1.inner or NON_CACHEABLE, stage2.inner or NON_CACHEABLE)
    outer = combine_cacheability(stage1.outer or NON_CACHEABLE, stage2.outer or NON_CACHEABLE)
    memory = normal(inner, outer)
    # A stage-2 leaf has XS=1 unless FnXS is set, also where it is Write-Back.
    return replace(memory, xs=memory.xs and stage1.xs)


def _merge_fwb(
    stage1: MemType, attr: MemAttr, controls: Controls, fetch: bool
) -> tuple[MemType, ...]:
    """Arm ARM D8.6.6, R_VRJSW, R_RHWZM; pseudocode AArch64.S2ApplyFWBMemAttrs."""
    if attr.rule is Rule.AS_STAGE1:
        merged: tuple[MemType, ...] = (stage1,)
    elif attr.rule is Rule.FORCE_WB:
        merged = (normal(_force_write_back(stage1.inner), _force_write_back(stage1.outer)),)
    elif attr.rule is Rule.NC_UNLESS_DEVICE:
        merged = (stage1 if stage1.is_device else replace(NORMAL_NC, xs=stage1.xs),)
    else:
        merged = _device_over(stage1, attr.type.device if attr.type else None)
    return tuple(_cache_disabled(memory, controls, fetch) for memory in merged)


def _force_write_back(stage1: Cacheability | None) -> Cacheability:
    """Write-Back with stage 1's hints where it was cacheable, RA and WA otherwise."""
    if stage1 is None or stage1.policy is Cache.NC:
        return WB_RAWA
    return replace(stage1, policy=Cache.WB)


def _device_over(stage1: MemType, stage2: DeviceType | None) -> tuple[MemType, ...]:
    """MemAttr[2]=0 with FWB: Device. Over a Device stage 1, the stricter one and stage 2's."""
    kind = DeviceType.NGNRNE if stage2 is None else stage2
    if stage1.device is None:
        return (device(kind, xs=stage1.xs),)
    return (
        device(min(stage1.device, kind), xs=stage1.xs),
        device(kind, xs=stage1.xs),
    )
