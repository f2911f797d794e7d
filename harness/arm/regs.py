# SPDX-License-Identifier: GPL-2.0-only
"""The system registers that a translation of the EL1&0 regime depends on, and their fields.

Source: Arm ARM DDI 0487, the description of each register (chapter "AArch64 System Register
Descriptions"); the field tables below are that chapter's bit numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from harness.arm.bits import MASK64, bit, bits
from harness.base.errors import MachineError

# register -> field -> (high bit, low bit)
FIELDS: dict[str, dict[str, tuple[int, int]]] = {
    "tcr_el1": {
        "T0SZ": (5, 0), "EPD0": (7, 7), "SH0": (13, 12), "TG0": (15, 14),
        "T1SZ": (21, 16), "EPD1": (23, 23), "SH1": (29, 28), "TG1": (31, 30),
        "IPS": (34, 32), "TBI0": (37, 37), "TBI1": (38, 38), "HA": (39, 39), "HD": (40, 40),
        "HPD0": (41, 41), "HPD1": (42, 42), "TBID0": (51, 51), "TBID1": (52, 52),
        "E0PD0": (55, 55), "E0PD1": (56, 56), "DS": (59, 59), "MTX0": (60, 60), "MTX1": (61, 61),
    },
    "tcr2_el1": {"PIE": (1, 1), "AIE": (4, 4), "D128": (5, 5)},
    "vtcr_el2": {
        "T0SZ": (5, 0), "SL0": (7, 6), "SH0": (13, 12), "TG0": (15, 14), "PS": (18, 16),
        "VS": (19, 19), "HA": (21, 21), "HD": (22, 22), "DS": (32, 32), "SL2": (33, 33),
        "S2PIE": (36, 36), "D128": (38, 38),
    },
    "hcr_el2": {
        "VM": (0, 0), "PTW": (2, 2), "DC": (12, 12), "TGE": (27, 27), "RW": (31, 31),
        "CD": (32, 32), "ID": (33, 33), "E2H": (34, 34), "NV": (42, 42), "NV1": (43, 43),
        "NV2": (45, 45), "FWB": (46, 46), "DCT": (57, 57),
    },
    "sctlr_el1": {"M": (0, 0), "C": (2, 2), "I": (12, 12), "WXN": (19, 19), "EE": (25, 25)},
    "sctlr_el2": {"EE": (25, 25)},
    "vttbr_el2": {"CnP": (0, 0), "BADDR": (47, 1), "VMID": (63, 48)},
    "ttbr0_el1": {"CnP": (0, 0), "BADDR": (47, 1), "ASID": (63, 48)},
    "ttbr1_el1": {"CnP": (0, 0), "BADDR": (47, 1), "ASID": (63, 48)},
    "cpsr": {"EL": (3, 2), "nRW": (4, 4)},
    "hpfar_el2": {"FIPA": (47, 4), "NS": (63, 63)},
    "id_aa64mmfr0_el1": {"PARange": (3, 0)},
    "id_aa64mmfr1_el1": {"XNX": (31, 28)},
}  # fmt: skip

HCR_VM, HCR_TGE = FIELDS["hcr_el2"]["VM"][0], FIELDS["hcr_el2"]["TGE"][0]

# TCR_EL1.IPS, VTCR_EL2.PS and ID_AA64MMFR0_EL1.PARange: bits of an output address.
ADDRESS_SIZES = (32, 36, 40, 42, 44, 48, 52, 56)


def exception_level(cpsr: int) -> int:
    """Return PSTATE.EL, 0 to 3, of a vCPU in AArch64 state."""
    high, low = FIELDS["cpsr"]["EL"]
    return bits(cpsr, high, low)


def own_regime(cpsr: int, hcr_el2: int) -> bool:
    """Return whether the EL1&0 regime translates: at EL0 or EL1, but not in a VHE host's EL0."""
    return exception_level(cpsr) <= 1 and not bit(hcr_el2, HCR_TGE)


def runs_guest(cpsr: int, hcr_el2: int) -> bool:
    """Return whether a vCPU runs a guest of the hypervisor at EL2: EL0 or EL1, VM=1, TGE=0."""
    return own_regime(cpsr, hcr_el2) and bit(hcr_el2, HCR_VM)


@dataclass(frozen=True)
class Regs:
    """Raw register values of one vCPU. Those with a default may be missing from a source;
    the ID registers are None when unknown, which leaves implementation limits unchecked.
    """

    ttbr0_el1: int
    ttbr1_el1: int
    tcr_el1: int
    mair_el1: int
    sctlr_el1: int
    vttbr_el2: int
    vtcr_el2: int
    hcr_el2: int
    cpsr: int
    tcr2_el1: int = 0
    sctlr_el2: int = 0
    esr_el1: int = 0
    far_el1: int = 0
    esr_el2: int = 0
    far_el2: int = 0
    hpfar_el2: int = 0
    id_aa64mmfr0_el1: int | None = None
    id_aa64mmfr1_el1: int | None = None

    @classmethod
    def from_names(cls, values: Mapping[str, int]) -> Regs:
        """Return the registers by names in any case, e.g. a gdb stub's; other names are ignored.

        Raise MachineError naming every register that is missing.
        """
        lower = {name.lower(): value & MASK64 for name, value in values.items()}
        wanted = {field.name: field for field in fields(cls)}
        needed = [name for name in wanted if name in cls.required()]
        missing = [name.upper() for name in needed if name not in lower]
        if missing:
            raise MachineError(
                f"registers missing: {', '.join(missing)}; the table walk needs a QEMU that "
                "exports system registers in its gdb stub (-cpu with EL2)"
            )
        return cls(**{name: value for name, value in lower.items() if name in wanted})

    @classmethod
    def required(cls) -> tuple[str, ...]:
        """Return the names, in lower case, without which there is no walk."""
        return (
            "ttbr0_el1", "ttbr1_el1", "tcr_el1", "mair_el1", "sctlr_el1",
            "vttbr_el2", "vtcr_el2", "hcr_el2", "cpsr",
        )  # fmt: skip

    def field(self, register: str, name: str) -> int:
        """Return one field, e.g. `field("tcr_el1", "T0SZ")`; 0 when the register is unknown."""
        high, low = FIELDS[register][name]
        return bits(int(getattr(self, register) or 0), high, low)

    def flag(self, register: str, name: str) -> bool:
        """Return whether a field of one bit is set; False when the register is unknown."""
        return bool(self.field(register, name))

    @property
    def el(self) -> int:
        """PSTATE.EL, 0 to 3, of a vCPU in AArch64 state."""
        return exception_level(self.cpsr)

    @property
    def vhe(self) -> bool:
        """Whether EL2 is laid out as EL1 is (HCR_EL2.E2H), as a VHE host has it."""
        return self.flag("hcr_el2", "E2H")

    @property
    def stage2_on(self) -> bool:
        """HCR_EL2.VM, or DC, which makes VM behave as 1."""
        return self.flag("hcr_el2", "VM") or self.flag("hcr_el2", "DC")

    @property
    def pa_bits(self) -> int | None:
        """The implemented physical address size in bits, None when unknown."""
        if self.id_aa64mmfr0_el1 is None:
            return None
        return ADDRESS_SIZES[min(self.field("id_aa64mmfr0_el1", "PARange"), 7)]

    @property
    def xnx(self) -> bool:
        """FEAT_XNX; taken as there when ID_AA64MMFR1_EL1 is unknown."""
        return self.id_aa64mmfr1_el1 is None or self.flag("id_aa64mmfr1_el1", "XNX")
