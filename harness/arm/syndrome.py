# SPDX-License-Identifier: GPL-2.0-only
"""ESR_ELx in words: exception class, instruction length and what the syndrome says.

Source: Arm ARM DDI 0487, ESR_EL1 and ESR_EL2 ("Exception Syndrome Register"): the EC table.
The syndrome of each class is decoded in iss.py. An unknown class or status code is a value like
any other.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.arm.bits import bit, bits
from harness.arm.iss import DECODERS, Field

CLASSES = {
    0x00: "unknown reason",
    0x01: "WFI, WFE, WFIT or WFET trapped",
    0x03: "MCR or MRC (coproc=0b1111) trapped",
    0x04: "MCRR or MRRC (coproc=0b1111) trapped",
    0x05: "MCR or MRC (coproc=0b1110) trapped",
    0x06: "LDC or STC trapped",
    0x07: "SVE, SIMD or floating point trapped",
    0x08: "VMRS trapped",
    0x09: "pointer authentication trapped",
    0x0A: "LD64B, ST64B, ST64BV or ST64BV0 trapped",
    0x0C: "MRRC (coproc=0b1110) trapped",
    0x0D: "branch target exception",
    0x0E: "illegal execution state",
    0x11: "SVC in AArch32 state",
    0x12: "HVC in AArch32 state",
    0x13: "SMC in AArch32 state",
    0x14: "MSRR, MRRS or 128-bit system instruction trapped",
    0x15: "SVC in AArch64 state",
    0x16: "HVC in AArch64 state",
    0x17: "SMC in AArch64 state",
    0x18: "MSR, MRS or system instruction trapped",
    0x19: "SVE trapped",
    0x1A: "ERET, ERETAA or ERETAB trapped",
    0x1B: "TSTART trapped",
    0x1C: "pointer authentication failure",
    0x1D: "SME trapped",
    0x1E: "granule protection check",
    0x1F: "implementation defined exception to EL3",
    0x20: "instruction abort from a lower exception level",
    0x21: "instruction abort from the same exception level",
    0x22: "PC alignment fault",
    0x24: "data abort from a lower exception level",
    0x25: "data abort from the same exception level",
    0x26: "SP alignment fault",
    0x27: "memory copy or set exception",
    0x28: "floating-point exception in AArch32 state",
    0x2C: "floating-point exception in AArch64 state",
    0x2D: "guarded control stack exception",
    0x2F: "SError",
    0x30: "breakpoint from a lower exception level",
    0x31: "breakpoint from the same exception level",
    0x32: "software step from a lower exception level",
    0x33: "software step from the same exception level",
    0x34: "watchpoint from a lower exception level",
    0x35: "watchpoint from the same exception level",
    0x38: "BKPT in AArch32 state",
    0x3A: "vector catch in AArch32 state",
    0x3C: "BRK in AArch64 state",
    0x3D: "profiling exception",
}


@dataclass(frozen=True)
class Syndrome:
    """A decoded ESR_ELx. `ec` is bits [31:26], `il` 32-bit instruction, `iss` bits [24:0],
    `iss2` bits [55:32].
    """

    value: int
    ec: int
    il: bool
    iss: int
    iss2: int
    fields: tuple[Field, ...]

    @property
    def ec_words(self) -> str:
        """The exception class in words."""
        return CLASSES.get(self.ec, f"reserved exception class {self.ec:#04x}")

    def field(self, name: str) -> int | None:
        """Return a field's value, None when this class has no such field."""
        return next((field.value for field in self.fields if field.name == name), None)

    def words(self, name: str) -> str:
        """Return what a field's value means; "" without such a field, or a meaning."""
        return next((field.words for field in self.fields if field.name == name), "")

    def summary(self) -> str:
        """Return one line: the class and the fields that say something."""
        details = [field.words for field in self.fields if field.words]
        return f"{self.ec_words}: {', '.join(details)}" if details else self.ec_words

    def lines(self) -> list[str]:
        """Return the summary and a line for each part of the register and each field."""
        lines = [
            f"ESR {self.value:#x}: {self.summary()}",
            f"  EC   {self.ec:#04x}  {self.ec_words}",
            f"  IL   {int(self.il)}     {'32' if self.il else '16'}-bit instruction",
            f"  ISS  {self.iss:#09x}",
        ]
        lines += [f"  ISS2 {self.iss2:#08x}"] if self.iss2 else []
        for field in self.fields:
            lines.append(f"    {field.name:<7} {field.value:#x}  {field.words}".rstrip())
        return lines


def decode_esr(value: int) -> Syndrome:
    """Return what ESR_EL1, ESR_EL2 or ESR_EL3 (64 bits) holds. Never raises."""
    ec, iss, iss2 = bits(value, 31, 26), bits(value, 24, 0), bits(value, 55, 32)
    decoder = DECODERS.get(ec)
    fields = tuple(decoder(iss)) if decoder else ()
    return Syndrome(value, ec, bit(value, 25), iss, iss2, fields)
