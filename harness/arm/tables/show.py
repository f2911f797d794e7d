# SPDX-License-Identifier: GPL-2.0-only
"""A walk as lines of text, step by step."""

from __future__ import annotations

from harness.arm.tables.params import Fault
from harness.arm.tables.permissions import AccessRights
from harness.arm.tables.result import Stage1, Stage2, Walk, WalkStep


def walk_lines(walk: Walk) -> list[str]:
    """Return the whole walk: its steps in the order they were taken, then what they add up to.

    Stage-2 steps that only looked for a stage-1 table are indented by two spaces.
    """
    lines = [_step_line(step) for step in walk.steps]
    lines += [f"note: {note}" for note in walk.notes]
    return lines + result_lines(walk)


def result_lines(walk: Walk) -> list[str]:
    """Return what a walk came to, without its steps."""
    lines = []
    if walk.stage1 is not None:
        lines.append(stage1_line(walk.va, walk.stage1))
    if walk.stage2 is not None:
        lines.append(stage2_line(walk.ipa if walk.stage1 else walk.va, walk.stage2))
    if walk.fault is not None:
        lines.append(fault_line(walk.fault))
    if walk.combined is not None and walk.pa is not None:
        lines.append(f"VA {walk.va:#x} -> PA {walk.pa:#x}: {walk.combined.describe()}")
    return lines


def _step_line(step: WalkStep) -> str:
    indent = "" if step.for_level is None else "  "
    address = "?" if step.address is None else f"{step.address:#x}"
    head = (
        f"{indent}stage {step.stage} level {step.level}: table {step.table:#x}[{step.index}] "
        f"at {address}"
    )
    if step.descriptor is None or step.entry is None:
        return f"{head}: not readable"
    return f"{head} = {step.descriptor:#018x}: {step.entry.describe()}"


def _access_words(el1: AccessRights | None, el0: AccessRights | None) -> str:
    if el1 is None or el0 is None:
        return "indirect permissions"
    return f"EL1 {el1.label}, EL0 {el0.label}"


def stage1_line(va: int, stage1: Stage1) -> str:
    """Return e.g. `stage 1: VA 0x… -> IPA 0x…: Normal-NC, … (Attr2 = 0x44), EL1 rw-, EL0 ---`."""
    head = f"stage 1: VA {va:#x} -> IPA {stage1.ipa:#x}: {stage1.attributes.describe()}"
    if stage1.leaf is None or stage1.mair_byte is None:
        return f"{head} (stage 1 is off)"
    index = stage1.leaf.attr_index
    access = _access_words(stage1.el1, stage1.el0)
    return f"{head} (MAIR_EL1 Attr{index} = {stage1.mair_byte:#04x}), {access}"


def stage2_line(ipa: int | None, stage2: Stage2) -> str:
    """Return e.g. `stage 2: IPA 0x… -> PA 0x…: Device-nGnRE (MemAttr 0x1, FWB off), EL1 rw-, …`."""
    fwb = "on" if stage2.attr.fwb else "off"
    return (
        f"stage 2: IPA {ipa or 0:#x} -> PA {stage2.pa:#x}: {stage2.attr.describe()} "
        f"(MemAttr {stage2.attr.value:#x}, FWB {fwb}), {stage2.leaf.sh.label}, "
        f"{_access_words(stage2.el1, stage2.el0)}"
    )


def fault_line(fault: Fault) -> str:
    """Return the fault with the status code that a CPU reports for it."""
    fsc = "" if fault.fsc is None else f" (FSC {fault.fsc:#04x})"
    return f"fault: {fault.describe()}{fsc}"
