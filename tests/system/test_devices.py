# SPDX-License-Identifier: GPL-2.0-only
"""The devices: a BAR from user space, drivers of Linux, and the control whose BAR is not mapped."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.hosts.qemu.binary import find_qemu
from harness.results.records import Cell, Observation, Status
from tests.system.commands import KERNEL, S2Eval

PATCHED = f"{KERNEL}+stage2-normal-nc"


def by_path(cell: Cell) -> dict[str, Observation]:
    return {o.path: o for o in cell.observations}


def audits(cell: Cell) -> dict[str, tuple[str, str | None]]:
    """Of each mapping the status and what both stages came to."""
    return {a.mapping: (a.status.value, a.combined) for a in cell.audits}


@pytest.mark.parametrize("device", ["nvme", "bochs"])
def test_a_program_maps_each_device_on_a_flat_machine(device: str, s2eval: S2Eval) -> None:
    ran = s2eval("run", "-k", KERNEL, "-m", f"flat-tcg-{device}", "-s", "user")
    seen = by_path(s2eval.cell(device))
    assert ran.code == 0, ran.err
    assert seen["user.resource_wc.unaligned_load"].value == "works"
    assert seen["user.resource.unaligned_load"].value == "faults"
    assert seen["user.resource.stores.host"].status is Status.SKIP  # nobody can see that memory


def test_user_space_gets_what_stage_2_allows(s2eval: S2Eval) -> None:
    s2eval("run", "-k", KERNEL, "-k", PATCHED, "-m", "nested-tcg", "-s", "user")
    before, after = (s2eval.cell(f"{name}/") for name in (KERNEL, PATCHED))
    assert by_path(before)["user.resource_wc.unaligned_load"].value == "vm-killed"
    assert audits(before)["resource_wc"] == ("FAIL", "Device-nGnRE")
    assert after.status is Status.PASS
    assert by_path(after)["user.resource_wc.unaligned_load"].value == "works"
    assert audits(after)["resource_wc"] == ("PASS", "Normal-NC")
    for cell in (before, after):
        seen = by_path(cell)
        assert seen["user.resource_wc.exits"].status is Status.PASS
        assert seen["user.resource_wc.stores.host"].status is Status.PASS
        assert audits(cell)["resource"] == ("PASS", "Device-nGnRE")
        # The VMM's own mapping is no guest's.
        assert audits(cell)["l1-vfio"] == ("PASS", "Device-nGnRnE")


def test_accesses_that_trap_are_told(s2eval: S2Eval) -> None:
    ran = s2eval("run", "-k", KERNEL, "-m", "nested-tcg-trapped", "-s", "user")
    seen = by_path(s2eval.cell("trapped"))
    assert ran.code == 1, ran.err
    exits = seen["user.resource.exits"]
    assert exits.status is Status.FAIL and "accesses trap" in exits.detail["reason"]
    assert seen["user.resource.exits.per_access"].value == 1
    assert seen["user.resource.store_pairs"].status is Status.FAIL
    assert "no stage-2 leaf" in seen["audit.resource"].detail["reason"]


def test_a_device_that_this_qemu_has_not_is_skipped(s2eval: S2Eval) -> None:
    ran = s2eval("run", "-k", KERNEL, "-m", "flat-tcg-testdev", "-s", "user")
    cell = s2eval.cell("testdev")
    if find_qemu().version_info >= (10, 1):
        assert (ran.code, cell.status) == (0, Status.PASS), ran.err
        return
    assert (ran.code, cell.status) == (0, Status.SKIP), ran.err
    assert cell.failure and "needs QEMU 10.1" in cell.failure.summary


@pytest.mark.extended
def test_drivers_of_linux_on_a_passed_through_device(s2eval: S2Eval) -> None:
    machines = ("-m", "nested-tcg-nvme", "-m", "nested-tcg-bochs")
    ran = s2eval("run", "-k", PATCHED, *machines, "-s", "drivers")
    assert ran.code == 0, ran.err
    nvme, bochs = by_path(s2eval.cell("nvme")), s2eval.cell("bochs")
    for test in ("nvme_cmb", "nvme_write", "nvme_read"):
        assert nvme[f"drivers.{test}"].status is Status.PASS
    # 64 commands of 64 bytes each went through the buffer.
    assert nvme["drivers.nvme_read.device"].status is Status.PASS
    assert int(str(nvme["drivers.nvme_read.count"].value)) >= 512
    assert by_path(bochs)["drivers.bochs_draw"].value == "direct"
    assert by_path(bochs)["drivers.bochs_draw.host"].status is Status.PASS
    assert audits(bochs)["framebuffer"] == ("PASS", "Normal-NC")


@pytest.mark.extended
def test_io_past_the_memory_buffer_is_told(s2eval: S2Eval, tmp_path: Path) -> None:
    machine = tmp_path / "past.toml"
    machine.write_text(
        'extends = "flat-tcg-nvme"\ndescription = "a driver that leaves the buffer alone"\n'
        'append = "nvme.use_cmb_sqes=N"\n'
    )
    ran = s2eval("run", "-k", PATCHED, "-m", str(machine), "-s", "drivers")
    seen = by_path(s2eval.cell("past"))
    assert ran.code == 1, ran.err
    assert seen["drivers.nvme_read"].status is Status.PASS
    assert seen["drivers.nvme_read.device"].status is Status.FAIL
