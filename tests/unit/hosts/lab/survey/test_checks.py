# SPDX-License-Identifier: GPL-2.0-only
"""What is found lacking on machines, from what real ones reported."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from harness.hosts.lab.hostfile import HostFile
from harness.hosts.lab.survey.checks import Check, checks
from harness.hosts.lab.survey.survey import SCRIPT, PciDevice, Survey, best_bar, parse_survey
from tests.data_files import DATA

DEVICE = "0000:00:10.0"


def recorded(name: str) -> Survey:
    return parse_survey((DATA / f"lab/survey-{name}.txt").read_text().splitlines())


@pytest.fixture
def l1() -> Survey:
    """A real arm64 system, with what its busybox and its kernel lack of a server's."""
    seen = recorded("l1")
    facts = {"free_kib": "9000000", "config": "/proc/config.gz", "distribution": "debian"}
    options = {"KEXEC_FILE": "y", "HOTPLUG_CPU": "y"}
    tools = seen.tools | {"flock"}
    return replace(seen, facts=seen.facts | facts, options=options, tools=tools)


def host(**values: Any) -> HostFile:
    device = {"bdf": DEVICE, "bar": 2}
    return HostFile.model_validate({"name": "bench", "address": "x", "device": device} | values)


def one(name: str, of: HostFile, seen: Survey) -> Check:
    return next(check for check in checks(of, seen) if check.name == name)


def lacking(of: HostFile, seen: Survey) -> list[str]:
    return [check.name for check in checks(of, seen) if check.state == "missing"]


def test_what_an_arm64_machine_reported() -> None:
    seen = recorded("l1")
    assert (seen["arch"], seen["kvm_mode"], seen["release"]) == ("aarch64", "VHE", "6.1.192")
    assert seen.devices[DEVICE] == PciDevice(DEVICE, "1af4:1110", "050000", "", "2")
    assert seen.in_group(DEVICE) == []
    assert [(bar.number, bar.size, bar.prefetchable) for bar in seen.bars] == [
        (0, 256, False),
        (2, 4 << 20, True),
    ]
    assert best_bar(seen.bars) == 2


def test_what_another_one_uses_is_known() -> None:
    seen = recorded("x86")
    assert seen.uses == {
        "0000:00:02.0": "the disk vda, which is in use",
        "0000:00:03.0": "the network eth0, which is up",
    }


def test_the_script_says_nothing_on_standard_error() -> None:
    argv = ["sh", str(SCRIPT), "/no/such/folder", "ffff:00:00.0"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    seen = parse_survey(done.stdout.splitlines())
    assert seen["arch"] == platform.machine()
    assert seen.number("free_kib") > 0
    assert seen.bars == ()


def test_lines_that_say_nothing_are_left_out() -> None:
    seen = parse_survey(["", "pci x", "tool", "bar 0", "uid 0", "\x1b[1muid", "motd of today"])
    assert (seen.devices, seen.bars, seen.tools) == ({}, (), frozenset())


def test_a_machine_that_has_all(l1: Survey) -> None:
    assert lacking(host(boot={"safe": "6.1.192"}), l1) == []
    assert one("BAR", host(), l1).detail == "BAR 2: 4 MiB, prefetchable"
    assert one("IOMMU", host(), l1).detail == "group 2, alone"


@pytest.mark.parametrize(
    ("fact", "value", "name"),
    [
        ("arch", "x86_64", "arm64"),
        ("uid", "1000", "root"),
        ("free_kib", "1000", "disk"),
        ("kvm", "", "KVM"),
        ("kexec_disabled", "1", "boot"),
        ("lockdown", "integrity", "boot"),
    ],
)
def test_each_fact_counts(l1: Survey, fact: str, value: str, name: str) -> None:
    assert lacking(host(), replace(l1, facts=l1.facts | {fact: value})) == [name]


def test_tools_are_brought_by_the_machines_own_packages(l1: Survey) -> None:
    bare = replace(l1, tools=frozenset())
    assert one("flock", host(), bare).way == (
        "s2eval host shell bench -- 'apt-get install util-linux'"
    )
    grub = host(boot={"method": "grub-reboot"})
    fedora = replace(bare, facts=bare.facts | {"distribution": "rocky rhel centos fedora"})
    assert one("boot", grub, fedora).way.endswith("'dnf install grub2-tools'")
    other = replace(bare, facts=bare.facts | {"distribution": "nixos"})
    assert one("boot", grub, other).way == "install grub-reboot on the machine"


def test_a_device_that_is_not_there_or_has_no_such_bar(l1: Survey) -> None:
    gone = host(device={"bdf": "0000:01:00.0"})
    assert lacking(gone, l1) == ["device"]
    assert "a power cycle" in one("device", gone, l1).way
    assert lacking(host(device={"bdf": DEVICE, "bar": 1}), l1) == ["BAR"]
    assert lacking(host(device=None), l1) == ["device"]


def test_a_device_in_a_group_with_the_machines_disk_is_refused(l1: Survey) -> None:
    disk = PciDevice("0000:00:02.0", "1af4:1042", "018000", "virtio-pci", "2")
    bridge = PciDevice("0000:00:00.1", "1b36:0008", "060400", "", "2")
    devices = l1.devices | {disk.bdf: disk, bridge.bdf: bridge}
    beside = replace(l1, devices=devices, uses={})
    assert one("IOMMU", host(), beside).detail == "group 2, with 0000:00:02.0"
    used = replace(beside, uses=recorded("x86").uses)
    assert lacking(host(), used) == ["IOMMU"]
    assert "with the disk vda, which is in use" in one("IOMMU", host(), used).detail
    itself = host(device={"bdf": disk.bdf, "bar": 2})
    assert "never taken" in one("IOMMU", itself, used).detail
    none = replace(l1, devices={DEVICE: replace(l1.devices[DEVICE], group="")})
    assert lacking(host(), none) == ["IOMMU"]


def test_kexec_needs_the_kernels_options(l1: Survey) -> None:
    assert lacking(host(), replace(l1, options={"KEXEC_FILE": "y"})) == ["boot"]
    unknown = replace(l1, options={}, facts=l1.facts | {"config": ""})
    assert lacking(host(), unknown) == []  # its run will tell
    efi = host(boot={"method": "efibootmgr"})
    assert lacking(efi, replace(l1, tools=l1.tools | {"efibootmgr"})) == ["boot"]


def test_another_kernel_than_its_own(l1: Survey) -> None:
    check = one("safe kernel", host(boot={"safe": "6.12.0-arm64"}), l1)
    assert (check.state, check.detail) == (
        "missing",
        "6.1.192 runs, its own kernel is 6.12.0-arm64",
    )


def test_a_clock_that_is_years_off_is_no_matter(l1: Survey) -> None:
    clock = one("clock", host(), l1)
    assert clock.state == "note"
    assert "behind: no matter" in clock.detail


def test_tuning(l1: Survey) -> None:
    governed = replace(l1, facts=l1.facts | {"governors": "powersave", "governor": "powersave"})
    assert "figures will vary" in one("governor", host(), governed).detail
    asked = host(tuning={"governor": "performance"})
    assert (
        "no governor performance, there are: powersave" in one("governor", asked, governed).detail
    )
