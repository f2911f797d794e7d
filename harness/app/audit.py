# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval audit`: the walk of one address of any running QEMU arm64 VM, or all of its stage 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.arm.tables.census import MappedRange, ranges
from harness.arm.tables.result import WalkStep
from harness.arm.tables.show import walk_lines
from harness.base.deadline import Deadline
from harness.base.errors import UsageError
from harness.guests.audit.record import Expectation, audit_record
from harness.hosts.qemu.memory import SharedMemory
from harness.hosts.qemu.stub_tables import StubTables
from harness.hosts.tables import Reading, Target
from harness.results.records import Status

SCHEMA = "s2eval-audit-1"
CENSUS_SCHEMA = "s2eval-census-1"
SEARCH_SECONDS = 4.0
FLAT = (
    "HCR_EL2.VM is 0: no stage 2 is in force, so this is stage 1 alone"
    " (a VM without a nested guest, or the nested guest was not running)"
)


@dataclass(frozen=True)
class Answer:
    """What the command prints: `lines`, or `document` as JSON.

    `problem` says in one line why a walk ended early, or why stage 2 is not known as a whole; it is
    None when the walk came to a leaf or stage 2 traps the address.
    """

    lines: list[str]
    document: dict[str, object]
    problem: str | None


def audit(
    gdb: str,
    va: int,
    *,
    vcpu: int | None = None,
    memory: Path | None = None,
    seconds: float = SEARCH_SECONDS,
) -> Answer:
    """Return the walk of `va` in the VM whose gdb stub is `gdb` (a socket's path or host:port).

    `vcpu` picks a vCPU; default is the first that runs a guest. `memory` is the file behind the
    VM's RAM. The VM is stopped for milliseconds and always left running. Raise UsageError for
    an impossible address or vCPU, MachineError when the stub or the VM does not answer.
    """
    if not 0 <= va < 1 << 64:
        raise UsageError(f"--va {va:#x}: not a 64-bit address")
    deadline = Deadline(seconds)
    with ExitStack() as stack:
        shared = stack.enter_context(SharedMemory(memory)) if memory else None
        tables = stack.enter_context(StubTables(gdb, deadline, shared))
        _check_vcpu(vcpu, tables)
        target = Target("va", va)
        reading = tables.read([target], deadline, vcpu=vcpu, flat=True)[0]
    record = audit_record(reading, Expectation())
    reason = record.detail.reason
    problem = reason if record.status in (Status.ERROR, Status.MISS) else None
    document = {
        "schema": SCHEMA,
        **record.model_dump(mode="json"),
        "problem": problem,
        "steps": [_step_document(step) for step in reading.walk.steps],
    }
    lines = list(describe(reading))
    if reason and not problem:  # a fault is already the last line of the walk
        lines.append(reason)
    return Answer(lines, document, problem)


def audit_all(
    gdb: str,
    *,
    vcpu: int | None = None,
    memory: Path | None = None,
    seconds: float = SEARCH_SECONDS,
) -> Answer:
    """Return all leaves of stage 2 in the VM whose gdb stub is `gdb`, folded into ranges.

    Arguments and errors are those of audit().
    """
    deadline = Deadline(seconds)
    with ExitStack() as stack:
        shared = stack.enter_context(SharedMemory(memory)) if memory else None
        tables = stack.enter_context(StubTables(gdb, deadline, shared))
        _check_vcpu(vcpu, tables)
        census = tables.read_all(deadline, vcpu=vcpu)
    found = ranges(census.tables)
    leaves = sum(one.leaves for one in found)
    stopped = round(1e3 * census.stopped, 1)
    document = {
        "schema": CENSUS_SCHEMA,
        "vttbr": f"{census.tables.regs.vttbr_el2:#x}",
        "leaves": leaves,
        "tables": len(census.tables.tables),
        "stopped_ms": stopped,
        "problem": census.tables.why_not_whole,
        "ranges": [_range_document(one) for one in found],
    }
    lines = [
        f"vCPU {census.sight.vcpu} at {census.sight.describe()}, stopped for {stopped} ms: "
        f"{leaves} leaves in {len(census.tables.tables)} tables"
    ]
    lines += [f"{one.ipa:#014x} -> {one.pa:#014x}  {one.describe()}" for one in found]
    return Answer(lines, document, census.tables.why_not_whole)


def _check_vcpu(vcpu: int | None, tables: StubTables) -> None:
    if vcpu is not None and not 0 <= vcpu < tables.vcpus:
        raise UsageError(f"--vcpu {vcpu}: the VM has vCPUs 0 to {tables.vcpus - 1}")


def _range_document(one: MappedRange) -> dict[str, object]:
    return {**asdict(one), "ipa": f"{one.ipa:#x}", "pa": f"{one.pa:#x}", "leaves": one.leaves}


def describe(reading: Reading) -> Iterator[str]:
    """Yield where the vCPU was stopped, its registers, and the walk, one line for a descriptor."""
    regs, sight = reading.regs, reading.sight
    yield f"vCPU {sight.vcpu} at {sight.describe()}, stopped for {1e3 * reading.stopped:.1f} ms"
    yield (
        f"stage 1: TTBR0_EL1 {regs.ttbr0_el1:#x}, TTBR1_EL1 {regs.ttbr1_el1:#x},"
        f" TCR_EL1 {regs.tcr_el1:#x}, MAIR_EL1 {regs.mair_el1:#x}, SCTLR_EL1 {regs.sctlr_el1:#x}"
    )
    if regs.stage2_on:
        yield (
            f"stage 2: VTTBR_EL2 {regs.vttbr_el2:#x}, VTCR_EL2 {regs.vtcr_el2:#x},"
            f" HCR_EL2 {regs.hcr_el2:#x} (FWB {_on_or_off(flag=regs.flag('hcr_el2', 'FWB'))},"
            f" VHE {_on_or_off(flag=regs.vhe)})"
        )
    else:
        yield FLAT
    yield from walk_lines(reading.walk)


def _on_or_off(*, flag: bool) -> str:
    return "on" if flag else "off"


def _step_document(step: WalkStep) -> dict[str, object]:
    return {
        "stage": step.stage,
        "level": step.level,
        "table": f"{step.table:#x}",
        "index": step.index,
        "address": None if step.address is None else f"{step.address:#x}",
        "descriptor": None if step.descriptor is None else f"{step.descriptor:#x}",
        "meaning": step.entry.describe() if step.entry else None,
        "for_level": step.for_level,
    }


def parse_address(text: str) -> int:
    """Return the address that `--va` names; raise UsageError for text that is no number."""
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(f"--va {text}: not an address (0x…)") from None
