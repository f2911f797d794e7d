# SPDX-License-Identifier: GPL-2.0-only
"""What becomes of a VMA at stage 2, on real hosts: the suite vma, with and without a series."""

from __future__ import annotations

import pytest

from harness.results.records import Cell, Status
from tests.system.commands import KERNEL, S2Eval

SERIES = "stage2-normal-nc"
LEAF = "vma.{}.noncached.4k.load"


def leaves(cell: Cell) -> dict[str, object]:
    return {o.path: o.detail.get("leaf") for o in cell.observations if "leaf" in o.detail}


@pytest.mark.parametrize(
    "cpu", ["cortex-a72", pytest.param("max,pauth-impdef=on", marks=pytest.mark.extended)]
)
def test_a_series_changes_the_policy_of_a_kernel_and_breaks_nothing(
    s2eval: S2Eval, cpu: str
) -> None:
    machine = "host-tcg" if cpu.startswith("max") else f"host-tcg-{cpu}"
    kernels = (KERNEL, f"{KERNEL}+{SERIES}")
    arguments = [word for kernel in kernels for word in ("-k", kernel)]
    ran = s2eval("run", *arguments, "-m", machine, "-s", "vma")
    assert ran.code == 0, ran.out + ran.err
    for kernel, policy, leaf in zip(
        kernels, ("device-always", "nc-always"), ("Device-nGnRE", "Normal-NC"), strict=True
    ):
        cell = s2eval.cell(f"{kernel}/")
        by_path = {o.path: o for o in cell.observations}
        assert (cell.status, by_path["vma.policy"].value) == (Status.PASS, policy)
        tests = [o for o in cell.observations if "memslot" in o.detail]
        assert len(tests) >= 300 and all(o.status is Status.PASS for o in tests)
        seen = leaves(cell)
        assert seen[LEAF.format("bar")] == seen[LEAF.format("reserved")] == leaf
        assert seen[LEAF.format("pages")] == "Normal-WB"
        fwb = {o.detail["fwb"] for o in tests if "fwb" in o.detail and o.detail["leaf"] != "none"}
        assert fwb == {cpu.startswith("max")}
        # What the kernel cannot offer is SKIP with the reason.
        skipped = by_path["vma.bar.noncached-any_uncached.4k.any"]
        assert skipped.status is Status.SKIP
        assert skipped.detail["reason"] == "the kernel has no VM_ALLOW_ANY_UNCACHED"
        assert by_path["vma.host.log"].value == "clean"
    assert "policy: device-always -> nc-always" in ran.out


def test_it_runs_on_the_host_alone(s2eval: S2Eval) -> None:
    ran = s2eval("run", "-k", KERNEL, "-m", "nested-tcg", "-s", "vma")
    cell = s2eval.cell("vma")
    assert (cell.status, ran.code) == (Status.SKIP, 0)
    assert cell.failure and "machines with the topology host" in cell.failure.summary


def test_a_vmm_that_the_kernel_kills_or_lets_hang_is_named_and_the_rest_goes_on(
    s2eval: S2Eval,
) -> None:
    ran = s2eval("run", "-k", KERNEL, "-m", "host-tcg", "-s", "vma-provoked")
    cell = s2eval.cell("vma-provoked")
    assert (ran.code, cell.status) == (1, Status.FAIL), ran.err
    tests = {o.path.split(".")[2]: o for o in cell.observations if "memslot" in o.detail}
    assert {pgprot: test.value for pgprot, test in tests.items()} == {
        "noncached": "vmm-killed", "device": "vmm-hung",
        "writecombine": "works", "cached": "works", "tagged": "works",
    }  # fmt: skip
    killed, hung = tests["noncached"], tests["device"]
    assert killed.detail["broken"] == ["the-vmm-lives", "the-host-has-nothing-to-say"]
    assert any("kernel BUG at" in line for line in killed.detail["diagnostics"])
    assert any("the VMM ended with signal" in line for line in killed.detail["diagnostics"])
    assert hung.detail["broken"] == ["the-vmm-lives"]
    by_path = {o.path: o for o in cell.observations}
    assert by_path["vma-provoked.host.answers"].status is Status.PASS
    assert by_path["vma-provoked.host.log"].status is Status.FAIL
    # A dead VMM says nothing about the policy, and no other test ran that does.
    assert by_path["vma-provoked.policy"].status is Status.SKIP
