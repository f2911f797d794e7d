# SPDX-License-Identifier: GPL-2.0-only
"""Tables that a module on the host gave: with what it printed for a guest of a real kernel."""

from __future__ import annotations

from typing import cast

import pytest

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.host import Completed, Host
from harness.hosts.module_tables import (
    NO_TABLES,
    PROGRAM,
    Material,
    ModuleReader,
    View,
    refusal,
)
from harness.hosts.tables import NoTablesError, Target
from tests.data_files import DATA

RECORDED = (DATA / "tables/l2-6.1-max.txt").read_text()
NESTED = (DATA / "tables/l2-nested-6.1-on-7.2.txt").read_text()
BAR = Target("ioremap", 0xFFFF8000086D0000)
NESTED_BAR = Target("ioremap", 0xFFFF800008700000)
IPA = 0x80_0001_0000


class Answers:
    """A host on which the program says one answer after the other; the last one again and again."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self.left = list(answers)
        self.asked: list[str] = []

    def run(self, command: str, deadline: Deadline) -> Completed:
        self.asked.append(command)
        status, text = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return Completed(command, status, "" if status else text, text if status else "")


def reader(answers: Answers, view: View = View.GUEST) -> ModuleReader:
    return ModuleReader(cast("Host", answers), view)


def without(last: int) -> str:
    """Return the record without the `last` entries: of a program that knew less of stage 1."""
    lines = RECORDED.splitlines()
    return "\n".join([*lines[: -1 - last], lines[-1]])


def test_a_mapping_is_walked_as_the_cpu_does() -> None:
    answers = Answers((0, RECORDED))
    (reading,) = reader(answers).read([BAR], Deadline(60))
    assert answers.asked == [f"{PROGRAM} v:{BAR.address:#x}"]
    walk = reading.walk
    assert (walk.ipa, walk.pa) == (IPA, IPA)
    assert walk.stage1 and walk.stage1.attributes.type.name == "Device-nGnRE"
    assert walk.stage2 and walk.stage2.attr.name == "Device-nGnRE"
    assert (walk.stage2.level, walk.stage2.descriptor) == (3, 0x400080000107C7)
    assert reading.sight.in_guest and reading.regs.flag("hcr_el2", "FWB")
    assert reading.stopped == 0.191909415 and reading.source == "module"


@pytest.mark.parametrize("last", [1, 2, 3])
def test_a_table_that_is_missing_is_asked_for(last: int) -> None:
    answers = Answers((0, without(last)), (0, RECORDED))
    (reading,) = reader(answers).read([BAR], Deadline(60))
    assert answers.asked[1] == f"{answers.asked[0]} i:{IPA:#x}"
    assert reading.walk.pa == IPA and reading.stops == 2


def test_a_table_that_stays_missing_is_told() -> None:
    answers = Answers((0, without(1)))
    (reading,) = reader(answers).read([BAR], Deadline(60))
    assert len(answers.asked) == 2
    assert reading.walk.fault and "no memory at the descriptor" in reading.walk.fault.describe()


def test_registers_stand_for_addresses() -> None:
    answers = Answers((0, RECORDED))
    targets = [
        Target("l2-text", register="VBAR_EL1"),
        Target("l2-table", address=8, register="TTBR1_EL1", stage2_only=True),
        Target("l2-gic", 0x800_0000, stage2_only=True),
    ]
    readings = reader(answers).read(targets, Deadline(60))
    assert answers.asked[0] == f"{PROGRAM} v:VBAR_EL1+0x0 i:TTBR1_EL1+0x8 i:0x8000000"
    # The guest's first table is where the record begins to walk stage 1.
    assert readings[0].address == 0xFFFF800008010000
    assert readings[1].walk.pa == 0x454DD008


def test_a_guest_that_is_not_there_yet_is_waited_for() -> None:
    answers = Answers((1, "read-tables: no vCPU runs the guest\n"), (0, RECORDED))
    assert reader(answers).read([BAR], Deadline(60))
    nobody = Answers((1, "read-tables: no vCPU runs the guest of the guest\n"))
    with pytest.raises(MachineError, match="no vCPU runs the guest of the guest"):
        reader(nobody, View.SHADOW).read([BAR], Deadline(0))
    assert nobody.asked == [f"{PROGRAM} -n v:{BAR.address:#x}"]


def test_a_host_that_keeps_its_tables_is_no_fault() -> None:
    text = "read-tables: EL2 keeps the tables of this VM from its host (pKVM)\n"
    with pytest.raises(NoTablesError, match=r"^EL2 keeps the tables"):
        reader(Answers((NO_TABLES, text))).read([BAR], Deadline(60))
    with pytest.raises(MachineError, match="no process here runs a VM") as caught:
        reader(Answers((1, "read-tables: no process here runs a VM\n"))).read([BAR], Deadline(60))
    assert not isinstance(caught.value, NoTablesError)


def test_a_guest_of_a_guest_has_two_stage_2s() -> None:
    """L1's tables ask for Device, L0 has put RAM behind the BAR, which is what the CPU uses."""
    (shadow,) = reader(Answers((0, NESTED)), View.SHADOW).read([NESTED_BAR], Deadline(60))
    (own,) = reader(Answers((0, NESTED)), View.OWN).read([NESTED_BAR], Deadline(60))
    assert shadow.walk.ipa == own.walk.ipa == 0x80_0000_0000
    assert shadow.walk.stage2 and own.walk.stage2
    assert (shadow.walk.pa, own.walk.pa) == (0x4F483000, 0x80_0000_0000)
    types = [reading.walk.stage2.attr.type.name for reading in (shadow, own)]  # type: ignore[union-attr]
    assert types == ["Normal-WB", "Device-nGnRE"]
    assert shadow.source == View.SHADOW and own.source == View.OWN


def test_tables_of_a_guest_hypervisor_are_asked_for_one_after_the_other() -> None:
    """The first one is of its stage 2: the table of stage 1 behind it has no address yet."""
    root = "memory mmu=0 ipa=0x40f0c008 "
    without_root = "".join(line for line in NESTED.splitlines(True) if not line.startswith(root))
    assert without_root != NESTED
    answers = Answers((0, without_root), (0, NESTED))
    (reading,) = reader(answers, View.OWN).read([NESTED_BAR], Deadline(60))
    assert answers.asked[1] == f"{answers.asked[0]} g:0x40f0c008"
    assert reading.walk.pa == 0x80_0000_0000


def test_the_vmms_own_mapping_is_not_read() -> None:
    with pytest.raises(MachineError, match="no tables of the VMM"):
        reader(Answers((0, RECORDED))).read([Target("l1-vfio", 1, host=True)], Deadline(60))


NOT_WHOLE = ["", "held ns=1", "vm pid=x", "entry address=1", RECORDED[: RECORDED.index("held")]]


@pytest.mark.parametrize("text", NOT_WHOLE)
def test_output_that_is_not_whole_is_told(text: str) -> None:
    with pytest.raises(MachineError, match="as read on the host"):
        Material.parse(text)


def test_why_a_kernel_does_not_take_a_module() -> None:
    said = "insmod: can't insert 'stage2-tables.ko': Operation not permitted\n"
    assert refusal(said, "").endswith(f": {said.strip()}")
    assert refusal(said, "[none] integrity confidentiality\n") == refusal(said, "")
    assert "locked down: integrity" in refusal(said, "none [integrity] confidentiality\n")
    assert refusal("", "").endswith(": no message")
