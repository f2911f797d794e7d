# SPDX-License-Identifier: GPL-2.0-only
"""The instruction-specific syndrome of ESR_ELx: one decoder an exception class.

Source: Arm ARM DDI 0487, ESR_EL1 and ESR_EL2, the "ISS encoding for an exception from ..." of
each class, and the tables of DFSC and IFSC there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.arm.bits import bit, bits
from harness.arm.sysreg import sysreg_name

# Fault status codes that stand alone; those with a level are built by _status_table().
_STATUS = {
    0b010000: "synchronous external abort",
    0b010001: "synchronous tag check fault",
    0b011000: "synchronous parity or ECC error",
    0b100001: "alignment fault",
    0b101000: "granule protection fault",
    0b110000: "TLB conflict",
    0b110001: "unsupported atomic hardware update",
    0b110100: "implementation defined fault (lockdown)",
    0b110101: "implementation defined fault (unsupported exclusive or atomic access)",
}
# words -> the code at level 0 and its codes at levels -1 and -2
_LEVELLED = {
    "address size fault": (0b000000, 0b101001, 0b101100),
    "translation fault": (0b000100, 0b101011, 0b101010),
    "access flag fault": (0b001000, None, None),
    "permission fault": (0b001100, None, None),
    "synchronous external abort on a table walk": (0b010100, 0b010011, 0b010010),
    "synchronous parity or ECC error on a table walk": (0b011100, 0b011011, None),
    "granule protection fault on a table walk": (0b100100, 0b100011, 0b100010),
}


def _status_table() -> dict[int, str]:
    table = dict(_STATUS)
    for fault, (zero, minus_one, minus_two) in _LEVELLED.items():
        table |= {zero + level: f"{fault}, level {level}" for level in range(4)}
        for level, code in ((-1, minus_one), (-2, minus_two)):
            table |= {} if code is None else {code: f"{fault}, level {level}"}
    return table


STATUS_CODES = _status_table()


def fault_status(code: int) -> str:
    """Return a DFSC or IFSC (6 bits) in words, e.g. 0x21: `alignment fault`."""
    return STATUS_CODES.get(code, f"reserved fault status {code:#04x}")


@dataclass(frozen=True)
class Field:
    """One field of the syndrome: the Arm ARM's name, its value, what it means (may be empty)."""

    name: str
    value: int
    words: str = ""


def _flag(iss: int, name: str, number: int, words: str = "") -> Field:
    value = bits(iss, number, number)
    return Field(name, value, words if value else "")


def _condition(iss: int) -> list[Field]:
    """CV and COND of the traps that AArch32 code can take too."""
    if not bit(iss, 24):
        return [Field("CV", 0)]
    return [Field("CV", 1), Field("COND", bits(iss, 23, 20))]


def _abort_common(iss: int, status_name: str) -> list[Field]:
    status = bits(iss, 5, 0)
    fields = [Field(status_name, status, fault_status(status))]
    if status == 0b010000:
        states = {0b00: "recoverable", 0b10: "uncontainable", 0b11: "restartable"}
        error_type = bits(iss, 12, 11)
        fields.append(Field("SET", error_type, states.get(error_type, "reserved SET")))
    fields.append(_flag(iss, "S1PTW", 7, "on the walk of a stage-1 table"))
    fields.append(_flag(iss, "EA", 9, "external"))
    fields.append(_flag(iss, "FnV", 10, "FAR is not valid"))
    return fields


def _instruction_abort(iss: int) -> list[Field]:
    return _abort_common(iss, "IFSC")


def _data_abort(iss: int) -> list[Field]:
    fields = _abort_common(iss, "DFSC")
    write = bits(iss, 6, 6)
    cache = _flag(iss, "CM", 8, "cache maintenance or address translation instruction")
    fields += [Field("WnR", write, "write" if write else "read"), cache]
    fields.append(_flag(iss, "VNCR", 13, "memory access of a register at VNCR_EL2"))
    if not bit(iss, 24):
        return [*fields, Field("ISV", 0)]
    register, wide = bits(iss, 20, 16), bit(iss, 15)
    name = f"{'x' if wide else 'w'}{'zr' if register == 31 else register}"
    return [
        *fields,
        Field("ISV", 1),
        Field("SAS", bits(iss, 23, 22), f"{1 << bits(iss, 23, 22)} bytes"),
        _flag(iss, "SSE", 21, "sign-extended"),
        Field("SRT", register, f"register {name}"),
        Field("SF", int(wide)),
        _flag(iss, "AR", 14, "acquire or release"),
    ]


def _serror(iss: int) -> list[Field]:
    if bit(iss, 24):
        return [Field("IDS", 1, "implementation defined syndrome")]
    status = bits(iss, 5, 0)
    if status != 0b010001:
        return [Field("IDS", 0), Field("DFSC", status, "uncategorized")]
    kinds = {
        0b000: "uncontainable",
        0b001: "unrecoverable",
        0b010: "restartable",
        0b011: "recoverable",
        0b110: "corrected",
    }
    kind = bits(iss, 12, 10)
    return [
        Field("IDS", 0),
        Field("DFSC", status, "asynchronous SError exception"),
        Field("AET", kind, kinds.get(kind, "reserved AET")),
        _flag(iss, "EA", 9, "external"),
        _flag(iss, "IESB", 13, "synchronized by an implicit error barrier"),
    ]


def _wfx(iss: int) -> list[Field]:
    fields = _condition(iss)
    kind = bits(iss, 1, 0)
    fields.append(Field("TI", kind, ("WFI", "WFE", "WFIT", "WFET")[kind]))
    if bit(iss, 2):
        fields += [Field("RV", 1), Field("RN", bits(iss, 9, 5), f"register x{bits(iss, 9, 5)}")]
    return fields


def _immediate(iss: int) -> list[Field]:
    return [Field("imm16", bits(iss, 15, 0), f"#{bits(iss, 15, 0):#x}")]


def _sys64(iss: int) -> list[Field]:
    op0, op1, op2 = bits(iss, 21, 20), bits(iss, 16, 14), bits(iss, 19, 17)
    crn, crm, register = bits(iss, 13, 10), bits(iss, 4, 1), bits(iss, 9, 5)
    name = sysreg_name(op0, op1, crn, crm, op2)
    read = bits(iss, 0, 0)
    what = "system instruction" if op0 == 1 else ("read of" if read else "write to")
    return [
        Field("Dir", read, f"{what} {name}"),
        Field("Op0", op0),
        Field("Op1", op1),
        Field("CRn", crn),
        Field("CRm", crm),
        Field("Op2", op2),
        Field("Rt", register, "register xzr" if register == 31 else f"register x{register}"),
    ]


def _mcr(iss: int) -> list[Field]:
    read = bits(iss, 0, 0)
    return [
        *_condition(iss),
        Field("Dir", read, "read" if read else "write"),
        Field("Opc1", bits(iss, 16, 14)),
        Field("CRn", bits(iss, 13, 10)),
        Field("CRm", bits(iss, 4, 1)),
        Field("Opc2", bits(iss, 19, 17)),
        Field("Rt", bits(iss, 9, 5)),
    ]


def _mcrr(iss: int) -> list[Field]:
    read = bits(iss, 0, 0)
    return [
        *_condition(iss),
        Field("Dir", read, "read" if read else "write"),
        Field("Opc1", bits(iss, 19, 16)),
        Field("CRm", bits(iss, 4, 1)),
        Field("Rt", bits(iss, 9, 5)),
        Field("Rt2", bits(iss, 14, 10)),
    ]


def _eret(iss: int) -> list[Field]:
    if not bit(iss, 1):
        return [Field("ERET", 0, "ERET")]
    return [Field("ERET", 1), Field("ERETA", bits(iss, 0, 0), f"ERETA{'AB'[bits(iss, 0, 0)]}")]


def _sme(iss: int) -> list[Field]:
    reasons = {
        0: "SME disabled",
        1: "instruction not legal in Streaming SVE mode",
        2: "not in Streaming SVE mode",
        3: "ZA disabled",
        4: "ZT0 disabled",
    }
    return [Field("SMTC", bits(iss, 2, 0), reasons.get(bits(iss, 2, 0), "reserved SMTC"))]


def _fp_exception(iss: int) -> list[Field]:
    fields = [Field("TFV", bits(iss, 23, 23))]
    if not bit(iss, 23):
        return fields
    flags = {
        "IDF": (7, "input denormal"),
        "IXF": (4, "inexact"),
        "UFF": (3, "underflow"),
        "OFF": (2, "overflow"),
        "DZF": (1, "divide by zero"),
        "IOF": (0, "invalid operation"),
    }
    return fields + [_flag(iss, name, number, words) for name, (number, words) in flags.items()]


def _breakpoint(iss: int) -> list[Field]:
    return [Field("IFSC", bits(iss, 5, 0), "debug exception" if bits(iss, 5, 0) == 0x22 else "")]


def _step(iss: int) -> list[Field]:
    return [
        *_breakpoint(iss),
        Field("ISV", bits(iss, 24, 24)),
        _flag(iss, "EX", 6, "a load-exclusive was stepped"),
    ]


def _watchpoint(iss: int) -> list[Field]:
    write = bits(iss, 6, 6)
    return [
        Field("WnR", write, "write" if write else "read"),
        _flag(iss, "CM", 8, "cache maintenance instruction"),
        _flag(iss, "FnV", 10, "FAR is not valid"),
    ]


def _branch_target(iss: int) -> list[Field]:
    return [Field("BTYPE", bits(iss, 1, 0))]


Decoder = Callable[[int], list[Field]]
DECODERS: dict[int, Decoder] = {
    0x01: _wfx,
    0x03: _mcr,
    0x04: _mcrr,
    0x05: _mcr,
    0x07: _condition,
    0x08: _mcr,
    0x0C: _mcrr,
    0x0D: _branch_target,
    0x11: _immediate,
    0x12: _immediate,
    0x15: _immediate,
    0x16: _immediate,
    0x17: _immediate,
    0x18: _sys64,
    0x1A: _eret,
    0x1D: _sme,
    0x20: _instruction_abort,
    0x21: _instruction_abort,
    0x24: _data_abort,
    0x25: _data_abort,
    0x28: _fp_exception,
    0x2C: _fp_exception,
    0x2F: _serror,
    0x30: _breakpoint,
    0x31: _breakpoint,
    0x32: _step,
    0x33: _step,
    0x34: _watchpoint,
    0x35: _watchpoint,
    0x38: _immediate,
    0x3C: _immediate,
}
