# SPDX-License-Identifier: GPL-2.0-only
"""The finding on other CPU models, and kernels that have the change already."""

from __future__ import annotations

import pytest

from harness.results.records import Cell, Status
from tests.system.commands import KERNEL, S2Eval

EXTENDED = pytest.mark.extended
PATCHED = f"{KERNEL}+stage2-normal-nc"
WC = "ioremap_wc"


def values(cell: Cell) -> dict[str, object]:
    return {o.path: o.value for o in cell.observations}


def agrees(cell: Cell) -> bool:
    """Whether tables, architecture and probes tell the same of every mapping."""
    seen = [o for o in cell.observations if o.path.startswith("witness.")]
    return len(seen) == 6 and all(o.status is Status.PASS for o in seen)


@pytest.mark.extended
@pytest.mark.parametrize("kernel", ["debian-6.12", "debian-7.2"])
def test_newer_kernels_give_normal_nc_unpatched(kernel: str, s2eval: S2Eval) -> None:
    ran = s2eval("run", "-k", kernel, "-m", "nested-tcg", "-s", "wcprobe")
    cell = s2eval.cell(kernel)
    assert (ran.code, cell.status) == (0, Status.PASS), ran.err
    assert values(cell)[f"audit.{WC}.stage2"] == "Normal-NC"
    assert values(cell)[f"wcprobe.{WC}.unaligned_load"] == "works"
    assert agrees(cell)
    assert [o.status for o in cell.observations if o.path == "census.ptdump"] == [Status.PASS]


@pytest.mark.parametrize(
    ("machine", "fwb"),
    [
        ("nested-tcg-cortex-a72", False),
        pytest.param("nested-tcg-cortex-a76", False, marks=EXTENDED),
        pytest.param("nested-tcg-neoverse-v1", True, marks=EXTENDED),
    ],
)
def test_every_cpu_model_shows_the_same(machine: str, fwb: bool, s2eval: S2Eval) -> None:
    ran = s2eval("run", "-k", KERNEL, "-k", PATCHED, "-m", machine, "-s", "wcprobe")
    assert ran.code == 1, ran.err  # no plan says that the VM's death is expected
    before, after = (s2eval.cell(f"{kernel}/{machine}/") for kernel in (KERNEL, PATCHED))
    assert values(before).get(f"audit.{WC}.stage2") == "Device-nGnRE", before.audits
    assert values(before)[f"wcprobe.{WC}.unaligned_load"] == "vm-killed"
    assert (after.status, values(after)[f"audit.{WC}.stage2"]) == (Status.PASS, "Normal-NC")
    assert agrees(before) and agrees(after)
    assert after.audits[0].detail.fwb is fwb
