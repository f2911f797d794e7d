# SPDX-License-Identifier: GPL-2.0-only
"""Verdicts of the audit on tables made here, and how it picks the moment to look.

That it finds a real guest's tables is in tests/system/test_gdbstub.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from harness.arm.regs import Regs
from harness.arm.tables.walk import walk, walk_stage2
from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.guests.audit import linux
from harness.guests.audit import record as record_module
from harness.guests.audit.record import BAR, Expectation, audit_record
from harness.hosts.qemu import stub_tables as audit_module
from harness.hosts.qemu.gdbstub import GdbStub, State
from harness.hosts.qemu.stub_tables import StubTables
from harness.hosts.tables import Reading, Sight, Target

VM, TGE, FWB = 1 << 0, 1 << 27, 1 << 46
EL0, EL1, EL2 = 0x0, 0x5, 0x9
S1, S2, S2_RAM = 0x4000_1000, 0x4000_2000, 0x4000_3000
XN = 0b10 << 53
RW_IS = 0x7C1  # AF, inner shareable, S2AP=RW, block
NC_VA, DEVICE_VA, NGNRNE_VA = 0x8440_0000, 0xC400_0000 + 0x40_0000, 0x1_0440_0000
RAM_VA, KERNEL_VA = 0x4480_0000, 0xFFFF_FFC0_8000_0000
LEAF_IPA, RAM_IPA = 0x4440_0000, 0x4480_0000

VALUES = {
    "cpsr": EL1,
    "TTBR0_EL1": S1,
    "TTBR1_EL1": S1 | 0x7 << 48 | 1,
    "TCR_EL1": 0x2_B519_3519 & ~(1 << 23) | 1 << 31,
    "MAIR_EL1": 0xFF44_0400,
    "SCTLR": 0x30D0_1805,
    "VBAR": RAM_VA + 0x800,
    "VTTBR_EL2": S2,
    "VTCR_EL2": 0x8002_3559,
    "HCR_EL2": 0x8000_0000 | VM,
}


def regs(**values: int) -> Regs:
    named = {**VALUES, **values}
    return Regs.from_names({**named, "SCTLR_EL1": named["SCTLR"]})


def tables(leaf: int = 0x5 << 2 | XN, ram: int = 0xF << 2, flags: int = RW_IS) -> dict[int, int]:
    """Both stages' tables; `leaf` and `ram` are MemAttr and XN of a BAR's and of RAM's block."""
    types = {1: 0x60D | 0x100, 2: 0x609 | 0x100, 3: 0x605 | 0x100, 4: 0x601 | 0x100}
    memory = {S1 + 8 * i: 0x4000_0000 | attrs for i, attrs in types.items()}
    memory |= {S2 + 8: S2_RAM | 3}
    memory |= {S2_RAM + 8 * i: 0x4000_0000 + (i << 21) | RW_IS | 0xF << 2 for i in range(512)}
    memory[S2_RAM + 8 * 34] = LEAF_IPA | flags | leaf
    memory[S2_RAM + 8 * 36] = RAM_IPA | flags | ram
    return memory


def reading(
    va: int,
    memory: dict[int, int],
    *,
    stage2_only: bool = False,
    **values: int,
) -> Reading:
    registers = regs(**values)
    take = walk_stage2 if stage2_only else walk
    done = take(lambda pa: memory.get(pa, 0) if pa < 1 << 32 else None, registers, va)
    sight = Sight(1, registers.cpsr, registers.hcr_el2)
    target = Target("m", va, stage2_only=stage2_only)
    return Reading(target, va, done, sight, registers, 0.0012, 0.034, 3)


WC = replace(BAR, type="Normal-NC", pa=LEAF_IPA)
RAM = Expectation("Normal-WB", execute=True, shareability="inner shareable")
VERDICTS: dict[str, tuple[dict[int, int], int, Expectation, str, str]] = {
    "as expected": (tables(), NC_VA, WC, "PASS", ""),
    "nothing expected": (tables(), NC_VA, Expectation(), "DONE", ""),
    "type": (
        tables(0x1 << 2 | XN),
        NC_VA,
        WC,
        "FAIL",
        "both stages together give Device-nGnRE, expected Normal-NC",
    ),
    "device kept": (tables(), DEVICE_VA, replace(BAR, type="Device"), "PASS", ""),
    "cacheable, with NC at stage 1": (
        tables(0xF << 2 | XN),
        NC_VA,
        WC,
        "FAIL",
        "stage 2 gives Normal-WB, expected Device-nGnRE or Normal-NC",
    ),
    "the other one of two": (
        tables(),
        NC_VA,
        replace(WC, stage2="Device or Normal-NC"),
        "PASS",
        "",
    ),
    "cacheable, hidden by stage 1": (
        tables(0xA << 2 | XN),
        NC_VA,
        replace(WC, stage2="Normal-NC"),
        "FAIL",
        "stage 2 gives Normal-WT, expected Normal-NC",
    ),
    "executable": (tables(0x5 << 2), NC_VA, WC, "FAIL", "stage 2 allows execute"),
    "executable at EL0 only": (
        tables(0x5 << 2 | 0b01 << 53),
        NC_VA,
        WC,
        "FAIL",
        "stage 2 allows execute",
    ),
    "read-only": (
        tables(flags=RW_IS & ~0x80),
        NC_VA,
        WC,
        "FAIL",
        "stage 2 forbids write",
    ),
    "elsewhere": (
        tables(),
        NC_VA,
        replace(WC, pa=0x1000),
        "FAIL",
        f"PA is {LEAF_IPA:#x}, expected 0x1000",
    ),
    "reserved": (
        tables(0x4 << 2 | XN),
        NC_VA,
        WC,
        "FAIL",
        "both stages together give a reserved type, expected Normal-NC; stage 2 gives"
        " a reserved type, expected Device-nGnRE or Normal-NC",
    ),
    "ram": (tables(), RAM_VA, RAM, "PASS", ""),
    "ram not cacheable": (
        tables(ram=0x5 << 2),
        RAM_VA,
        RAM,
        "FAIL",
        "both stages together give Normal-NC, expected Normal-WB;"
        " outer shareable, expected inner shareable",
    ),
    "unmapped": (
        tables(),
        0x1000,
        WC,
        "ERROR",
        "stage-1 translation fault at level 1 for VA 0x1000: invalid descriptor",
    ),
    "trapped": (
        {**tables(), S2_RAM + 8 * 34: 0},
        NC_VA,
        WC,
        "SKIP",
        record_module.NO_LEAF,
    ),
    "may trap": (
        {**tables(), S2_RAM + 8 * 34: 0},
        NC_VA,
        replace(WC, may_trap=True),
        "PASS",
        "",
    ),
    "table trapped": (
        {**tables(), S2_RAM: 0},
        NC_VA,
        replace(WC, may_trap=True),
        "MISS",
        f"stage-2 translation fault at level 2 for IPA {S1 + 16:#x} (of a stage-1 table):"
        " invalid descriptor",
    ),
    "aged": (
        tables(flags=RW_IS & ~0x400),
        NC_VA,
        WC,
        "MISS",
        f"stage-2 access flag fault at level 2 for IPA {LEAF_IPA:#x}: AF=0 in the leaf",
    ),
    "no memory": (
        {**tables(), S2 + 8: 0x1_0000_0000 | 3},
        NC_VA,
        WC,
        "MISS",
        f"stage-2 no memory at the descriptor's address at level 2 for IPA {S1 + 16:#x}"
        " (of a stage-1 table): descriptor at 0x100000000",
    ),
}


@pytest.mark.parametrize(
    ("memory", "va", "expected", "status", "reason"), VERDICTS.values(), ids=VERDICTS.keys()
)
def test_verdicts(
    memory: dict[int, int], va: int, expected: Expectation, status: str, reason: str
) -> None:
    record = audit_record(reading(va, memory), expected)
    assert record.status == status
    assert record.detail.reason == reason


def test_a_record_in_full() -> None:
    made = audit_record(reading(NC_VA + 0x10, tables()), replace(WC, pa=LEAF_IPA + 0x10))
    record = json.loads(made.model_dump_json())
    detail: dict[str, Any] = record.pop("detail")
    assert record == {
        "mapping": "m",
        "va": "0x84400010",
        "ipa": "0x44400010",
        "pa": "0x44400010",
        "stage1": "Normal-NC",
        "stage2": "Normal-NC",
        "combined": "Normal-NC",
        "expected": "Normal-NC",
        "status": "PASS",
    }
    assert detail.pop("registers")["vttbr_el2"] == f"{S2:#x}"
    assert detail == {
        "trapped": False,
        "fault": None,
        "stage1": {
            "level": 1,
            "descriptor": "0x40000709",
            "attr_index": 2,
            "mair_byte": "0x44",
            "size": 1 << 30,
            "contiguous": False,
            "shareability": "inner shareable",
            "el1": "rwx",
            "el0": "--x",
        },
        "stage2": {
            "level": 2,
            "descriptor": "0x400000444007d5",
            "memattr": "0x5",
            "meaning": "Normal-NC",
            "size": 1 << 21,
            "contiguous": False,
            "shareability": "inner shareable",
            "s2ap": 3,
            "xn": 2,
            "el1": "rw-",
            "el0": "rw-",
        },
        "combined": "Normal-NC, outer shareable",
        "ambiguous": False,
        "expected": {
            "type": "Normal-NC",
            "stage2": "Device-nGnRE or Normal-NC",
            "pa": "0x44400010",
            "read": True,
            "write": True,
            "execute": False,
            "may_trap": False,
        },
        "mair": "0xff440400",
        "fwb": False,
        "vhe": False,
        "notes": [],
        "vcpu": 1,
        "el": 1,
        "stopped_ms": 1.2,
        "total_ms": 34.0,
        "stops": 3,
        "source": "gdb stub",
    }


def test_where_sources_disagree_either_type_passes() -> None:
    found = reading(NGNRNE_VA, tables(0x1 << 2 | XN), HCR_EL2=VM | FWB)
    for name in ("Device-nGnRnE", "Device-nGnRE"):
        record = audit_record(found, replace(WC, type=name))
        assert (record.status, record.detail.ambiguous) == ("PASS", True)
    assert audit_record(found, WC).status == "FAIL"


def test_an_ipa_is_judged_by_stage_2_alone() -> None:
    expected = Expectation(stage2="Normal-WB", shareability="inner shareable")
    good = audit_record(reading(RAM_IPA, tables(), stage2_only=True), expected)
    assert (good.va, good.ipa, good.status) == (None, f"{RAM_IPA:#x}", "PASS")
    lost = tables(flags=RW_IS & ~0x300)
    bad = audit_record(reading(RAM_IPA, lost, stage2_only=True), expected)
    assert bad.detail.reason == "non-shareable, expected inner shareable"
    trapped = audit_record(reading(0x0800_0000, tables(), stage2_only=True), linux.EMULATED)
    assert (trapped.status, trapped.detail.trapped) == ("PASS", True)
    cached = audit_record(reading(RAM_IPA, tables(), stage2_only=True), linux.EMULATED)
    assert cached.detail.reason == (
        "stage 2 gives Normal-WB, expected Device; stage 2 allows execute"
    )


class ScriptedStub(GdbStub):
    """Shows one list of register sets (a set for each vCPU) a stop, the last one for ever."""

    def __init__(self, stops: list[list[dict[str, int]]]) -> None:
        super().__init__("scripted", Deadline(1))
        self.script = stops
        self.state = State.RUNNING
        self.stops = 0
        self.closed = False

    def stop(self, deadline: Deadline) -> None:
        assert self.state is State.RUNNING
        self.state = State.STOPPED
        self.stops += 1

    def resume(self, deadline: Deadline) -> None:
        self.state = State.RUNNING

    def close(self) -> None:
        self.closed = True

    @property
    def vcpus(self) -> int:
        return len(self.script[0])

    @property
    def registers(self) -> dict[str, Any]:
        return dict.fromkeys(self.script[0][0])

    def read_registers(self, vcpu: int, names: Iterable[str], deadline: Deadline) -> dict[str, int]:
        assert self.state is State.STOPPED
        values = self.script[min(self.stops, len(self.script)) - 1][vcpu]
        return {name: values[name] for name in names if name in values}


class Tables:
    """A machine's memory; a read may take `seconds`."""

    def __init__(self, words: dict[int, int]) -> None:
        self.words = words

    def read(self, address: int, size: int) -> bytes | None:
        words = (self.words.get(address + at, 0) for at in range(0, size, 8))
        return b"".join(word.to_bytes(8, "little") for word in words)

    def read_u64(self, address: int) -> int | None:
        return self.words.get(address, 0)


def auditor(stub: GdbStub, words: dict[int, int] | None = None) -> StubTables:
    made = StubTables("scripted", Deadline(1), Tables(tables() if words is None else words))
    made._stub = stub
    return made


def cpu(el: int, hcr: int = 0x8000_0000 | VM, **values: int) -> dict[str, int]:
    return {**VALUES, "cpsr": el, "HCR_EL2": hcr, **values}


HOST = cpu(EL2, TGE)
IDLE_USER = cpu(EL0, TGE | VM)


def test_it_looks_until_a_vcpu_runs_the_guest() -> None:
    stub = ScriptedStub([[HOST, HOST], [IDLE_USER, HOST], [cpu(EL0), cpu(EL1)]])
    found = auditor(stub).read([Target("a", NC_VA), Target("b", RAM_VA)], Deadline(30))
    assert [(r.target.name, r.sight.vcpu, r.stops) for r in found] == [("a", 1, 3), ("b", 1, 3)]
    assert stub.state is State.RUNNING
    assert not stub.closed


def test_one_vcpu_can_be_asked_for() -> None:
    stub = ScriptedStub([[cpu(EL1), HOST], [cpu(EL1), cpu(EL0)]])
    found = auditor(stub).read([Target("a", NC_VA)], Deadline(30), vcpu=1)
    assert [(r.sight.vcpu, r.stops) for r in found] == [(1, 2)]


def test_a_guest_that_is_never_met_is_said_and_the_vm_runs() -> None:
    stub = ScriptedStub([[HOST, IDLE_USER, cpu(EL1, 0)]])
    with pytest.raises(MachineError) as raised:
        auditor(stub).read([Target("a", NC_VA)], Deadline(0.05))
    assert str(raised.value) == (
        "no vCPU was seen running a nested guest (EL0 or EL1, HCR_EL2.VM=1, TGE=0) in 0.1 s;"
        " last seen: vCPU 0 at EL2 of the hypervisor, vCPU 1 at EL0 of the hypervisor,"
        " vCPU 2 at EL1 without stage 2 (HCR_EL2.VM=0) (a guest that sleeps is never seen)"
    )
    assert stub.closed


def test_flat_waits_for_a_nested_guest_only_where_there_can_be_one() -> None:
    stub = ScriptedStub([[cpu(EL1, 0)]])
    found = auditor(stub).read([Target("a", NC_VA)], Deadline(0.1), flat=True)[0]
    assert found.stops > 1
    assert found.walk.stage2 is None
    without_el2 = {k: v for k, v in VALUES.items() if not k.endswith("EL2")}
    stub = ScriptedStub([[without_el2]])
    found = auditor(stub).read([Target("a", NC_VA)], Deadline(30), flat=True)[0]
    assert (found.stops, found.walk.pa) == (1, LEAF_IPA)


def test_page_table_isolation_met_at_el0_is_looked_through() -> None:
    """A kernel address, first seen with the trampoline's tables, then with the kernel's."""
    trampoline = cpu(EL0, TTBR1_EL1=0x4010_0000)
    stub = ScriptedStub([[trampoline], [trampoline], [cpu(EL1)]])
    words = {**tables(), S1: 0x4000_070D}
    target = Target("k", 0xFFFF_FF80_0440_0000)
    found = auditor(stub, words).read([target], Deadline(30))[0]
    assert (found.stops, found.walk.fault, found.walk.pa) == (3, None, LEAF_IPA)
    # An address that is really unmapped is believed in the end.
    stub = ScriptedStub([[trampoline]])
    found = auditor(stub, words).read([target], Deadline(0.1))[0]
    assert found.stops > 1
    assert found.walk.fault is not None


def test_a_long_stop_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "STOPPED_SECONDS", -1.0)
    stub = ScriptedStub([[cpu(EL1)]])
    targets = [Target("a", NC_VA), Target("b", RAM_VA), Target("c", 0x1000)]
    found = auditor(stub).read(targets, Deadline(30))
    assert [(r.target.name, r.stops) for r in found] == [("a", 1), ("b", 2), ("c", 3)]


def test_an_exception_in_the_middle_detaches() -> None:
    stub = ScriptedStub([[{k: v for k, v in VALUES.items() if k != "VTTBR_EL2"}]])
    with pytest.raises(MachineError, match="registers missing: VTTBR_EL2"):
        auditor(stub).read([Target("a", NC_VA)], Deadline(30))
    assert stub.closed


def test_targets_by_register() -> None:
    values = {"VBAR_EL1": 0xFFFF_8000_0801_0800, "TTBR1_EL1": 0x0002_0000_4087_F005}
    found = regs(**values)
    assert linux.TEXT.resolve(values, found) == 0xFFFF_8000_0801_0000
    assert linux.TABLE.resolve(values, found) == 0x4087_F000
    with pytest.raises(MachineError, match="no register VBAR_EL1"):
        linux.TEXT.resolve({}, found)
    lpa2 = regs(**values, TCR_EL1=VALUES["TCR_EL1"] | 1 << 59)  # [5:2] are then A[51:48]
    assert linux.TABLE.resolve(values, lpa2) == 0x1_0000_4087_F000
    stub = ScriptedStub([[cpu(EL1)]])
    text, table = auditor(stub).read([linux.TEXT, linux.TABLE], Deadline(30))
    assert (text.address, table.address) == (RAM_VA, S1)
    assert audit_record(text, linux.RAM_TEXT).status == "PASS"
    assert audit_record(table, linux.RAM_TABLE).status == "PASS"
