# SPDX-License-Identifier: GPL-2.0-only
"""Facts from the calibration guest's report (guest-tests/calibrate/README.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from harness.arm.bits import bits
from harness.arm.combine import Attributes, Controls, combine
from harness.arm.memtype import MAIR_BYTES, Shareability, decode_mair_byte
from harness.base.errors import MachineError

NO_EL2 = "unknown: machine has no EL2"
NO_FAULT = "none"

DEVICE = ("nGnRnE", "nGnRE", "nGRE", "GRE")
NORMAL = ("NC", "WT", "WB")

# True, False or `unknown: why`.
Fact = bool | str

_LINE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*=[ -~]+")


class Frozen(BaseModel):
    """An immutable model without fields other than those declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Mapping(Frozen):
    """A mapping of a page of RAM, and the results of loads from it at EL1.

    `memattr` is stage 2's MemAttr, None with stage 2 off; `attr` PAR_EL1.ATTR (a MAIR byte) after
    AT S12E1R, or AT S1E1R on a machine without EL2; None when AT reported a fault. `loads` are
    four letters: an unaligned load that fills the TLB, the same again; then, with the TLB
    flushed, an aligned one, and the unaligned one while the TLB holds the page.
    `w` works, `1` and `2`: an alignment fault is taken to that exception level.
    """

    stage1: str
    memattr: int | None
    fwb: bool
    attr: int | None
    loads: str

    @property
    def stage2_is_device(self) -> bool:
        """Return whether stage 2 says Device: MemAttr 0 to 3, with and without FWB."""
        return self.memattr is not None and self.memattr < 4


class Facts(Frozen):
    """The facts of a machine, True, False or `unknown: why`.

    "first": the access fills the TLB; "again": the access was repeated after that; "hit": an
    aligned access had filled the TLB.
    """

    device_alignment_fault: Fact  # stage 1 Device: an unaligned load always faults
    nc_unaligned_ok: Fact  # stage 1 Normal-NC: it works
    s2_device_fault: Fact  # stage 1 Normal over stage 2 Device: first is taken to EL2
    s2_device_fault_hit: Fact
    s2_device_esr: str  # ESR_EL2 of that fault
    s2_nc_ok: Fact  # stage 1 Normal-NC over stage 2 Normal-NC: it works
    s1_device_over_s2_normal_first: Fact  # stage 1 Device over a stage 2 that keeps it: it faults
    s1_device_over_s2_normal_again: Fact
    s1_device_over_s2_normal_hit: Fact
    exec_device_fault: Fact  # instruction fetch from stage 1 Device faults
    exec_s2_device_fault: Fact
    fwb: Fact
    vhe: Fact
    nv2: Fact
    xnx: Fact
    mte: Fact
    lse: Fact
    lpa2: Fact
    dgh: Fact
    granules: str
    s2_granules: str
    cntfrq: int


def parse_report(text: str) -> dict[str, str]:
    """Return the `key=value` lines of a report. Raise MachineError for anything else.

    The last line has the number of lines before it, so that a report with a hole is refused.
    """
    report: dict[str, str] = {}
    lines = text.splitlines()
    if exception := [line for line in lines if line.startswith("unexpected.")]:
        registers = ascii(" ".join(exception)[:200])
        raise MachineError(f"the calibration guest took an unexpected exception: {registers}")
    for number, line in enumerate(lines, 1):
        if not _LINE.fullmatch(line):
            raise MachineError(
                f"the calibration guest printed garbage: line {number}, {line[:60]!a}"
            )
        key, _, value = line.partition("=")
        if key in report:
            raise MachineError(f"the calibration guest printed '{key}' twice")
        report[key] = value
    if "unsupported" in report:
        raise MachineError(f"the calibration guest cannot run here: {report['unsupported']}")
    if not lines or lines[0] != "s2eval-calibrate=1":
        raise MachineError("the calibration guest printed no report")
    if lines[-1] != f"end=0x{len(lines) - 1:016x}":
        raise MachineError(f"the calibration guest's report is cut off after {len(lines)} lines")
    return report


def mappings(report: dict[str, str]) -> list[Mapping]:
    """Return the mappings of a report.

    Raise MachineError when the guest's own check of a load failed, or an entry is malformed.
    """
    if "odd" in report:
        raise MachineError(
            f"the calibration guest saw neither data nor an alignment fault: {report['odd']}"
        )
    result: list[Mapping] = []
    for table in ("s1", "s2", "s2fwb"):
        for stage1 in DEVICE + NORMAL:
            items = filter(None, report.get(f"{table}.{stage1}", "").split(","))
            result += [_mapping(table, stage1, item) for item in items]
    return result


def _mapping(table: str, stage1: str, item: str) -> Mapping:
    form = re.fullmatch(r"(?:([0-9a-f]):)?([0-9a-f]{2}|--):([w12]{2}w[w12])", item)
    if not form or (form[1] is None) != (table == "s1"):
        raise MachineError(f"the calibration guest printed '{item}' for {table}.{stage1}")
    return Mapping(
        stage1=stage1,
        memattr=None if form[1] is None else int(form[1], 16),
        fwb=table == "s2fwb",
        attr=None if form[2] == "--" else int(form[2], 16),
        loads=form[3],
    )


# The guest's MAIR_EL1 has the bytes of MAIR_BYTES: `nGnRE` is Device-nGnRE, `NC` Normal-NC.
_STAGE1 = {name.partition("-")[2]: decode_mair_byte(byte) for name, byte in MAIR_BYTES.items()}


def architecture_says(mapping: Mapping) -> tuple[str, ...]:
    """Return the names of the types that `mapping`'s stages may combine to (Arm ARM D8.6)."""
    stage1 = Attributes(_STAGE1[mapping.stage1], Shareability.INNER)
    if mapping.memattr is None:
        return (stage1.type.name,)
    return combine(stage1, mapping.memattr, Shareability.INNER, Controls(fwb=mapping.fwb)).names


def disagreements(items: Iterable[Mapping]) -> list[Mapping]:
    """Return the mappings whose PAR_EL1 shows another type than the architecture gives."""
    return [
        m
        for m in items
        if m.attr is None or decode_mair_byte(m.attr).name not in architecture_says(m)
    ]


def _all(items: Iterable[Mapping], loads: Iterable[int], letter: str) -> Fact:
    """Return whether the loads of these indices have the result `letter`; NO_EL2 without items."""
    results = [m.loads[load] == letter for m in items for load in loads]
    return all(results) if results else NO_EL2


def _fetch_faults(report: dict[str, str], key: str) -> Fact:
    """Return whether an instruction fetch took a Permission fault (ESR_ELx: EC 0x20, 0x21)."""
    if key not in report:
        return NO_EL2
    level, _, value = report[key].partition(",")
    syndrome = int(value, 16)
    if level == "el0" and syndrome == 0x5A5A:
        return False
    if level != "el0" and bits(syndrome, 31, 26) in (0x20, 0x21) and bits(syndrome, 5, 2) == 3:
        return True
    raise MachineError(f"the calibration guest did not expect {key}={report[key]}")


def _granules(mmfr0: int, *, el2: bool) -> tuple[str, str]:
    """Return the granules of stage 1 and of stage 2 (ID_AA64MMFR0_EL1.TGran*, TGran*_2)."""
    four, sixteen, sixtyfour = bits(mmfr0, 31, 28), bits(mmfr0, 23, 20), bits(mmfr0, 27, 24)
    first = {"4K": four != 0xF, "16K": sixteen != 0, "64K": sixtyfour != 0xF}
    # 0 in a TGran*_2 field says "as stage 1", 1 "not supported".
    fields = {"4K": bits(mmfr0, 43, 40), "16K": bits(mmfr0, 35, 32), "64K": bits(mmfr0, 39, 36)}
    second = {name: first[name] if field == 0 else field > 1 for name, field in fields.items()}
    names = [
        ",".join(n for n, supported in stage.items() if supported) for stage in (first, second)
    ]
    return names[0], names[1] if el2 else NO_EL2


def _features(report: dict[str, str], *, el2: bool) -> dict[str, Fact]:
    """Return features from the ID registers (Arm ARM D24.2); those of EL2 need `el2`."""
    reg = {name: int(report[name], 16) for name in ("pfr1", "isar0", "isar1", "mmfr0")}
    features: dict[str, Fact] = {
        "mte": bits(reg["pfr1"], 11, 8) >= 2,  # 1: the instructions only, no tags in memory
        "lse": bits(reg["isar0"], 23, 20) >= 2,
        "dgh": bits(reg["isar1"], 51, 48) >= 1,
        "lpa2": bits(reg["mmfr0"], 31, 28) == 1 or bits(reg["mmfr0"], 23, 20) == 2,
    }
    mmfr1, mmfr2 = int(report["mmfr1"], 16), int(report["mmfr2"], 16)
    of_el2 = {
        "vhe": bits(mmfr1, 11, 8) >= 1,
        "xnx": bits(mmfr1, 31, 28) >= 1,
        "fwb": bits(mmfr2, 43, 40) >= 1,
        "nv2": bits(mmfr2, 27, 24) >= 2,
    }
    return features | {name: value if el2 else NO_EL2 for name, value in of_el2.items()}


def interpret(report: dict[str, str]) -> Facts:
    """Return the facts in a report of the guest. Raise MachineError when it is malformed."""
    try:
        return _interpret(report)
    except KeyError as error:
        raise MachineError(f"the calibration guest's report lacks {error}") from None
    except ValueError as error:
        raise MachineError(f"the calibration guest's report has a bad value: {error}") from None


def _interpret(report: dict[str, str]) -> Facts:
    el2 = int(report["el"], 16) == 2
    measured = mappings(report)
    stage1_only = [m for m in measured if m.memattr is None]
    both_stages = [m for m in measured if m.memattr is not None]
    if len(stage1_only) != len(DEVICE + NORMAL) or bool(both_stages) != el2:
        raise MachineError("the calibration guest's report lacks mappings")
    if _fetch_faults(report, "exec.s1_wb"):
        raise MachineError("the calibration guest cannot run code from Normal memory")
    s2_device = [m for m in both_stages if m.stage2_is_device and m.stage1 in NORMAL]
    # With FWB, MemAttr 6 makes Device Normal-WB, so that stage 1's type is not kept.
    kept = [
        m
        for m in both_stages
        if m.stage1 in DEVICE and not m.stage2_is_device and not (m.fwb and m.memattr == 6)
    ]
    level, _, syndrome = report.get("esr.s2_device", "").partition(",")
    granules, s2_granules = _granules(int(report["mmfr0"], 16), el2=el2)
    return Facts(
        device_alignment_fault=_all((m for m in stage1_only if m.stage1 in DEVICE), (0, 1, 3), "1"),
        nc_unaligned_ok=_all((m for m in stage1_only if m.stage1 == "NC"), (0, 1, 3), "w"),
        s2_device_fault=_all(s2_device, (0,), "2"),
        s2_device_fault_hit=_all(s2_device, (3,), "2"),
        s2_device_esr=hex(int(syndrome, 16)) if level == "el2" else NO_FAULT if el2 else NO_EL2,
        s2_nc_ok=_all(
            (m for m in both_stages if m.stage1 == "NC" and m.memattr == 5), (0, 1, 3), "w"
        ),
        s1_device_over_s2_normal_first=_all(kept, (0,), "1"),
        s1_device_over_s2_normal_again=_all(kept, (1,), "1"),
        s1_device_over_s2_normal_hit=_all(kept, (3,), "1"),
        exec_device_fault=_fetch_faults(report, "exec.s1_device"),
        exec_s2_device_fault=_fetch_faults(report, "exec.s2_device"),
        granules=granules,
        s2_granules=s2_granules,
        cntfrq=int(report["cntfrq"], 16),
        **_features(report, el2=el2),
    )
