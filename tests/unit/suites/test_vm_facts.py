# SPDX-License-Identifier: GPL-2.0-only
"""Facts of a suite that runs VMs: the harness's own line, and what a test's detail becomes."""

from __future__ import annotations

from harness.results.records import Status
from harness.suites.facts import Leaf, leaf_line
from harness.suites.ktap import parse_lines
from tests.unit.suites.vma_runs import DEVICE, observed, recorded


def test_a_leaf_line_gives_back_what_was_put_in() -> None:
    line = leaf_line(
        "a.b", stage1="Normal-NC", stage2="as stage 1", combined="Device-nGnRnE or Device-nGnRE",
        access="rw-", size=4096, contiguous=0, level=3, descriptor=0x7C7, pa=0x80_0000_0000, fwb=1,
    )  # fmt: skip
    document = parse_lines([line])
    assert document.findings == []
    assert document.facts == [
        Leaf(
            "a.b", "as stage 1", "Normal-NC", "Device-nGnRnE or Device-nGnRE", "rw-", 4096,
            contiguous=False, level=3, descriptor=0x7C7, pa=0x80_0000_0000, fwb=True,
        )
    ]  # fmt: skip


def test_a_test_has_its_vmms_account_and_its_leaf() -> None:
    load = observed(recorded(DEVICE))["vma.bar.noncached.4k.load"]
    assert (load.status, load.value) == (Status.PASS, "works")
    assert load.detail == {
        "memslot": "accepted", "run": "0", "exit": 6, "address": "0x9000000",
        "esr": "0x0", "far": "0x0",
        "leaf": "Device-nGnRE", "stage1": "Normal-NC", "combined": "Device-nGnRE",
        "access": "rw-", "size": 4096, "contiguous": False, "level": 3,
        "descriptor": "0x400080000007c7", "pa": "0x8000000000", "fwb": True,
    }  # fmt: skip


def test_kvms_word_about_a_killed_guest_is_kept() -> None:
    killed = observed(recorded(DEVICE))["vma.bar.noncached.4k.unaligned_load"]
    assert (killed.value, killed.detail["run"]) == ("vm-killed", "EFAULT")
    assert killed.detail["diagnostics"][0].startswith("log: kvm [")
    assert killed.detail["leaf"] == "Device-nGnRE"


def test_a_refused_memslot_has_no_leaf() -> None:
    refused = observed(recorded(DEVICE))["vma.bar.noncached.4k.load-dirty_log"]
    assert (refused.value, refused.detail["memslot"]) == ("refused", "EINVAL")
    assert "leaf" not in refused.detail
