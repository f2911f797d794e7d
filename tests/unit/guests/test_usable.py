# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel, a suite and a machine need of each other; measured CPU models are real ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.guests import usable
from harness.guests.calibrate import machine as calibrated
from harness.guests.usable import Needs, Offers, needs_of, offers_of, unmet, why_not
from harness.hosts.machines.machine import Machine, load_machine
from harness.hosts.qemu.binary import QemuBinary
from harness.kernel.spec import KernelSpec, resolve
from harness.suites.suite import Suite, load_suite

QEMU = QemuBinary(Path("/bin/sh"), (), "10.0.2", (10, 0, 2))
OFFERS = Offers("ivshmem-plain", "qemu", el2=True, memory_mib=128, label="cortex-a72")


@pytest.fixture
def with_16k(tmp_path: Path) -> KernelSpec:
    fragment = tmp_path / "16k.config"
    fragment.write_text(
        "# CONFIG_ARM64_4K_PAGES is not set\nCONFIG_ARM64_16K_PAGES=y # since 6.1\n"
    )
    spec = resolve("debian-6.1")
    return spec.model_copy(update={"fragments": (*spec.fragments, str(fragment))})


def suite(**requires: object) -> Suite:
    values = {"name": "s", "folder": Path(), "description": "", "script": "", "requires": requires}
    return Suite.model_validate(values)


@pytest.mark.parametrize(
    ("needs", "why"),
    [
        (Needs(), []),
        (Needs("4K", ("ivshmem-plain", "nvme"), ("qemu",), el2=True, memory_mib=128), []),
        (Needs("16K"), ["the kernel has 16K pages, cortex-a72 has 4K (measured)"]),
        (Needs(devices=("nvme",)), ["the suite cannot drive the device ivshmem-plain"]),
        (Needs(vmms=("a", "b")), ["the suite needs the VMM a or b, the machine has qemu"]),
        (
            Needs(places=("host",)),
            ["the suite runs on machines with the topology host, this one's is nested"],
        ),
        (Needs(memory_mib=256), ["the suite needs 256 MiB, its guest has 128"]),
    ],
)
def test_each_need(needs: Needs, why: list[str]) -> None:
    assert list(unmet(needs, OFFERS)) == why


def test_a_machine_without_el2_or_a_vmm() -> None:
    found = list(unmet(Needs(vmms=("qemu",), el2=True), offers_of(load_machine("flat-tcg"))))
    assert found == [
        "the suite needs the VMM qemu, the machine has no VMM: the suite runs in L1 itself",
        "the suite needs EL2, which this machine's CPU has not",
    ]


def test_what_kernel_and_suite_say(with_16k: KernelSpec) -> None:
    wanted = suite(el2=True, vmm=["qemu"], memory_mib=64)
    assert needs_of(with_16k, wanted) == Needs("16K", (), ("qemu",), el2=True, memory_mib=64)
    assert needs_of(resolve("debian-6.1"), suite()).granule == "4K"


@dataclass
class Facts:
    granules: str
    s2_granules: str


@dataclass
class Measured:
    facts: Facts
    label: str = "QEMU 10.0 with it"


@pytest.mark.parametrize(
    ("machine", "facts", "why"),
    [
        ("nested-tcg", Facts("4K,16K", "4K,16K"), None),
        ("nested-tcg", Facts("4K,16K", "4K"), "QEMU 10.0 with it has 4K (measured)"),
        ("flat-tcg", Facts("4K,16K", "no EL2"), None),
        ("flat-tcg", Facts("4K,64K", "no EL2"), "QEMU 10.0 with it has 4K and 64K (measured)"),
    ],
)
def test_a_kernel_with_other_pages_is_measured_for(
    monkeypatch: pytest.MonkeyPatch, with_16k: KernelSpec, machine: str, facts: Facts, why: str
) -> None:
    monkeypatch.setattr(calibrated, "calibrate_machine", lambda *_: Measured(facts))
    reason = why_not(with_16k, load_machine(machine), suite(), QEMU)
    assert reason == (f"the kernel has 16K pages, {why}" if why else None)


def test_a_kernel_with_4k_pages_costs_no_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("nobody asked")

    monkeypatch.setattr(calibrated, "calibrate_machine", never)
    kernel, wanted = resolve("debian-6.1"), load_suite("wcprobe")
    assert why_not(kernel, load_machine("nested-tcg"), wanted, QEMU) is None
    other = load_machine("flat-tcg-edu")
    assert why_not(kernel, other, wanted, QEMU) == "the suite cannot drive the device edu"


def test_a_machine_that_this_host_cannot_run_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def first(_: Machine, __: QemuBinary | None = None) -> str:
        return "no KVM"

    monkeypatch.setattr(usable, "unusable", first)
    assert why_not(resolve("debian-6.1"), load_machine("flat-kvm"), suite(), QEMU) == "no KVM"
