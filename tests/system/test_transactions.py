# SPDX-License-Identifier: GPL-2.0-only
"""What of each accessor reaches the device, by QEMU's trace."""

from __future__ import annotations

from harness.results.records import Cell, Status
from tests.system.commands import KERNEL, S2Eval

MAPPINGS = ("ioremap", "ioremap_np", "ioremap_wc")
# accessor -> accesses and their widths, whatever the mapping: TCG merges nothing
WANTED = {
    "writel": (1, "4"),
    "writeq_relaxed": (1, "8"),
    "__raw_readb": (1, "1"),
    "readw": (1, "2"),
    "__iowrite32_copy": (16, "16x4"),
    "__iowrite64_copy": (8, "8x8"),
    "memcpy_fromio": (8, "8x8"),
    "store_pair": (2, "2x8"),
    "doorbell": (9, "8x8+1x4"),
}


def values(cell: Cell) -> dict[str, object]:
    return {o.path: o.value for o in cell.observations}


def test_a_passed_through_device_sees_each_accessor_as_it_is(s2eval: S2Eval) -> None:
    ran = s2eval("run", "-k", KERNEL, "-m", "nested-tcg-nvme", "-s", "transactions")
    cell = s2eval.cell("nvme")
    assert (ran.code, cell.status) == (0, Status.PASS), ran.err
    seen = values(cell)
    for mapping in MAPPINGS:
        for accessor, (count, widths) in WANTED.items():
            path = f"transactions.{mapping}.{accessor}"
            assert (seen[f"{path}.count"], seen[f"{path}.widths"]) == (count, widths), path


def test_registers_take_the_widths_that_they_have(s2eval: S2Eval) -> None:
    ran = s2eval("run", "-k", KERNEL, "-m", "flat-tcg-edu", "-s", "transactions")
    cell = s2eval.cell("edu")
    assert (ran.code, cell.status) == (0, Status.PASS), ran.err
    by_path = {o.path: o for o in cell.observations}
    assert by_path["transactions.ioremap.writel.widths"].value == "4"
    assert by_path["transactions.ioremap_np.writeq.widths"].value == "8"
    assert by_path["transactions.ioremap.writeb"].status is Status.SKIP


def test_a_device_whose_accesses_trap_sees_others(s2eval: S2Eval) -> None:
    ran = s2eval("run", "-k", KERNEL, "-m", "nested-tcg-trapped", "-s", "transactions")
    cell = s2eval.cell("trapped")
    by_path = {o.path: o for o in cell.observations}
    assert ran.code == 1, ran.err
    assert by_path["transactions.ioremap.writel.device"].status is Status.PASS
    wide = by_path["transactions.ioremap.writeq.device"]
    assert wide.status is Status.FAIL
    assert wide.detail["reason"] == "2 accesses (2x4) instead of at most 1"
    # KVM cannot emulate an access of two registers: the guest's kernel takes an abort.
    assert by_path["transactions.ioremap.store_pair"].value == "oopsed"
