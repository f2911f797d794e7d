# SPDX-License-Identifier: GPL-2.0-only
"""What becomes of a VMA at stage 2, on real hosts: the suite vma, with and without a series."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.results.records import Cell, Observation, Status
from tests.system.commands import KERNEL, S2Eval

SERIES = "stage2-normal-nc"
LEAF = "{}.noncached.4k.load"


def leaves(by_path: dict[str, Observation]) -> dict[str, object]:
    return {path: o.detail["leaf"] for path, o in by_path.items() if "leaf" in o.detail}


# Enough of the suite to tell a policy and an invariant: every access on the noncached mappings.
PART = """
extends = "vma"
description = "Noncached mappings alone"
script = '''
insmod vma-memory.ko device=@device bar=@bar
exec /bin/vma device=@device bar=@bar only=*.noncached*.4k.* @resume
'''
"""


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suites") / "vma-part"
    folder.mkdir()
    (folder / "suite.toml").write_text(PART)
    return folder


@pytest.fixture(scope="module")
def polling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests in which a guest reads what is taken away meanwhile."""
    folder = tmp_path_factory.mktemp("suites") / "vma-poll"
    folder.mkdir()
    (folder / "suite.toml").write_text(PART.replace("*.noncached*.4k.*", "*.poll-*"))
    return folder


@pytest.mark.parametrize(
    ("machine", "whole"),
    [
        ("host-tcg", False),
        pytest.param("host-tcg-cortex-a72", True, marks=pytest.mark.extended),
        pytest.param("host-tcg", True, marks=pytest.mark.extended),
    ],
)
def test_a_series_changes_the_policy_of_a_kernel_and_breaks_nothing(
    s2eval: S2Eval, part: Path, machine: str, whole: bool
) -> None:
    kernels = (KERNEL, f"{KERNEL}+{SERIES}")
    arguments = [word for kernel in kernels for word in ("-k", kernel)]
    ran = s2eval("run", *arguments, "-m", machine, "-s", "vma" if whole else str(part))
    assert ran.code == 0, ran.out + ran.err
    for kernel, policy, leaf in zip(
        kernels, ("device-always", "nc-always"), ("Device-nGnRE", "Normal-NC"), strict=True
    ):
        cell = s2eval.cell(f"{kernel}/")
        by_path = {o.path.partition(".")[2]: o for o in cell.observations}
        assert (cell.status, by_path["policy"].value) == (Status.PASS, policy)
        tests = [o for o in cell.observations if "memslot" in o.detail]
        assert len(tests) >= (300 if whole else 80)
        assert all(o.status is Status.PASS for o in tests)
        seen = leaves(by_path)
        assert seen[LEAF.format("bar")] == seen[LEAF.format("reserved")] == leaf
        assert seen[LEAF.format("pages")] == "Normal-WB"
        fwb = {o.detail["fwb"] for o in tests if "fwb" in o.detail and o.detail["leaf"] != "none"}
        assert fwb == {machine == "host-tcg"}
        # The VMM, a process of the host, has the device as vfio-pci maps it.
        vmm = by_path[LEAF.format("vfio_bar")].detail.get("vmm")
        assert vmm == ("Device-nGnRnE" if machine == "host-tcg" else None)  # None: without VHE
        # What the kernel cannot offer is SKIP with the reason.
        skipped = by_path["bar.noncached-any_uncached.4k.any"]
        assert skipped.status is Status.SKIP
        assert skipped.detail["reason"] == "the kernel has no VM_ALLOW_ANY_UNCACHED"
        assert by_path["host.log"].value == "clean"
    assert "policy: device-always -> nc-always" in ran.out


def test_suites_of_the_host_itself(s2eval: S2Eval) -> None:
    machines = ("-m", "host-tcg", "-m", "nested-tcg")
    ran = s2eval("run", "-k", KERNEL, *machines, "-s", "vma-provoked", "-s", "vfio-user")
    assert ran.code == 1, ran.err  # for what is provoked
    for suite in ("vma-provoked", "vfio-user"):
        elsewhere = s2eval.cell(f"nested-tcg/{suite}")
        assert elsewhere.status is Status.SKIP
        assert elsewhere.failure and "machines with the topology host" in elsewhere.failure.summary
    check_provoked(s2eval.cell("host-tcg/vma-provoked"))
    roads = check_roads(s2eval.cell("host-tcg/vfio-user"))
    assert roads == {"container": "faults"}


def check_provoked(cell: Cell) -> None:
    """A VMM that the kernel kills, and one that it lets hang, are named; the rest goes on."""
    assert cell.status is Status.FAIL
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


def check_roads(cell: Cell) -> dict[str, str]:
    """What an unaligned load did on each road to the BAR that the kernel has."""
    assert cell.status is Status.PASS, cell.failure
    by_path = {o.path.removeprefix("vfio-user."): o for o in cell.observations}
    loads = {path: o.value for path, o in by_path.items() if path.endswith(".unaligned_load")}
    roads = {path.partition(".")[0]: str(value) for path, value in loads.items()}
    for road in roads:  # whatever it maps, a mapping beside it is Device memory
        assert by_path[f"{road}.unaligned_beside"].value == "faults"
        assert by_path[f"{road}.doorbell"].status is Status.PASS
    return roads


@pytest.mark.extended
@pytest.mark.parametrize(
    ("mutant", "wrong"),
    [("leaf-stays", ".poll-slot_removed"), ("no-invalidation", ".poll-replaced")],
)
def test_what_outlives_its_memory_is_caught(
    s2eval: S2Eval, polling: Path, mutant: str, wrong: str
) -> None:
    kernel = f"{KERNEL}+vma-mutants/{mutant}"
    ran = s2eval("run", "-k", KERNEL, "-k", kernel, "-m", "host-tcg", "-s", str(polling))
    assert ran.code == 1, ran.err
    assert s2eval.cell(f"{KERNEL}/").status is Status.PASS
    tests = [o for o in s2eval.cell(f"{mutant}/").observations if "memslot" in o.detail]
    assert len(tests) >= 10
    failed = {o.path for o in tests if o.status is Status.FAIL}
    assert failed == {o.path for o in tests if o.path.endswith(wrong)} != set()


@pytest.mark.extended
def test_vfio_maps_a_bar_write_combining_where_it_is_asked_to(s2eval: S2Eval) -> None:
    kernel = f"{KERNEL}+vfio-wc-mmap"
    ran = s2eval("run", "-k", kernel, "-m", "host-tcg", "-s", "vfio-user")
    assert ran.code == 0, ran.out + ran.err
    roads = check_roads(s2eval.cell("vfio-user"))
    assert roads == {"container": "faults", "container_wc": "works"}


# What each kernel does with the kinds of memory of vma-all, and the row that tells it.
@pytest.mark.extended
@pytest.mark.parametrize(
    ("kernel", "policy", "cacheable"),
    [
        (KERNEL, "device-always", "Device-nGnRE"),
        ("debian-6.12", "nc-by-flag", "Device-nGnRE"),
        ("debian-7.2", "cacheable-by-vma", "Normal-WB"),
    ],
)
def test_kinds_of_memory(s2eval: S2Eval, kernel: str, policy: str, cacheable: str) -> None:
    ran = s2eval("run", "-k", kernel, "-m", "host-tcg-mte", "-s", "vma-all")
    assert ran.code == 0, ran.out + ran.err
    by_path = {o.path.removeprefix("vma-all."): o for o in s2eval.cell("vma-all").observations}
    assert by_path["policy"].value == policy
    assert by_path["reserved.cached.4k.load"].detail["leaf"] == cacheable
    assert by_path["platform.noncached.4k.load"].detail["leaf"] == "Device-nGnRE"
    assert by_path["hugetlb.cached.1g.load"].detail["size"] == 1 << 30
    assert by_path["anonymous.cached.4k.tag_store-mte"].value == "works"
