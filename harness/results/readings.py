# SPDX-License-Identifier: GPL-2.0-only
"""Records of audited page tables, and of what a machine's emulator can show."""

from __future__ import annotations

from pydantic import Field

from harness.results.base import OpenRecord, Status


class Stage1LeafRecord(OpenRecord):
    """Stage 1's leaf of an audited mapping. Hexadecimal text, but for levels, sizes and indices."""

    level: int | None = None
    descriptor: str | None = None
    attr_index: int | None = None
    mair_byte: str | None = None
    size: int | None = None
    contiguous: bool | None = None
    shareability: str | None = None
    el1: str | None = None  # the access it gives, e.g. `rw-`
    el0: str | None = None


class Stage2LeafRecord(OpenRecord):
    """Stage 2's leaf of an audited mapping. `meaning` is its MemAttr in words."""

    level: int | None = None
    descriptor: str | None = None
    memattr: str | None = None
    meaning: str | None = None
    size: int | None = None
    contiguous: bool | None = None
    shareability: str | None = None
    s2ap: int | None = None
    xn: int | None = None
    el1: str | None = None
    el0: str | None = None


class Expected(OpenRecord):
    """The properties that an audited mapping had to have; a key that is missing was not checked."""

    type: str | None = None  # of both stages together
    stage2: str | None = None
    pa: str | None = None
    read: bool | None = None
    write: bool | None = None
    execute: bool | None = None
    shareability: str | None = None
    may_trap: bool | None = None


class AuditDetail(OpenRecord):
    """The leaves and registers from which an audit took its types. `reason` says why its status
    is not PASS.
    """

    reason: str = ""
    trapped: bool = False  # no stage-2 leaf: every access traps
    fault: str | None = None
    stage1: Stage1LeafRecord | None = None
    stage2: Stage2LeafRecord | None = None
    combined: str | None = None
    ambiguous: bool = False
    expected: Expected = Field(default_factory=Expected)
    mair: str | None = None
    fwb: bool | None = None
    vhe: bool | None = None
    notes: list[str] = Field(default_factory=list)
    vcpu: int | None = None
    el: int | None = None
    stopped_ms: float | None = None
    total_ms: float | None = None
    stops: int | None = None
    registers: dict[str, str | None] = Field(default_factory=dict)
    source: str | None = None  # what read the tables: `gdb stub` or `module`


class AuditRecord(OpenRecord):
    """A mapping as the page tables have it (docs/audit.md): its address and types.

    A type is None where no leaf gives it; `expected` is the type that was to take effect.
    """

    mapping: str = ""
    va: str | None = None
    ipa: str | None = None
    pa: str | None = None
    stage1: str | None = None
    stage2: str | None = None
    combined: str | None = None
    expected: str | None = None
    status: Status = Status.DONE
    detail: AuditDetail = Field(default_factory=AuditDetail)


# A region, and a target, of leaves that are told apart from the others.
RAM, ELSEWHERE = "RAM", "elsewhere"


class CensusLeaves(OpenRecord):
    """Leaves of stage 2 in one region that are alike.

    `region` is `RAM`, `BAR2`, the name of an area of the VMM's memory map, or `unknown`. `memslot`:
    the VMM has given KVM memory there. `target` is where the leaves lead: `device` (where the host
    has that BAR), `memory` (the host's), `elsewhere`; `unknown` where nobody can tell. `block` is
    the size of a leaf in bytes.
    """

    region: str
    memslot: bool
    target: str
    type: str
    rights: str
    shareability: str
    block: int
    contiguous: bool = False
    af: bool = True
    leaves: int = 0


class CensusRange(OpenRecord):
    """Leaves that follow each other in both address spaces; addresses are hexadecimal text."""

    region: str
    ipa: str
    pa: str
    size: int
    block: int
    type: str
    rights: str
    shareability: str
    contiguous: bool = False
    af: bool = True


class CensusRecord(OpenRecord):
    """All leaves of stage 2 while the suite's audit of the mapping `at` was read (docs/audit.md).

    `problem` says why leaves may be missing, "" where all are there. `ranges` has every region but
    RAM, whose pages lie anywhere: `kinds` has them all. `more` counts ranges that are left out.
    `dump` is PASS where KVM's own dump has the same leaves, else `dump_differs` says the first that
    it has not; None where the kernel has no dump.
    """

    at: str
    leaves: int
    tables: int
    stopped_ms: float
    problem: str = ""
    kinds: list[CensusLeaves] = Field(default_factory=list)
    ranges: list[CensusRange] = Field(default_factory=list)
    more: int = 0
    dump: Status | None = None
    dump_differs: str = ""


class FidelityRecord(OpenRecord):
    """An emulator, as it was measured (docs/fidelity.md): its identity, and its facts.

    `limits` says for each need that the emulator cannot meet why not: the reason of a SKIP.
    """

    qemu: str = ""
    qemu_size: int | None = None
    qemu_mtime_ns: int | None = None
    qemu_version: str = ""
    qemu_args: list[str] = Field(default_factory=list)
    accel: str = ""
    cpu: str = ""
    smp: int | None = None
    el2: bool | None = None
    icount: bool | None = None
    host: str = ""
    guest: str = ""
    facts: dict[str, bool | int | str] = Field(default_factory=dict)
    limits: dict[str, str] = Field(default_factory=dict)
