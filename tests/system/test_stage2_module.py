# SPDX-License-Identifier: GPL-2.0-only
"""The module that gives a host's stage 2, on real L1s, against the audit from outside."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.base.deadline import Deadline
from harness.base.paths import own_program
from harness.hosts.l1.userland import guest_program
from harness.hosts.module_tables import DEVICE, ModuleTables
from harness.hosts.tables import Reading, TableReader, TableSource, Target
from harness.kernel.build import Build
from harness.kernel.modules import build_modules
from harness.pytest_plugin import HostUnderTest

SOURCES = own_program("stage2-tables")
SUITE = "stage-types"  # the BAR with each type of stage 1, and the guest's ordinary memory
# HCR_EL2.TWI and TWE: KVM sets them anew each time that a vCPU gets a CPU (kvm_arch_vcpu_load).
OF_THE_MOMENT = 0b11 << 13
UNREAD = {"sctlr_el2", "esr_el1", "far_el1", "esr_el2", "far_el2", "hpfar_el2", "cpsr"}


class BothTables:
    """A TableSource that reads from outside and through the module, and keeps both readings."""

    def __init__(self, outside: TableSource, inside: TableSource) -> None:
        self._outside = outside
        self._inside = inside
        self._readers: tuple[TableReader, TableReader] | None = None
        self.pairs: list[tuple[Reading, Reading]] = []

    @contextlib.contextmanager
    def open(self, deadline: Deadline) -> Iterator[BothTables]:
        with self._outside.open(deadline) as outside, self._inside.open(Deadline(60)) as inside:
            self._readers = outside, inside
            yield self

    def read(
        self, targets: Sequence[Target], deadline: Deadline, *, answer: Deadline | None = None
    ) -> list[Reading]:
        assert self._readers
        outside, inside = self._readers
        readings = outside.read(targets, deadline, answer=answer)
        if not any(target.host for target in targets):
            self.pairs += zip(readings, inside.read(targets, Deadline(60)), strict=True)
        return readings


def tables_through(host: HostUnderTest, module: Path) -> ModuleTables:
    return ModuleTables(host._host(), module, guest_program(SOURCES, "read-tables"))


def module_of(kernel: Build, sources: Path = SOURCES) -> Path:
    return build_modules(kernel, sources) / "stage2-tables.ko"


def both_readings(
    monkeypatch: pytest.MonkeyPatch, host: HostUnderTest, module: Path
) -> list[tuple[Reading, Reading]]:
    """Return what both sources read of the same mappings of the same guest."""
    l1 = host._host()
    both = BothTables(l1.tables(), tables_through(host, module))
    monkeypatch.setattr(l1, "tables", lambda: both)
    seen = host.run_suite(SUITE)
    assert seen.cell.failure is None and not seen.bad
    return both.pairs


def agrees(outside: Reading, inside: Reading) -> bool:
    """Return whether every step of the walk and every register is the same, to the bit."""
    registers = [
        {name: value for name, value in asdict(r.regs).items() if name not in UNREAD}
        for r in (outside, inside)
    ]
    for values in registers:
        values["hcr_el2"] &= ~OF_THE_MOMENT
    return (
        outside.address == inside.address
        and outside.walk == inside.walk
        and registers[0] == registers[1]
    )


@pytest.mark.parametrize(
    "machine",
    [
        pytest.param("nested-tcg", marks=pytest.mark.s2eval(machine="nested-tcg")),
        pytest.param(
            "nested-tcg-cortex-a72", marks=pytest.mark.s2eval(machine="nested-tcg-cortex-a72")
        ),
    ],
)
def test_the_module_and_the_audit_from_outside_agree(
    machine: str, monkeypatch: pytest.MonkeyPatch, s2eval_host: HostUnderTest, s2eval_kernel: Build
) -> None:
    pairs = both_readings(monkeypatch, s2eval_host, module_of(s2eval_kernel))
    assert {outside.target.name for outside, _ in pairs} >= {"l2-text", "l2-table", "l2-gic"}
    assert len(pairs) >= 10
    for outside, inside in pairs:
        assert agrees(outside, inside), (outside, inside)
    # The BAR's leaves were read, not only the same absence of a leaf.
    types = {inside.walk.stage2.attr.name for _, inside in pairs if inside.walk.stage2}
    assert types == {"Device-nGnRE", "Normal-WB"}
    assert s2eval_host.run(f"[ -e {DEVICE} ]").status != 0  # the module has gone with its reader


MUTANTS = {
    "next descriptor": ("table + 8 * index;", "table + 8 * (index ^ 1);"),
    "another memory type": ("path->count++;", "path->count++, entry->descriptor ^= BIT(4);"),
    "another table": ("table = mmu->pgd_phys;", "table = mmu->pgd_phys + PAGE_SIZE;"),
    "no VMID": ("vmid << VMID_SHIFT", "0"),
}


@pytest.mark.extended
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_the_module_is_noticed(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    s2eval_host: HostUnderTest,
    s2eval_kernel: Build,
    tmp_path: Path,
) -> None:
    sources = tmp_path / "stage2-tables"
    shutil.copytree(SOURCES, sources)
    path = sources / "path.c"
    old, new = MUTANTS[name]
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    pairs = both_readings(monkeypatch, s2eval_host, module_of(s2eval_kernel, sources))
    assert not all(agrees(outside, inside) for outside, inside in pairs)
