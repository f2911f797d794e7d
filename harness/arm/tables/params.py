# SPDX-License-Identifier: GPL-2.0-only
"""What the registers say about a walk before the first descriptor is read, and faults.

Source: Arm ARM DDI 0487 K.a, D8.2 "Translation process" (granules, input and output sizes, start
levels, TTBR selection, concatenated tables); pseudocode AArch64.S1TTWParamsEL10,
AArch64.NSS2TTWParams, AArch64.S1TTBaseAddress, AArch64.S2InvalidSL, AArch64.S2InconsistentSL.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from harness.arm.bits import MASK64, bit, bits, mask
from harness.arm.memtype import Shareability
from harness.arm.regs import ADDRESS_SIZES, Regs
from harness.arm.tables.descriptor import Granule, Layout
from harness.base.errors import MachineError


class FaultKind(Enum):
    """Why a walk ends early; the values are words for people."""

    TRANSLATION = "translation fault"
    ADDRESS_SIZE = "address size fault"
    ACCESS_FLAG = "access flag fault"
    EXTERNAL = "no memory at the descriptor's address"
    UNSUPPORTED = "not supported here"


# FaultKind -> the FSC's base at levels 0 to 3 and its value at level -1 (Arm ARM, ESR_EL1.DFSC).
_FSC = {
    FaultKind.ADDRESS_SIZE: (0b000000, 0b101001),
    FaultKind.TRANSLATION: (0b000100, 0b101011),
    FaultKind.ACCESS_FLAG: (0b001000, None),
    FaultKind.EXTERNAL: (0b010100, 0b010011),
}


@dataclass(frozen=True)
class Fault:
    """Why a walk ended. `stage` and `level` are those a CPU would report; `s1ptw` marks a
    stage-2 fault on the way to a stage-1 table. `address` is the input address of that stage.
    """

    kind: FaultKind
    stage: int
    level: int
    address: int
    reason: str
    s1ptw: bool = False

    @property
    def fsc(self) -> int | None:
        """The fault status code a CPU reports for it in ESR_ELx; None where there is none."""
        base, minus_one = _FSC.get(self.kind, (None, None))
        if base is None or self.level < 0:
            return minus_one
        return base | self.level

    def describe(self) -> str:
        """Return stage, level, address and reason in a line."""
        what = "IPA" if self.stage == 2 else "VA"
        table = " (of a stage-1 table)" if self.s1ptw else ""
        return (
            f"stage-{self.stage} {self.kind.value} at level {self.level} for {what} "
            f"{self.address:#x}{table}: {self.reason}"
        )


@dataclass(frozen=True)
class Params:
    """One stage's walk: `base` is the first table's address, `index_bits` what the first table
    resolves (more than a granule's stride where stage-2 tables are concatenated).
    """

    stage: int
    layout: Layout
    input_bits: int
    output_bits: int
    start_level: int
    base: int
    register: str
    access_flag_by_hardware: bool
    dirty_by_hardware: bool
    table_attributes: bool
    big_endian: bool

    @property
    def index_bits(self) -> int:
        """The bits of the input address that the first table, or tables, are indexed with."""
        return self.input_bits - self.layout.level_shift(self.start_level)


# TCR_EL1.TG0 and VTCR_EL2.TG0 are encoded alike, TCR_EL1.TG1 is not.
TG0 = {0b00: Granule.G4K, 0b01: Granule.G64K, 0b10: Granule.G16K}
TG1 = {0b01: Granule.G16K, 0b10: Granule.G4K, 0b11: Granule.G64K}

# granule -> SL0 -> start level (VTCR_EL2.SL0; SL2=1 with SL0=0 gives -1 for 4K and DS=1)
START_LEVELS = {
    Granule.G4K: {0: 2, 1: 1, 2: 0, 3: 3},
    Granule.G16K: {0: 3, 1: 2, 2: 1, 3: 0},
    Granule.G64K: {0: 3, 1: 2, 2: 1},
}
# SL0=2 needs a physical address size of at least this many bits (AArch64.S2InvalidSL).
_SL0_2_PA_BITS = {Granule.G4K: 44, Granule.G16K: 42, Granule.G64K: 44}


def _output_bits(size: int, granule: Granule, ds: bool, regs: Regs) -> int:
    """Effective output address size. Arm ARM D8.2; pseudocode AArch64.PhysicalAddressSize.

    56 bits need VMSAv9-128, so that encoding counts as 52 here.
    """
    limit = 52 if ds or granule is Granule.G64K else 48
    return min(ADDRESS_SIZES[size], limit, regs.pa_bits or 52)


def _wide(granule: Granule, ds: bool, size: int, regs: Regs) -> bool:
    """Whether descriptors have room for 52-bit addresses: FEAT_LPA2's DS, or FEAT_LPA for 64K.

    Whether FEAT_LPA is implemented is ID_AA64MMFR0_EL1's to say; without it, IPS or PS is.
    """
    if granule is Granule.G64K:
        return size >= 6 if regs.pa_bits is None else regs.pa_bits >= 52
    return ds


def _base(ttbr: int, table_bits: int, granule: Granule, ds: bool, size: int) -> int:
    """The first table's address. Arm ARM D8.2; pseudocode AArch64.S1TTBaseAddress.

    With 52-bit addresses TTBR[5:2] is A[51:48] and tables are aligned to at least 64 bytes.
    """
    if ds or (granule is Granule.G64K and size == 6):
        address = bits(ttbr, 47, 6) << 6 | bits(ttbr, 5, 2) << 48
        table_bits = max(table_bits, 6)
    else:
        address = bits(ttbr, 47, 1) << 1
    return address & ~mask(table_bits)


def _max_txsz(granule: Granule) -> int:
    """With FEAT_TTST, which is not looked for: without it such a table is simply not used."""
    return 47 if granule is Granule.G64K else 48


def stage1_params(regs: Regs, va: int, *, fetch: bool = False) -> Params | Fault:
    """Return how stage 1 of the EL1&0 regime walks a virtual address, or its fault. Arm ARM D8.2.

    A start level follows from TxSZ and the granule (AArch64.S1StartLevel). `fetch` matters for
    TBID. Faults here are Translation faults at level 0, as AArch64.S1Translate reports them.
    """
    half = "1" if bit(va, 55) else "0"
    unsupported = [name for name in ("D128", "AIE") if regs.flag("tcr2_el1", name)]
    if unsupported:
        reason = f"TCR2_EL1.{unsupported[0]} is set"
        return Fault(FaultKind.UNSUPPORTED, 1, 0, va, reason)
    granule = (TG1 if half == "1" else TG0).get(regs.field("tcr_el1", f"TG{half}"))
    if granule is None:
        return Fault(FaultKind.UNSUPPORTED, 1, 0, va, f"TCR_EL1.TG{half} is reserved")
    ds = regs.flag("tcr_el1", "DS") and granule is not Granule.G64K
    txsz = regs.field("tcr_el1", f"T{half}SZ")
    reason = _va_problem(regs, va, half, txsz, 12 if ds else 16, granule, fetch)
    if reason:
        return Fault(FaultKind.TRANSLATION, 1, 0, va, reason)
    size = regs.field("tcr_el1", "IPS")
    input_bits = 64 - txsz
    level = 3 - (input_bits - 1 - granule.shift) // granule.stride
    pie = regs.flag("tcr2_el1", "PIE")
    layout = Layout(
        granule,
        wide=_wide(granule, ds, size, regs),
        sh=Shareability(regs.field("tcr_el1", f"SH{half}")),
        nv1=regs.flag("hcr_el2", "NV") and regs.flag("hcr_el2", "NV1"),
        pie=pie,
    )
    table_bits = input_bits - layout.level_shift(level) + 3
    return Params(
        stage=1,
        layout=layout,
        input_bits=input_bits,
        output_bits=_output_bits(size, granule, ds, regs),
        start_level=level,
        base=_base(int(getattr(regs, f"ttbr{half}_el1")), table_bits, granule, ds, size),
        register=f"TTBR{half}_EL1",
        access_flag_by_hardware=regs.flag("tcr_el1", "HA"),
        dirty_by_hardware=regs.flag("tcr_el1", "HA") and regs.flag("tcr_el1", "HD"),
        table_attributes=not (regs.flag("tcr_el1", f"HPD{half}") or pie),
        big_endian=regs.flag("sctlr_el1", "EE"),
    )


def stage1_table(regs: Regs, half: int) -> int:
    """Return the address of the first table of TTBR0_EL1 (`half` 0) or TTBR1_EL1 (`half` 1).

    An IPA where stage 2 is on. With 52-bit addresses its bits [51:48] are bits [5:2] of the
    register. Raise MachineError when TCR_EL1 allows no walk of that half.
    """
    params = stage1_params(regs, MASK64 if half else 0)
    if isinstance(params, Fault):
        raise MachineError(f"TTBR{half}_EL1 names no table: {params.describe()}")
    return params.base


def _va_problem(
    regs: Regs, va: int, half: str, txsz: int, least: int, granule: Granule, fetch: bool
) -> str:
    """Why the VA cannot be walked, empty when it can.

    Arm ARM D8.2 and D8.8 (address tagging); pseudocode AArch64.S1TxSZFaults,
    AArch64.VAIsOutOfRange, AArch64.S1EPD.
    """
    if granule is Granule.G64K:
        least = 12
    if not least <= txsz <= _max_txsz(granule):
        return f"TCR_EL1.T{half}SZ={txsz} is outside {least} to {_max_txsz(granule)}"
    if not 0 <= va < 1 << 64:
        return "not a 64-bit address"
    ignored = regs.flag("tcr_el1", f"TBI{half}")
    if fetch and regs.flag("tcr_el1", f"TBID{half}"):
        ignored = False
    top = bits(va, 55 if ignored else 63, 64 - txsz)
    expected = mask((56 if ignored else 64) - (64 - txsz)) if half == "1" else 0
    if regs.flag("tcr_el1", f"MTX{half}") and not ignored:
        # Logical tags in VA[59:56] take no part in the translation.
        tag = mask(4) << (56 - (64 - txsz))
        top, expected = top & ~tag, expected & ~tag
    if top != expected:
        return f"outside the {64 - txsz}-bit range of TTBR{half}_EL1"
    return f"TCR_EL1.EPD{half}=1: no walk" if regs.flag("tcr_el1", f"EPD{half}") else ""


def stage2_params(regs: Regs, ipa: int) -> Params | Fault:
    """Return how stage 2 walks an intermediate physical address, or its fault. Arm ARM D8.2.

    Invalid or inconsistent SL0 and T0SZ, and an IPA above 2^(64-T0SZ), are Translation faults at
    level 0 (AArch64.S2Translate).
    """
    if regs.flag("vtcr_el2", "D128"):
        return Fault(FaultKind.UNSUPPORTED, 2, 0, ipa, "VTCR_EL2.D128 is set")
    granule = TG0.get(regs.field("vtcr_el2", "TG0"))
    if granule is None:
        return Fault(FaultKind.UNSUPPORTED, 2, 0, ipa, "VTCR_EL2.TG0 is reserved")
    ds = regs.flag("vtcr_el2", "DS") and granule is not Granule.G64K
    input_bits = 64 - regs.field("vtcr_el2", "T0SZ")
    level = _stage2_start(regs, granule, ds)
    reason = _stage2_problem(regs, granule, ds, input_bits, level)
    if level is None or reason:
        return Fault(FaultKind.TRANSLATION, 2, 0, ipa, reason)
    if ipa >> input_bits:
        reason = f"outside the {input_bits}-bit IPA space of VTCR_EL2"
        return Fault(FaultKind.TRANSLATION, 2, 0, ipa, reason)
    size = regs.field("vtcr_el2", "PS")
    layout = Layout(
        granule,
        wide=_wide(granule, ds, size, regs),
        sh=Shareability(regs.field("vtcr_el2", "SH0")),
        pie=regs.flag("vtcr_el2", "S2PIE"),
    )
    table_bits = input_bits - layout.level_shift(level) + 3
    return Params(
        stage=2,
        layout=layout,
        input_bits=input_bits,
        output_bits=_output_bits(size, granule, ds, regs),
        start_level=level,
        base=_base(regs.vttbr_el2, table_bits, granule, ds, size),
        register="VTTBR_EL2",
        access_flag_by_hardware=regs.flag("vtcr_el2", "HA"),
        dirty_by_hardware=regs.flag("vtcr_el2", "HA") and regs.flag("vtcr_el2", "HD"),
        table_attributes=False,
        big_endian=regs.flag("sctlr_el2", "EE"),
    )


def _stage2_start(regs: Regs, granule: Granule, ds: bool) -> int | None:
    """VTCR_EL2.{SL2, SL0} to a start level, None for an encoding that is invalid.

    Pseudocode AArch64.S2StartLevel, AArch64.S2InvalidSL.
    """
    sl0 = regs.field("vtcr_el2", "SL0")
    if granule is Granule.G4K and ds and regs.flag("vtcr_el2", "SL2"):
        return -1 if sl0 == 0 else None
    if granule is Granule.G16K and sl0 == 3 and not ds:
        return None
    if sl0 == 2 and regs.pa_bits is not None and regs.pa_bits < _SL0_2_PA_BITS[granule]:
        return None
    return START_LEVELS[granule].get(sl0)


def _stage2_problem(
    regs: Regs, granule: Granule, ds: bool, input_bits: int, level: int | None
) -> str:
    """Why VTCR_EL2 allows no walk, empty when it does.

    Pseudocode AArch64.S2TxSZFaults, AArch64.S2InconsistentSL: the start tables have 2 entries at
    least, and 16 concatenated tables at most.
    """
    most = min(52 if ds or granule is Granule.G64K else 48, regs.pa_bits or 52)
    least = 64 - _max_txsz(granule)
    if not least <= input_bits <= most:
        return f"VTCR_EL2.T0SZ={64 - input_bits} is outside {64 - most} to {64 - least}"
    sl0 = f"VTCR_EL2.SL0={regs.field('vtcr_el2', 'SL0')}"
    if level is None:
        return f"{sl0} is invalid for {granule.label} granules"
    resolved = input_bits - Layout(granule).level_shift(level)
    if not 1 <= resolved <= granule.stride + 4:
        return f"{sl0} does not fit T0SZ={64 - input_bits} (start level {level})"
    return ""
