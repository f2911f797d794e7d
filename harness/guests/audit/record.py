# SPDX-License-Identifier: GPL-2.0-only
"""Records of the audit: a reading, the expectation, and the verdict (docs/audit.md)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from harness.arm.tables.params import FaultKind
from harness.arm.tables.permissions import AccessRights
from harness.arm.tables.result import Stage1, Stage2, Walk
from harness.hosts.tables import Reading
from harness.results.readings import (
    AuditDetail,
    AuditRecord,
    Expected,
    Stage1LeafRecord,
    Stage2LeafRecord,
)
from harness.results.records import Status

NO_LEAF = (
    "no stage-2 leaf: every access traps to the hypervisor, so no memory type applies"
    " (an emulated device, a page not touched yet, or a BAR that the VMM could not map)"
)


@dataclass(frozen=True)
class Expectation:
    """The properties that a mapping must have; None where nothing is expected.

    `type` is the memory type of both stages combined (an IPA has none), `stage2` the type of
    stage 2 alone: a wrong stage 2 may hide behind a strict stage 1. `Device` stands for every
    Device type, `Device-nGnRE or Normal-NC` for either. `pa` is the physical address,
    `shareability` the one that takes effect (`inner shareable`). `read`, `write`, `execute` are
    EL1's rights at stage 2. `may_trap`: a mapping without stage-2 leaf passes as well.
    """

    type: str | None = None
    stage2: str | None = None
    pa: int | None = None
    read: bool | None = None
    write: bool | None = None
    execute: bool | None = None
    shareability: str | None = None
    may_trap: bool = False


# A BAR that was handed to the guest, to be completed with its type and its address. Which of the
# two stage-2 types KVM uses depends on the kernel: a plan says what it expects.
BAR = Expectation(stage2="Device-nGnRE or Normal-NC", read=True, write=True, execute=False)


def audit_record(reading: Reading, expected: Expectation) -> AuditRecord:
    """Return a record of a cell's `audits`. Addresses and descriptors are hexadecimal text.

    `status` is PASS or FAIL where something was expected, DONE where nothing was; SKIP without a
    stage-2 leaf; ERROR when the guest's own tables do not map the address (the test's fault);
    MISS when the audit could not read them. `detail.reason` says why it is not PASS.
    """
    walk = reading.walk
    only = reading.target.stage2_only
    status, reason = _verdict(walk, expected)
    return AuditRecord(
        mapping=reading.target.name,
        va=None if only else f"{reading.address:#x}",
        ipa=f"{reading.address:#x}" if only else _hex(walk.ipa),
        pa=_hex(walk.pa),
        stage1=walk.stage1.attributes.type.name if walk.stage1 else None,
        stage2=walk.stage2.attr.name if walk.stage2 else None,
        combined=walk.combined.name if walk.combined else None,
        expected=expected.stage2 if only else expected.type,
        status=status,
        detail=_detail(reading, expected, reason),
    )


def unread_record(mapping: str, va: int, ipa: int, reason: str, status: Status) -> AuditRecord:
    """Return a record of the same shape for a mapping that was not read, for `reason`."""
    return AuditRecord(
        mapping=mapping,
        va=f"{va:#x}",
        ipa=f"{ipa:#x}",
        status=status,
        detail=AuditDetail(reason=reason),
    )


def _verdict(walk: Walk, expected: Expectation) -> tuple[Status, str]:
    if walk.fault is not None:
        return _faulted(walk, expected)
    problems = [
        *_type_problems(walk, expected),
        *_address_problems(walk, expected),
        *_permission_problems(walk.stage2, expected),
    ]
    if problems:
        return Status.FAIL, "; ".join(problems)
    return (Status.PASS if _expects(expected) else Status.DONE), ""


def _expects(expected: Expectation) -> bool:
    values = {**asdict(expected), "may_trap": None}
    return any(value is not None for value in values.values())


def _faulted(walk: Walk, expected: Expectation) -> tuple[Status, str]:
    """Return status and reason for a walk that did not reach an address."""
    fault = walk.fault
    assert fault is not None  # noqa: S101 - the caller checked
    if _trapped(walk):
        return (Status.PASS, "") if expected.may_trap else (Status.SKIP, NO_LEAF)
    of_guest = fault.stage == 1 and fault.kind is not FaultKind.EXTERNAL
    return Status.ERROR if of_guest else Status.MISS, fault.describe()


def _trapped(walk: Walk) -> bool:
    """Return whether the address itself, not a table on the way, has no stage-2 leaf."""
    fault = walk.fault
    return (
        fault is not None
        and fault.stage == 2
        and fault.kind is FaultKind.TRANSLATION
        and not fault.s1ptw
    )


def _type_problems(walk: Walk, expected: Expectation) -> list[str]:
    """Return problems of the memory types; where sources disagree, either combined type passes."""
    combined = walk.combined.names if walk.combined else ()
    stage2 = (walk.stage2.attr.name,) if walk.stage2 else ()
    wanted = (
        ("both stages together give", combined, expected.type),
        ("stage 2 gives", stage2, expected.stage2),
    )
    return [
        f"{subject} {_name(names)}, expected {name}"
        for subject, names, name in wanted
        if name
        and not any(_is(actual, choice) for actual in names for choice in name.split(" or "))
    ]


def _name(names: tuple[str, ...]) -> str:
    texts = {"": "a reserved type", "reserved": "a reserved type", "as stage 1": "stage 1's type"}
    return texts.get(" or ".join(names), " or ".join(names))


def _is(actual: str, wanted: str) -> bool:
    """Return whether a type fits: `Device-nGnRE` is `Device-nGnRE`, and also `Device`."""
    return actual == wanted or actual.startswith(f"{wanted}-")


def _address_problems(walk: Walk, expected: Expectation) -> list[str]:
    problems = []
    if expected.pa is not None and walk.pa != expected.pa:
        problems.append(f"PA is {_hex(walk.pa)}, expected {expected.pa:#x}")
    shareability = _shareability(walk)
    if expected.shareability not in (None, shareability):
        problems.append(f"{shareability}, expected {expected.shareability}")
    return problems


def _shareability(walk: Walk) -> str | None:
    """Return the shareability that takes effect; without stage 1, that of the stage-2 leaf."""
    if walk.combined is not None:
        return walk.combined.sh.label if walk.combined.sh is not None else None
    return walk.stage2.leaf.sh.label if walk.stage2 else None


def _permission_problems(stage2: Stage2 | None, expected: Expectation) -> list[str]:
    if stage2 is None or stage2.el1 is None:
        return []
    rights = asdict(stage2.el1)
    if expected.execute is False and stage2.el0 is not None:
        rights["execute"] |= stage2.el0.execute
    return [
        f"stage 2 {'allows' if rights[kind] else 'forbids'} {kind}"
        for kind in ("read", "write", "execute")
        if getattr(expected, kind) not in (None, rights[kind])
    ]


def _detail(reading: Reading, expected: Expectation, reason: str) -> AuditDetail:
    walk, regs = reading.walk, reading.regs
    wanted = {key: value for key, value in asdict(expected).items() if value is not None}
    if expected.pa is not None:
        wanted["pa"] = f"{expected.pa:#x}"
    return AuditDetail(
        **({"reason": reason} if reason else {}),
        trapped=_trapped(walk),
        fault=walk.fault.describe() if walk.fault else None,
        stage1=_stage1(walk.stage1),
        stage2=_stage2(walk.stage2),
        combined=walk.combined.describe() if walk.combined else None,
        ambiguous=bool(walk.combined and walk.combined.ambiguous),
        expected=Expected(**wanted),
        mair=f"{regs.mair_el1:#x}",
        fwb=regs.flag("hcr_el2", "FWB"),
        vhe=regs.vhe,
        notes=list(walk.notes),
        vcpu=reading.sight.vcpu,
        el=regs.el,
        stopped_ms=round(1e3 * reading.stopped, 3),
        total_ms=round(1e3 * reading.seconds, 3),
        stops=reading.stops,
        registers={name: _hex(value) for name, value in asdict(regs).items()},
        source=reading.source,
    )


def _stage1(stage1: Stage1 | None) -> Stage1LeafRecord | None:
    """Return stage 1's leaf; None where the walk did not reach a leaf or stage 1 is off."""
    if stage1 is None or stage1.leaf is None:
        return None
    return Stage1LeafRecord(
        level=stage1.level,
        descriptor=_hex(stage1.descriptor),
        attr_index=stage1.leaf.attr_index,
        mair_byte=_hex(stage1.mair_byte),
        size=stage1.leaf.size,
        contiguous=stage1.leaf.contiguous,
        shareability=stage1.leaf.sh.label,
        el1=_access(stage1.el1),
        el0=_access(stage1.el0),
    )


def _stage2(stage2: Stage2 | None) -> Stage2LeafRecord | None:
    if stage2 is None:
        return None
    return Stage2LeafRecord(
        level=stage2.level,
        descriptor=_hex(stage2.descriptor),
        memattr=_hex(stage2.leaf.memattr),
        meaning=stage2.attr.describe(),
        size=stage2.leaf.size,
        contiguous=stage2.leaf.contiguous,
        shareability=stage2.leaf.sh.label,
        s2ap=stage2.leaf.s2ap,
        xn=stage2.leaf.xn,
        el1=_access(stage2.el1),
        el0=_access(stage2.el0),
    )


def _access(access: AccessRights | None) -> str | None:
    return access.label if access else None


def _hex(value: int | None) -> str | None:
    return None if value is None else f"{value:#x}"
