# SPDX-License-Identifier: GPL-2.0-only
"""Table walks of the EL1&0 translation regime: stage 1, stage 2, and both together.

Source: Arm ARM DDI 0487 K.a, D8.2 "Translation process"; pseudocode AArch64.S1Walk,
AArch64.S2Walk, AArch64.FullTranslate. A walk reads descriptors and never writes them (no
hardware update of AF or dirty state), judges no permission, and never raises: whatever the
tables and registers hold, the end is an address or a Fault. Memory types are those of a data
access; E0PD, which concerns EL0 alone, is not applied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from harness.arm.bits import bits, mask, swap64
from harness.arm.combine import (
    Attributes,
    Controls,
    combine,
    stage1_attributes,
    stage1_disabled,
    stage1_enabled,
    stage1_only,
)
from harness.arm.memtype import decode_mair_byte, decode_memattr
from harness.arm.regs import Regs
from harness.arm.tables.descriptor import (
    InvalidDescriptor,
    Layout,
    Stage1Leaf,
    Stage2Leaf,
    TableDescriptor,
    decode_stage1,
    decode_stage2,
)
from harness.arm.tables.params import Fault, FaultKind, Params, stage1_params, stage2_params
from harness.arm.tables.permissions import AccessRights, stage1_access, stage2_access
from harness.arm.tables.result import Stage1, Stage2, Walk, WalkStep

ReadU64 = Callable[[int], int | None]
"""Reads 8 bytes, little-endian, at a physical address; None where there is no memory."""

LeafT = TypeVar("LeafT", Stage1Leaf, Stage2Leaf)


@dataclass(frozen=True)
class _Found(Generic[LeafT]):
    """A leaf, the address it gives, and the table descriptors above it."""

    leaf: LeafT
    descriptor: int
    level: int
    output: int
    tables: tuple[TableDescriptor, ...]


def controls_from(regs: Regs) -> Controls:
    """Return the bits of SCTLR_EL1 and HCR_EL2 that change memory types."""
    return Controls(
        m=regs.flag("sctlr_el1", "M"),
        c=regs.flag("sctlr_el1", "C"),
        i=regs.flag("sctlr_el1", "I"),
        dc=regs.flag("hcr_el2", "DC"),
        dct=regs.flag("hcr_el2", "DCT"),
        tge=regs.flag("hcr_el2", "TGE"),
        cd=regs.flag("hcr_el2", "CD"),
        icd=regs.flag("hcr_el2", "ID"),
        fwb=regs.flag("hcr_el2", "FWB"),
    )


def walk(read_u64: ReadU64, regs: Regs, va: int) -> Walk:
    """Return the walk of a VA to its IPA and PA, with the attributes of both stages combined.

    Arm ARM D8.2; pseudocode AArch64.FullTranslate. The registers decide which stages are on.
    """
    result = Walk(va)
    walker = _Walker(read_u64, regs, result)
    stage1 = walker.stage1(va)
    if isinstance(stage1, Fault):
        result.fault = stage1
        return result
    result.stage1 = stage1
    if not regs.stage2_on:
        result.pa = stage1.ipa
        result.combined = stage1_only(stage1.attributes)
        return result
    stage2 = walker.stage2(stage1.ipa)
    if isinstance(stage2, Fault):
        result.fault = stage2
        return result
    leaf = stage2.leaf
    result.stage2, result.pa = stage2, stage2.pa
    result.combined = combine(
        stage1.attributes, leaf.memattr, leaf.sh, walker.controls, fnxs=leaf.fnxs
    )
    return result


def walk_stage2(read_u64: ReadU64, regs: Regs, ipa: int) -> Walk:
    """Return the walk of stage 2 alone, for an IPA whose stage 1 does not matter; `va` is the IPA.

    Arm ARM D8.2; pseudocode AArch64.S2Translate. `stage1` and `combined` stay None.
    """
    result = Walk(ipa)
    stage2 = _Walker(read_u64, regs, result).stage2(ipa)
    if isinstance(stage2, Fault):
        result.fault = stage2
    else:
        result.stage2, result.pa = stage2, stage2.pa
    return result


class _Walker:
    """One walk in progress: what it reads from, and the Walk it fills with steps and notes."""

    def __init__(self, read_u64: ReadU64, regs: Regs, result: Walk) -> None:
        self.read_u64 = read_u64
        self.regs = regs
        self.result = result
        self.controls = controls_from(regs)

    def stage1(self, va: int) -> Stage1 | Fault:
        """Pseudocode AArch64.S1Translate."""
        if not stage1_enabled(self.controls):
            return self._stage1_off(va)
        params = stage1_params(self.regs, va)
        if isinstance(params, Fault):
            return params
        found = self._levels(params, decode_stage1, va, None)
        if isinstance(found, Fault):
            return found
        index = found.leaf.attr_index
        byte = bits(self.regs.mair_el1, 8 * index + 7, 8 * index)
        mapped = Attributes(decode_mair_byte(byte), found.leaf.sh)
        el1, el0 = self._stage1_access(found, params)
        return Stage1(
            ipa=found.output,
            attributes=stage1_attributes(mapped, self.controls),
            leaf=found.leaf,
            descriptor=found.descriptor,
            level=found.level,
            mair_byte=byte,
            el1=el1,
            el0=el0,
        )

    def _stage1_off(self, va: int) -> Stage1 | Fault:
        """The VA is the IPA. Pseudocode AArch64.S1DisabledOutput."""
        half = bits(va, 55, 55)
        top = 55 if self.regs.flag("tcr_el1", f"TBI{half}") else 63
        limit = self.regs.pa_bits or 52
        if bits(va, top, limit):
            reason = f"stage 1 is off and the address has more than {limit} bits"
            return Fault(FaultKind.ADDRESS_SIZE, 1, 0, va, reason)
        return Stage1(ipa=bits(va, 55, 0), attributes=stage1_disabled(self.controls))

    def _stage1_access(
        self, found: _Found[Stage1Leaf], params: Params
    ) -> tuple[AccessRights | None, AccessRights | None]:
        leaf, tables = found.leaf, found.tables if params.table_attributes else ()
        if leaf.pi_index is not None:
            return None, None
        ap_table = 0
        for table in tables:
            ap_table |= table.ap_table
        return stage1_access(
            # A writable-clean page: the CPU makes it writable by itself (FEAT_HAFDBS).
            leaf.ap & 0b01 if leaf.dbm and params.dirty_by_hardware else leaf.ap,
            uxn=leaf.uxn,
            pxn=leaf.pxn,
            ap_table=ap_table,
            uxn_table=any(table.uxn_table for table in tables),
            pxn_table=any(table.pxn_table for table in tables),
            wxn=self.regs.flag("sctlr_el1", "WXN"),
        )

    def stage2(self, ipa: int, for_level: int | None = None) -> Stage2 | Fault:
        """Pseudocode AArch64.S2Translate."""
        params = stage2_params(self.regs, ipa)
        if isinstance(params, Fault):
            return params
        found = self._levels(params, decode_stage2, ipa, for_level)
        if isinstance(found, Fault):
            return found
        leaf = found.leaf
        el1 = el0 = None
        if leaf.pi_index is None:
            dirty = leaf.dbm and params.dirty_by_hardware
            s2ap = leaf.s2ap | 0b10 if dirty else leaf.s2ap
            el1, el0 = stage2_access(s2ap, leaf.xn, xnx=self.regs.xnx)
        attr = decode_memattr(leaf.memattr, fwb=self.controls.fwb)
        return Stage2(found.output, leaf, found.descriptor, found.level, attr, el1, el0)

    def _levels(
        self,
        params: Params,
        decode: Callable[[int, int, Layout], InvalidDescriptor | TableDescriptor | LeafT],
        address: int,
        for_level: int | None,
    ) -> _Found[LeafT] | Fault:
        """From the first table to a leaf or a fault. Pseudocode AArch64.S1Walk, AArch64.S2Walk."""
        table, tables = params.base, list[TableDescriptor]()
        if table >> params.output_bits:
            reason = f"{params.register} points above {params.output_bits} bits ({table:#x})"
            return Fault(FaultKind.ADDRESS_SIZE, params.stage, 0, address, reason)
        width = params.index_bits
        for level in range(params.start_level, 4):
            index = address >> params.layout.level_shift(level) & mask(width)
            where = self._descriptor_address(params, table + 8 * index, level)
            raw = self.read_u64(where) if isinstance(where, int) else None
            if raw is not None and params.big_endian:
                raw = swap64(raw)
            entry = None if raw is None else decode(raw, level, params.layout)
            at = where if isinstance(where, int) else None
            self.result.steps.append(
                WalkStep(params.stage, level, table, index, at, raw, entry, for_level)
            )
            if isinstance(where, Fault):
                return where
            if raw is None or entry is None:
                reason = f"descriptor at {where:#x}"
                return Fault(FaultKind.EXTERNAL, params.stage, level, address, reason)
            problem = _entry_problem(params, entry, level, address)
            if problem:
                return problem
            if isinstance(entry, TableDescriptor):
                tables.append(entry)
                table, width = entry.address, params.layout.granule.stride
            elif not isinstance(entry, InvalidDescriptor):
                output = entry.address | address & (entry.size - 1)
                return _Found(entry, raw, level, output, tuple(tables))
        # Level 3 holds no tables, so this is not reached.
        return Fault(FaultKind.TRANSLATION, params.stage, 3, address, "no leaf")

    def _descriptor_address(self, params: Params, address: int, level: int) -> int | Fault:
        """The physical address of a descriptor: stage 1's pass through stage 2 (D8.2)."""
        if params.stage == 2 or not self.regs.stage2_on:
            return address
        stage2 = self.stage2(address, for_level=level)
        if isinstance(stage2, Fault):
            return Fault(**{**vars(stage2), "s1ptw": True})
        self._note_table_access(stage2, level)
        return stage2.pa

    def _note_table_access(self, stage2: Stage2, level: int) -> None:
        """What the CPU makes a stage-2 permission fault of, which this walk reads all the same.

        Pseudocode AArch64.S2CheckPermissions; HCR_EL2.PTW.
        """
        where = f"the stage-1 table of level {level}"
        if stage2.el1 is not None and not stage2.el1.read:
            self.result.notes.append(f"{where} is not readable at stage 2: a permission fault")
        is_device = stage2.attr.type is not None and stage2.attr.type.is_device
        if is_device and self.regs.flag("hcr_el2", "PTW"):
            self.result.notes.append(
                f"{where} is Device memory at stage 2 and HCR_EL2.PTW=1: a permission fault"
            )


def _entry_problem(
    params: Params,
    entry: InvalidDescriptor | TableDescriptor | Stage1Leaf | Stage2Leaf,
    level: int,
    address: int,
) -> Fault | None:
    """Faults that a descriptor's own contents cause, in the order of AArch64.S1Walk."""
    if isinstance(entry, InvalidDescriptor):
        return Fault(FaultKind.TRANSLATION, params.stage, level, address, entry.describe())
    if entry.address >> params.output_bits:
        reason = f"output address {entry.address:#x} has more than {params.output_bits} bits"
        return Fault(FaultKind.ADDRESS_SIZE, params.stage, level, address, reason)
    if (
        not isinstance(entry, TableDescriptor)
        and not entry.af
        and not params.access_flag_by_hardware
    ):
        return Fault(FaultKind.ACCESS_FLAG, params.stage, level, address, "AF=0 in the leaf")
    return None
