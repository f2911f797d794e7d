# SPDX-License-Identifier: GPL-2.0-only
"""What a walk gives back: every step, both stages' leaves, the combination or the fault."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.arm.combine import Attributes, Combined
from harness.arm.memtype import MemAttr
from harness.arm.tables.descriptor import Stage1Entry, Stage1Leaf, Stage2Entry, Stage2Leaf
from harness.arm.tables.params import Fault
from harness.arm.tables.permissions import AccessRights


@dataclass(frozen=True)
class WalkStep:
    """One descriptor of a walk.

    `table` is the address of the level's table as the stage's own tables give it (an IPA at
    stage 1 below a hypervisor), `address` the physical address of the descriptor (None where
    stage 2 gave none). `for_level` marks a stage-2 step that looked for the stage-1 table of
    that level; None for the translation asked for.
    """

    stage: int
    level: int
    table: int
    index: int
    address: int | None
    descriptor: int | None
    entry: Stage1Entry | Stage2Entry | None
    for_level: int | None = None


@dataclass(frozen=True)
class Stage1:
    """Stage 1's result. Without a leaf (`leaf` None) stage 1 was off. `el1` and `el0` are None
    with indirect permissions.
    """

    ipa: int
    attributes: Attributes
    leaf: Stage1Leaf | None = None
    descriptor: int | None = None
    level: int | None = None
    mair_byte: int | None = None
    el1: AccessRights | None = None
    el0: AccessRights | None = None


@dataclass(frozen=True)
class Stage2:
    """Stage 2's result for the final address."""

    pa: int
    leaf: Stage2Leaf
    descriptor: int
    level: int
    attr: MemAttr
    el1: AccessRights | None = None
    el0: AccessRights | None = None


@dataclass
class Walk:
    """A whole translation. `fault` is None exactly when `pa` is not. `stage1` and `stage2` are
    there as far as the walk came; `stage2` stays None where HCR_EL2.VM and DC are 0. `notes`
    holds what a CPU may make of it beyond the walk (a table it could not read, say).
    """

    va: int
    steps: list[WalkStep] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fault: Fault | None = None
    stage1: Stage1 | None = None
    stage2: Stage2 | None = None
    combined: Combined | None = None
    pa: int | None = None

    @property
    def ipa(self) -> int | None:
        """Stage 1's output; None when the walk did not come so far."""
        return self.stage1.ipa if self.stage1 else None
