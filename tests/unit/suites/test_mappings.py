# SPDX-License-Identifier: GPL-2.0-only
"""The lines about mappings, from what the suite vma reported on real hosts."""

from __future__ import annotations

from harness.results.records import Status
from harness.suites.mappings import mapping_observations
from harness.suites.policy import judge_policies
from tests.unit.suites.vma_runs import (
    ALL_KINDS,
    BY_VMA_NO_FWB,
    DEVICE,
    NORMAL_NC,
    SUITE,
    changed,
    observed,
    recorded,
)


def lines(name: str) -> dict[str, object]:
    return {
        item.path: item.value
        for item in mapping_observations("vma", observed(recorded(name)).values())
    }


def test_what_a_guest_gets_is_refused_and_dies_of() -> None:
    assert lines(DEVICE)["vma.bar.noncached"] == (
        "Device-nGnRE rw- 4K; VM killed by unaligned_load, unaligned_store;"
        " guest faults at execute; dirty_log refused"
    )
    assert lines(NORMAL_NC)["vma.bar.noncached"] == (
        "Normal-NC rw- 4K; guest faults at execute; dirty_log refused"
    )
    assert lines(DEVICE)["vma.anonymous.cached"] == "Normal-WB rwx 4K+2M"


def test_sizes_of_which_no_memslot_is_taken() -> None:
    told = lines(BY_VMA_NO_FWB)
    assert told["vma.reserved.cached"] == "no leaf; 4k, 4k_fault, 2m refused"
    assert told["vma.pages.cached"] == "Normal-WB rwx 4K; 4k, 4k_fault, 2m refused"
    assert told["vma.vfio_bar.noncached"] == (
        "Device-nGnRnE rw- 4K; VM killed by unaligned_load, unaligned_store;"
        " guest faults at execute; dirty_log refused"
    )


def test_vms_with_mte_are_told_but_are_no_difference_between_machines() -> None:
    found = mapping_observations("vma", observed(recorded(ALL_KINDS)).values())
    (bar,) = (item for item in found if item.path == "vma.bar.noncached")
    assert str(bar.value).endswith("; dirty_log, mte refused")
    assert bar.detail["clauses"][-1] == "dirty_log refused"


def test_what_the_kernel_does_not_offer_has_no_line() -> None:
    assert not [path for path in lines(DEVICE) if "any_uncached" in path or "hugetlb" in path]


def test_a_broken_invariant_and_a_dead_vmm_show() -> None:
    test = "memfd.cached.2m.store"
    found = observed(
        changed(DEVICE, test, lambda line: line.replace("outcome=works", "outcome=vmm-killed"))
    )
    judge_policies("vma", SUITE, list(found.values()))
    summary = {item.path: item for item in mapping_observations("vma", found.values())}
    memfd = summary["vma.memfd.cached"]
    assert memfd.value == "Normal-WB rwx 4K; vmm-killed: store"
    assert (memfd.status, memfd.detail["broken"]) == (Status.DONE, 1)
