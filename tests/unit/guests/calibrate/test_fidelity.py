# SPDX-License-Identifier: GPL-2.0-only
"""Reading the calibration guest's reports (recorded from real runs), cache keys, limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.base.errors import MachineError
from harness.guests.calibrate.fidelity import (
    MEASURED_NEEDS,
    NEEDS,
    TCG_NEEDS,
    Fidelity,
    Identity,
    command_line,
    identify,
    limits,
)
from harness.guests.calibrate.report import Facts, Mapping, interpret, mappings, parse_report

LOGS = Path(__file__).parent / "logs"
MAX_2 = (LOGS / "qemu-10.0.2-max-2-cpus.txt").read_text()
A72_2 = (LOGS / "qemu-10.0.2-cortex-a72-2-cpus.txt").read_text()
A72_NO_EL2 = (LOGS / "qemu-7.2.22-cortex-a72-no-el2.txt").read_text()
NO_EL2 = "unknown: machine has no EL2"


def identity(**change: Any) -> Identity:
    values: dict[str, Any] = {
        "qemu": "/usr/bin/qemu-system-aarch64",
        "qemu_size": 1000,
        "qemu_mtime_ns": 1,
        "qemu_version": "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)",
        "qemu_args": ["-L", "/usr/share/qemu"],
        "accel": "tcg",
        "cpu": "max",
        "smp": 2,
        "el2": True,
        "icount": False,
        "host": "",
        "guest": "0" * 64,
    }
    return Identity(**{**values, **change})


def fidelity(text: str, **change: Any) -> Fidelity:
    report = parse_report(text)
    return Fidelity(**identity(**change).model_dump(), facts=interpret(report), report=report)


def test_facts_of_a_machine_with_fwb() -> None:
    assert interpret(parse_report(MAX_2)) == Facts(
        device_alignment_fault=True,
        nc_unaligned_ok=True,
        s2_device_fault=True,
        s2_device_fault_hit=False,
        s2_device_esr="0x93c08021",
        s2_nc_ok=True,
        s1_device_over_s2_normal_first=True,
        s1_device_over_s2_normal_again=True,
        s1_device_over_s2_normal_hit=False,
        exec_device_fault=False,
        exec_s2_device_fault=False,
        fwb=True,
        vhe=True,
        nv2=True,
        xnx=True,
        mte=False,
        lse=True,
        lpa2=True,
        dgh=True,
        granules="4K,16K,64K",
        s2_granules="4K,16K,64K",
        cntfrq=1_000_000_000,
    )


def test_facts_of_a_machine_without_fwb_or_vhe() -> None:
    facts = interpret(parse_report(A72_2))
    assert (facts.fwb, facts.vhe, facts.nv2, facts.xnx) == (False, False, False, False)
    assert (facts.lse, facts.lpa2, facts.dgh) == (False, False, False)
    assert facts.granules == facts.s2_granules == "4K,64K"
    assert facts.s2_device_fault is True
    assert facts.cntfrq == 62_500_000


def test_without_el2_everything_of_stage_2_is_unknown() -> None:
    facts = interpret(parse_report(A72_NO_EL2)).model_dump()
    unknown = {name for name, fact in facts.items() if fact == NO_EL2}
    assert unknown == {
        *("s2_device_fault", "s2_device_fault_hit", "s2_device_esr", "s2_nc_ok"),
        *(f"s1_device_over_s2_normal_{when}" for when in ("first", "again", "hit")),
        *("exec_s2_device_fault", "fwb", "vhe", "nv2", "xnx", "s2_granules"),
    }
    assert facts["device_alignment_fault"] is False
    assert facts["nc_unaligned_ok"] is True


def test_every_mapping_is_there() -> None:
    found = mappings(parse_report(MAX_2))
    assert len(found) == 7 + 7 * 13 + 7 * 7
    assert len({(m.stage1, m.memattr, m.fwb) for m in found}) == len(found)
    assert Mapping(stage1="NC", memattr=1, fwb=False, attr=0x04, loads="22w1") in found
    assert Mapping(stage1="nGnRE", memattr=6, fwb=True, attr=0xFF, loads="11ww") in found
    assert Mapping(stage1="WB", memattr=None, fwb=False, attr=0xFF, loads="wwww") in found
    assert len(mappings(parse_report(A72_2))) == 7 + 7 * 13


def test_where_the_emulator_combines_otherwise_than_the_architecture() -> None:
    found = fidelity(MAX_2).disagreements()
    assert {(m.stage1, m.memattr, m.fwb, m.attr) for m in found} == {
        *((stage1, memattr, False, 0x04) for stage1 in ("nGRE", "GRE") for memattr in (5, 9, 13)),
        *(("NC", memattr, False, 0x04) for memattr in (2, 3)),
    }
    broken = MAX_2.replace("s1.WB=ff:", "s1.WB=--:").replace("7:bb:wwww\n", "7:44:wwww\n")
    more = [m for m in fidelity(broken).disagreements() if m not in found]
    assert [(m.stage1, m.memattr, m.fwb, m.attr) for m in more] == [
        ("WB", None, False, None),
        ("WT", 7, True, 0x44),
    ]


def test_a_report_without_its_end_is_none() -> None:
    lines = MAX_2.splitlines(keepends=True)
    for kept in range(len(lines)):
        with pytest.raises(MachineError):
            parse_report("".join(lines[:kept]))


def test_a_report_with_a_hole_is_none() -> None:
    lines = MAX_2.splitlines(keepends=True)
    for lost in range(len(lines)):
        with pytest.raises(MachineError):
            parse_report("".join(lines[:lost] + lines[lost + 1 :]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "printed no report"),
        ("end=0x0000000000000000\n", "printed no report"),
        (MAX_2.replace("exec.", "\x1b[2J", 1), r"garbage: line \d+, '\\x1b\[2J"),
        (MAX_2 + "more\n", "garbage: line 44, 'more'"),
        ("x=" + "\ufffd" * 5000, "garbage: line 1"),
        (MAX_2.replace("mmfr1", "mmfr0"), "'mmfr0' twice"),
        (MAX_2[: len(MAX_2) // 2], "garbage|cut off"),
        ("s2eval-calibrate=1\nunsupported=no E2H0\n", "cannot run here: no E2H0"),
        ((LOGS / "unexpected-el1.txt").read_text(), "unexpected.esr=0x00000000f2000007"),
        ((LOGS / "unexpected-el2.txt").read_text(), "unexpected.slot=0x0000000000000004"),
    ],
)
def test_what_is_no_report_is_named(text: str, says: str) -> None:
    with pytest.raises(MachineError, match=says) as caught:
        parse_report(text)
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        # A load that neither worked nor took an alignment fault.
        ("s1.NC=44:wwww", "s1.NC=44:xwww", "44:xwww"),
        ("s1.NC=44:wwww", "odd=el1,0000000096000007", "0000000096000007"),
        # An aligned load has to work, or the mapping is not what it says.
        ("s1.NC=44:wwww", "s1.NC=44:ww1w", "44:ww1w"),
        ("s1.NC=44:wwww", "s1.NC=5:44:wwww", "5:44:wwww"),
        ("s1.NC=44:wwww", "s1.XX=44:wwww", "lacks mappings"),
        ("exec.s1_wb=el0,0000000000005a5a", "exec.s1_wb=el1,000000008600000f", "cannot run code"),
        ("exec.s1_wb=el0,0000000000005a5a", "exec.s1_wb=el0,0000000000000000", "did not expect"),
        ("exec.s1_wb=", "exec.s1_xx=", "cannot run code"),
        ("cntfrq=", "cntxxx=", "lacks 'cntfrq'"),
        ("cntfrq=0x", "cntfrq=many-", "bad value: .*many-"),
    ],
)
def test_a_report_that_makes_no_sense_is_refused(old: str, new: str, says: str) -> None:
    assert old in MAX_2
    with pytest.raises(MachineError, match=says):
        interpret(parse_report(MAX_2.replace(old, new)))


def test_a_fetch_that_faults_is_a_fact() -> None:
    # EC 0x21, Permission fault at level 3.
    text = MAX_2.replace("exec.s1_device=el0,0000000000005a5a", "exec.s1_device=el1,8600000f")
    assert interpret(parse_report(text)).exec_device_fault is True


def test_one_mapping_that_does_not_fault_spoils_the_fact() -> None:
    text = MAX_2.replace("s1.GRE=0c:11w1", "s1.GRE=0c:wwww")
    assert interpret(parse_report(text)).device_alignment_fault is False
    text = MAX_2.replace("3:0c:22w1,5:44", "3:0c:11w1,5:44", 1)
    assert interpret(parse_report(text)).s2_device_fault is False


def test_a_forced_write_back_says_nothing_of_device_over_normal() -> None:
    # MemAttr 6 with FWB makes Device Normal-WB: whether it faults is another question.
    text = MAX_2.replace("6:ff:11ww", "6:ff:wwww")
    assert text != MAX_2
    assert interpret(parse_report(text)).s1_device_over_s2_normal_first is True
    text = MAX_2.replace("7:0c:11ww\n", "7:0c:wwww\n")
    assert text != MAX_2
    assert interpret(parse_report(text)).s1_device_over_s2_normal_first is False


CHANGED: dict[str, Any] = {
    "qemu": "/opt/qemu",
    "qemu_size": 1001,
    "qemu_mtime_ns": 2,
    "qemu_version": "QEMU emulator version 10.0.3",
    "qemu_args": [],
    "accel": "kvm",
    "cpu": "cortex-a72",
    "smp": 1,
    "el2": False,
    "icount": True,
    "host": "lab 6.16",
    "guest": "1" * 64,
}


@pytest.mark.parametrize("field", Identity.model_fields)
def test_everything_that_shapes_the_facts_is_in_the_key(field: str) -> None:
    assert identity().key() == identity().key()
    assert identity(**{field: CHANGED[field]}).key() != identity().key()


def test_the_key_is_that_of_the_finding() -> None:
    assert fidelity(MAX_2).key() == identity().key()


def test_json_gives_the_same_finding_back() -> None:
    for text, change in ((MAX_2, {}), (A72_NO_EL2, {"el2": False})):
        found = fidelity(text, **change)
        assert Fidelity.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("change", "label"),
    [
        ({}, "QEMU 10.0.2 with max and 2 CPUs"),
        ({"smp": 1}, "QEMU 10.0.2 with max and 1 CPU"),
        ({"icount": True, "cpu": "cortex-a72"}, "QEMU 10.0.2 with cortex-a72, 2 CPUs and icount"),
        ({"accel": "kvm", "cpu": "host"}, "QEMU 10.0.2 with KVM, host and 2 CPUs"),
        ({"qemu_version": "QEMU emulator version 7.2.22"}, "QEMU 7.2.22 with max and 2 CPUs"),
    ],
)
def test_label(change: dict[str, Any], label: str) -> None:
    assert identity(**change).label == label


def test_what_a_need_means_is_a_fact() -> None:
    assert {fact for fact, _ in MEASURED_NEEDS.values()} <= set(Facts.model_fields)
    assert len(set(NEEDS)) == len(NEEDS)


def test_limits_of_a_good_emulator() -> None:
    found = limits(fidelity(MAX_2))
    assert set(found) == {
        *("s2-alignment-repeat", "s1-device-over-s2-normal-repeat", "exec-memory-type"),
        *("mte", "write-combining", "timing"),
    }
    assert found["s2-alignment-repeat"] == (
        "QEMU 10.0.2 with max and 2 CPUs takes no alignment fault to EL2 for stage 2's Device "
        "memory once the TLB holds the page (measured)"
    )
    assert found["write-combining"] == (
        "QEMU 10.0.2 with max and 2 CPUs emulates the CPU (TCG) and never merges or reorders stores"
    )


def test_limits_without_el2() -> None:
    version = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)"
    machine = {"qemu_version": version, "cpu": "cortex-a72", "smp": 1, "el2": False}
    found = limits(fidelity(A72_NO_EL2, **machine))
    assert found["device-alignment"] == (
        "QEMU 7.2.22 with cortex-a72 and 1 CPU raises no alignment faults for Device memory "
        "(measured)"
    )
    assert found["s2-alignment"] == (
        "QEMU 7.2.22 with cortex-a72 and 1 CPU: s2-alignment is unknown: machine has no EL2"
    )
    assert set(found) == set(NEEDS)


def test_limits_of_kvm_are_not_those_of_tcg() -> None:
    found = limits(fidelity(MAX_2, accel="kvm", cpu="host"))
    assert "timing" not in found
    assert "emulates the device" in found["write-combining"]
    assert set(TCG_NEEDS) <= set(NEEDS)


def test_command_line() -> None:
    assert command_line(identity(smp=3, icount=True), Path("guest.elf")) == [
        *("/usr/bin/qemu-system-aarch64", "-L", "/usr/share/qemu"),
        *("-M", "virt,gic-version=max,virtualization=on", "-accel", "tcg", "-cpu", "max"),
        *("-smp", "3", "-m", "64", "-icount", "shift=0,sleep=off"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none"),
        *("-serial", "stdio", "-kernel", "guest.elf"),
    ]
    plain = command_line(identity(el2=False), Path("guest.elf"))
    assert "virt,gic-version=max" in plain
    assert "-icount" not in plain


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("/nonexistent/qemu", "/nonexistent/qemu: No such file"),
        ("/bin/true", "is no qemu-system-aarch64"),
    ],
)
def test_what_is_no_qemu_is_named(program: str, says: str) -> None:
    with pytest.raises(MachineError, match=says):
        identify(Path(program), [], cpu="max", smp=1, el2=True, icount=False, accel="tcg")
