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
from harness.hosts.module_tables import DEVICE, PROGRAM, ModuleTables
from harness.hosts.tables import NoTablesError, Reading, TableReader, TableSource, Target
from harness.kernel.build import Build
from harness.kernel.modules import build_modules
from harness.pytest_plugin import HostUnderTest

SOURCES = own_program("stage2-tables")
REFUSALS = Path(__file__).parents[1] / "data/programs/refusals.c"
SUITE = "stage-types"  # the BAR with each type of stage 1, and the guest's ordinary memory
# Bits that no translation depends on. HCR_EL2.TWI, TWE, API, APK: KVM sets them each time that a
# vCPU gets a CPU (kvm_arch_vcpu_load), the last two when the guest first signs a pointer then; TLOR
# is RES0 on a CPU without FEAT_LOR, whatever KVM writes. SCTLR_EL1.EnDB, EnDA, EnIB, EnIA: the
# guest's Linux, by task and for itself.
NO_MATTER = {
    "hcr_el2": 0b11 << 13 | 1 << 35 | 0b11 << 40,
    "sctlr_el1": 1 << 13 | 1 << 27 | 1 << 30 | 1 << 31,
}
UNREAD = {"sctlr_el2", "esr_el1", "far_el1", "esr_el2", "far_el2", "hpfar_el2", "cpsr"}


class BothTables:
    """A TableSource that reads from outside and through the module, and keeps both readings."""

    def __init__(self, outside: TableSource, inside: TableReader) -> None:
        self._source = outside
        self._outside: TableReader | None = None
        self._inside = inside
        self.pairs: list[tuple[Reading, Reading]] = []

    @contextlib.contextmanager
    def open(self, deadline: Deadline) -> Iterator[BothTables]:
        with self._source.open(deadline) as self._outside:
            yield self

    def read(
        self, targets: Sequence[Target], deadline: Deadline, *, answer: Deadline | None = None
    ) -> list[Reading]:
        assert self._outside
        readings = self._outside.read(targets, deadline, answer=answer)
        if not any(target.host for target in targets):
            self.pairs += zip(readings, self._inside.read(targets, Deadline(60)), strict=True)
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
    with tables_through(host, module) as tables, tables.open(Deadline(60)) as inside:
        both = BothTables(l1.tables(), inside)
        monkeypatch.setattr(l1, "tables", lambda: both)
        host.run_suite(SUITE)
    return both.pairs


def difference(outside: Reading, inside: Reading) -> list[str]:
    """Return what the two have not in common, for a failure's message."""
    pairs = [(vars(outside.walk), vars(inside.walk)), (asdict(outside.regs), asdict(inside.regs))]
    return [
        f"{outside.target.name}: {name}: {one[name]} outside, {other[name]} inside"
        for one, other in pairs
        for name in one
        if one[name] != other[name] and name not in UNREAD
    ]


def agrees(outside: Reading, inside: Reading) -> bool:
    """Return whether every step of the walk and every register is the same, to the bit."""
    registers = [
        {name: value for name, value in asdict(r.regs).items() if name not in UNREAD}
        for r in (outside, inside)
    ]
    for values in registers:
        for name, bits in NO_MATTER.items():
            values[name] &= ~bits
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
    machine: str,
    monkeypatch: pytest.MonkeyPatch,
    s2eval_host: HostUnderTest,
    s2eval_kernel: Build,
    tmp_path: Path,
) -> None:
    pairs = both_readings(monkeypatch, s2eval_host, module_of(s2eval_kernel))
    assert {outside.target.name for outside, _ in pairs} >= {"l2-text", "l2-table", "l2-gic"}
    assert len(pairs) >= 10
    for outside, inside in pairs:
        assert agrees(outside, inside), difference(outside, inside)
    # The BAR's leaves were read, not only the same absence of a leaf.
    types = {inside.walk.stage2.attr.name for _, inside in pairs if inside.walk.stage2}
    assert types == {"Device-nGnRE", "Normal-WB"}
    assert s2eval_host.run(f"[ -e {DEVICE} ]").status != 0  # the module has gone with its reader
    refuses_all_that_is_no_vm(s2eval_host, s2eval_kernel, tmp_path / "program")
    says_why_it_is_not_taken(s2eval_host, s2eval_kernel)


def refuses_all_that_is_no_vm(host: HostUnderTest, kernel: Build, folder: Path) -> None:
    shutil.copytree(SOURCES, folder)
    shutil.copy(REFUSALS, folder)
    paths = host._host().put({"refusals": guest_program(folder, "refusals")})
    with tables_through(host, module_of(kernel)):
        said = host.run(f"cp {paths['refusals']} /tmp/r; chmod +x /tmp/r; /tmp/r").out
        nobody = host.run(f"{PROGRAM} i:0")
    print(said)
    answers = {tuple(line.split()[:2]): line.split()[2] for line in said.splitlines()}
    assert answers.pop(("vm", "root")) == answers.pop(("vm", "path")) == "0"
    assert answers.pop(("vcpu", "vcpu")) == "0"
    assert {answers.pop(("none", request)) for request in ("root", "path", "vcpu")} == {"EBADF"}
    assert {answers.pop(("path", request)) for request in ("root", "path", "vcpu")} == {"EBADF"}
    assert answers.pop(("unknown", "request")) == "ENOTTY"
    assert len(answers) == 27 and set(answers.values()) == {"EINVAL"}
    assert nobody.status == 1 and nobody.err == "read-tables: no process here runs a VM\n"


def says_why_it_is_not_taken(host: HostUnderTest, kernel: Build) -> None:
    program = guest_program(SOURCES, "read-tables")
    with (
        pytest.raises(
            NoTablesError, match="does not take the module that reads its tables: insmod"
        ),
        ModuleTables(host._host(), kernel.image, program),
    ):
        pass


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
