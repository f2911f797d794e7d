# SPDX-License-Identifier: GPL-2.0-only
"""Nested KVM run for real on an emulated L0, and both of its stage 2s, each read on L0."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.base.deadline import Deadline
from harness.guests.audit.host_module import MODULE, PROGRAM, SOURCES
from harness.guests.vmm.vmm import STREAMS
from harness.hosts.l1.host import L1Host
from harness.hosts.l1.userland import guest_program
from harness.hosts.machines.machine import load_machine
from harness.hosts.module_tables import ModuleTables, View
from harness.hosts.qemu.binary import find_qemu
from harness.hosts.tables import Reading, TableSource, Target
from harness.kernel.build import Build, build, build_modules
from harness.kernel.spec import resolve
from harness.suites.facts import Audit, Fact
from tests.system.nested_kvm import l0_root, start_l1

pytestmark = pytest.mark.extended

KERNEL = "debian-7.2"  # of L0: the first with nested KVM here
L0_MACHINE = """\
extends = "nested-tcg"
description = "L0 stands for an arm64 host with FEAT_NV2"
memory_mib = 3072
append = "kvm-arm.mode=nested"
[limits]
boot = 240
silence = 240
"""
BOOT, RUN, ANSWER = 240, 560, 60  # seconds; they only end a hang
TEXT = Target("l2-text", register="VBAR_EL1")


@pytest.fixture(scope="module")
def kernel() -> Build:
    return build(resolve(KERNEL), progress=lambda _: None)


@pytest.fixture
def l0(kernel: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[L1Host]:
    path = tmp_path / "l0.toml"
    path.write_text(L0_MACHINE)
    monkeypatch.setattr("harness.hosts.l1.host.l1_root", l0_root)
    logs = tmp_path / "logs"
    logs.mkdir()
    with L1Host(load_machine(str(path)), find_qemu(), kernel.image, STREAMS) as host:
        host.launch(logs)
        host.boot(Deadline(BOOT))
        yield host


@dataclass(frozen=True)
class Readings:
    """A mapping of L2 and its vectors: by the CPU's stage 2 from outside, and by the module."""

    outside: list[Reading]
    shadow: list[Reading]
    own: list[Reading]


class NestedAudit(contextlib.ExitStack):
    """Reads the first mapping of L2 that asks for it: each stage 2, and the CPU's from outside."""

    def __init__(self, host: L1Host, kernel: Build) -> None:
        super().__init__()
        module = build_modules(kernel, SOURCES) / MODULE
        program = guest_program(SOURCES, PROGRAM)
        self._outside = host.tables()
        self._shadow, self._own = (
            self.enter_context(ModuleTables(host, module, program, view))
            for view in (View.SHADOW, View.OWN)
        )
        self.readings: Readings | None = None

    def see(self, fact: Fact) -> None:
        if not isinstance(fact, Audit) or self.readings:
            return
        targets = [Target(fact.mapping, fact.va), TEXT]
        shadow, own = (self._read(source, targets) for source in (self._shadow, self._own))
        # From outside L1, which runs below a stage 2 as well, is told from L2 by VTTBR_EL2.
        vttbr = {reading.regs.vttbr_el2 for reading in shadow}
        end = Deadline(ANSWER)
        while not end.over:
            outside = self._read(self._outside, targets)
            if {reading.regs.vttbr_el2 for reading in outside} == vttbr:
                break
        self.readings = Readings(outside, shadow, own)

    def _read(self, source: TableSource, targets: Sequence[Target]) -> list[Reading]:
        with source.open(Deadline(ANSWER)) as reader:
            return reader.read(targets, Deadline(ANSWER))


@pytest.mark.parametrize(
    ("name", "own"),
    [(KERNEL, "Normal-NC"), ("debian-6.1+el2-virtual-timer", "Device-nGnRE")],
)
def test_nested_kvm_runs_a_suite_in_l2_and_both_stage_2s_are_read(
    name: str, own: str, l0: L1Host, kernel: Build
) -> None:
    """Whatever stage 2 L1 has made, L0's shadow is what the CPU walks: nothing kills L2."""
    nested = start_l1(l0, build(resolve(name), progress=lambda _: None), "wcprobe")
    with NestedAudit(l0, kernel) as audit:
        assert nested.run(Deadline(RUN), audit.see)
    assert nested.passed == 240 and not nested.failed, nested.lines[-20:]
    readings = audit.readings
    assert readings
    for outside, inside in zip(readings.outside, readings.shadow, strict=True):
        # The CPU walks the shadow, and nothing else.
        assert outside.walk == inside.walk
        assert outside.regs.vttbr_el2 == inside.regs.vttbr_el2
    for l0s, l1s in zip(readings.shadow, readings.own, strict=True):
        assert l0s.walk.ipa == l1s.walk.ipa
        assert l0s.regs.vttbr_el2 != l1s.regs.vttbr_el2
        assert l0s.walk.pa != l1s.walk.pa
    types = []
    for one in (readings.shadow[0], readings.own[0]):
        leaf = one.walk.stage2
        assert leaf and leaf.attr.type
        types.append(leaf.attr.type.name)
    assert types == ["Normal-WB", own]
