# SPDX-License-Identifier: GPL-2.0-only
"""The rules of the suite vma on what it reported on real hosts, and on changes of that."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.results.records import Observation, Status
from harness.suites.policy import judge_policies, load_invariants, load_policies
from tests.unit.suites.vma_runs import (
    ALL_KINDS,
    BY_VMA,
    BY_VMA_NO_FWB,
    DEVICE,
    NORMAL_NC,
    POLL,
    SUITE,
    UNCHECKED_NO_FWB,
    changed,
    observed,
    recorded,
)

LOAD = "bar.noncached.4k.load"


def judged(lines: list[str]) -> tuple[Observation, dict[str, Observation]]:
    found = observed(lines)
    return judge_policies("vma", SUITE, list(found.values())), found


def broken(found: dict[str, Observation]) -> dict[str, list[str]]:
    return {path: item.detail["broken"] for path, item in found.items() if "broken" in item.detail}


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        (DEVICE, "device-always"),
        (ALL_KINDS, "device-always"),
        (NORMAL_NC, "nc-always"),
        (BY_VMA, "by-vma"),
        (BY_VMA_NO_FWB, "by-vma"),
    ],
)
def test_a_kernel_has_its_policy_and_breaks_no_invariant(name: str, policy: str) -> None:
    told, found = judged(recorded(name))
    assert (told.status, told.value) == (Status.PASS, policy)
    assert broken(found) == {}
    assert sum(item.status is Status.PASS for item in found.values()) > 300


def test_a_memslot_that_has_gone_and_a_page_that_was_replaced() -> None:
    _, found = judged(recorded(POLL))
    assert broken(found) == {}
    polled = {path: item for path, item in found.items() if ".poll-" in path}
    assert len(polled) >= 10
    for path, item in polled.items():
        gone = path.endswith("slot_removed")
        wanted = ("trapped", "none") if gone else ("works", "Normal-WB")
        assert (item.value, item.detail["leaf"]) == wanted


def test_the_series_without_the_check_is_caught_where_there_is_no_fwb() -> None:
    told, found = judged(recorded(UNCHECKED_NO_FWB))
    assert told.value == "by-vma"
    caught = broken(found)
    assert len(caught) > 50
    assert {tuple(names) for names in caught.values()} == {("no-cacheable-leaf-without-fwb",)}
    assert {path.split(".")[1] for path in caught} == {"bar", "reserved"}


@pytest.mark.parametrize(
    ("mutant", "invariants"),
    [
        ("exec-device", {"no-executable-uncached-leaf", "no-execution-of-a-device"}),
        ("writable-device", {"no-writable-leaf-of-a-read-only-slot"}),
        ("dirty-log-pfnmap", {"no-dirty-log-of-pfnmap"}),
        ("wrong-page", {"data-arrives"}),
        ("ram-nc", {"ram-stays-cacheable"}),
        ("leaf-stays", {"no-leaf-without-a-memslot", "no-access-without-a-memslot"}),
        ("no-invalidation", {"data-arrives", "no-access-without-a-leaf"}),
    ],
)
def test_a_kernel_that_is_wrong_on_purpose_is_caught(mutant: str, invariants: set[str]) -> None:
    _, found = judged(recorded(f"vma-mutant-{mutant}"))
    assert {name for names in broken(found).values() for name in names} == invariants


@pytest.mark.parametrize(
    ("test", "old", "new", "invariant"),
    [
        (LOAD, "access=rw-", "access=rwx", "no-executable-uncached-leaf"),
        (LOAD, "stage2=Device-nGnRE", "stage2=Normal-WB", "no-cacheable-leaf-without-fwb"),
        (LOAD, "outcome=works", "outcome=vmm-killed", "the-vmm-lives"),
        (LOAD, "outcome=works", "outcome=wrong-value", "data-arrives"),
        ("bar.device.4k.execute", "outcome=faults", "outcome=works", "no-execution-of-a-device"),
        ("bar.cached.4k.execute", "outcome=faults", "outcome=works", ""),
        ("pages.device.2m.load", "stage2=Normal-WB", "stage2=Normal-NC", "ram-stays-cacheable"),
        ("bar.device.2m.load-dirty_log", "memslot=EINVAL", "memslot=accepted",
         "no-dirty-log-of-pfnmap"),
        ("bar.cached.4k.store-read_only", "outcome=trapped", "outcome=works",
         "read-only-is-read-only"),
        ("bar.cached.4k.load-read_only", "access=r--", "access=rw-",
         "no-writable-leaf-of-a-read-only-slot"),
    ],
)  # fmt: skip
def test_each_invariant_finds_a_kernel_that_breaks_it(
    test: str, old: str, new: str, invariant: str
) -> None:
    def change(line: str) -> str:
        return line.replace(old, new).replace("fwb=1", "fwb=0")

    _, found = judged(changed(DEVICE, test, change))
    assert broken(found) == ({f"vma.{test}": [invariant]} if invariant else {})
    if invariant:
        assert found[f"vma.{test}"].status is Status.FAIL
        assert f"invariant {invariant}: " in found[f"vma.{test}"].detail["reason"]


@pytest.mark.parametrize(
    ("test", "asked"),
    [
        ("bar.noncached.4k.load", "Device-nGnRnE"),
        ("vfio_bar.noncached.4k.load", "Device-nGnRnE"),
        ("bar.device.4k.load", "Device-nGnRE"),
        ("sysfs_bar.writecombine.4k.load", "Normal-NC"),
    ],
)
def test_the_vmm_has_what_the_owner_of_the_memory_asked_for(test: str, asked: str) -> None:
    _, found = judged(recorded(ALL_KINDS))
    assert found[f"vma.{test}"].detail["vmm"] == asked
    _, found = judged(
        changed(ALL_KINDS, test, lambda line: line.replace(f"vmm={asked}", "vmm=Device-GRE"))
    )
    assert broken(found) == {f"vma.{test}": ["as-the-owner-maps-it"]}


def test_memory_with_struct_pages_of_its_own_is_no_memory_of_the_kernels() -> None:
    """As DAX and CXL have it: pfn_is_map_memory() is false for it."""
    _, found = judged(recorded(ALL_KINDS))
    assert found["vma.device_pages.cached.4k.load"].detail["leaf"] == "Device-nGnRE"
    assert found["vma.device_pages.cached.4k_insert.load"].detail["leaf"] == "Device-nGnRE"
    assert found["vma.hugetlb.cached.2m.load"].detail["size"] == 2 << 20
    assert found["vma.hugetlb.cached.1g.load"].detail["size"] == 1 << 30


@pytest.mark.parametrize(
    ("test", "old", "new", "invariant"),
    [
        ("vfio_bar.noncached.4k.load-mte", "memslot=EINVAL", "memslot=accepted",
         "no-device-memory-beside-tags"),
        ("anonymous.cached.4k.tag_store-mte", "outcome=works", "outcome=faults",
         "tags-of-ram-work"),
        ("platform.noncached.4k.load", "stage2=Device-nGnRE", "stage2=Normal-NC",
         "platform-device-is-device"),
    ],
)  # fmt: skip
def test_each_invariant_about_tags_and_platforms_finds_a_kernel_that_breaks_it(
    test: str, old: str, new: str, invariant: str
) -> None:
    _, found = judged(changed(ALL_KINDS, test, lambda line: line.replace(old, new)))
    assert broken(found) == {f"vma.{test}": [invariant]}


def test_an_oops_of_the_host_is_the_tests_and_kvms_word_about_its_guest_is_not() -> None:
    oops = "# log: Internal error: Oops: 0000000096000004 [#1] SMP"
    lines = recorded(DEVICE)
    assert any("# log: kvm [" in line for line in lines)
    at = next(i for i, line in enumerate(lines) if f"vcpu test={LOAD} " in line)
    _, found = judged([*lines[:at], oops, *lines[at:]])
    assert broken(found) == {f"vma.{LOAD}": ["the-host-has-nothing-to-say"]}
    assert "log is oops" in found[f"vma.{LOAD}"].detail["reason"]


def test_a_kernel_of_no_policy_is_told_by_the_nearest_one() -> None:
    told, _ = judged(
        changed(DEVICE, LOAD, lambda line: line.replace("stage2=Device-nGnRE", "stage2=Normal-NC"))
    )
    assert (told.status, told.value) == (Status.FAIL, "unknown")
    reason = str(told.detail["reason"])
    assert "the nearest is device-always" in reason
    assert f"{LOAD}: leaf is Normal-NC, not Device-nGnRE" in reason


def test_without_a_test_there_is_no_policy() -> None:
    told, _ = judged(["KTAP version 1", "1..0 # SKIP /dev/kvm: No such file", "# s2eval: end"])
    assert told.status is Status.SKIP


def test_tables_that_could_not_be_read_are_no_verdict() -> None:
    _, found = judged(
        changed(DEVICE, LOAD, lambda line: line.replace("stage2=Device-nGnRE", "stage2=unread"))
    )
    assert found[f"vma.{LOAD}"].status is Status.MISS


def test_every_rule_says_why() -> None:
    rules = [*load_invariants(SUITE), *(rule for p in load_policies(SUITE) for rule in p.rule)]
    assert all(rule.why and (rule.must or rule.never) for rule in rules)
    assert all(rule.name for rule in load_invariants(SUITE))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[invariant]]\ntest = ['*']\n", "test"),
        ("[[invariant]]\ntests = []\n", "tests"),
        ("[[invariant]\n", "invariants.toml"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "invariants.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        load_invariants(tmp_path)
