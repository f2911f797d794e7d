# SPDX-License-Identifier: GPL-2.0-only
"""Which kernel a machine runs, against the image that was sent; as a real guest told it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.hosts.lab.boot.state import MachineState, check_kernel
from harness.hosts.lab.fault import LabError, Step

BANNER = (
    "Linux version 6.1.192 (s2eval@s2eval) (aarch64-linux-gnu-gcc (Debian 12.2.0-14) 12.2.0, "
    "GNU ld (GNU Binutils for Debian) 2.40) #1 SMP 1970-01-01 00:00:00 UTC"
)
NOTES = bytes.fromhex("040000001400000003000000474e55000cd0b713eb8a8c2a494dec88d753dd187a9036a9")
STATE = MachineState(
    boot_id="e282e8e8-00c5-417a-9b0f-79e78fbe7d14",
    release="6.1.192",
    banner=BANNER,
    cmdline="console=ttyAMA0 panic=10 s2eval.boot=54aa",
    notes=NOTES,
    virtual=True,
    kvm="kvm [1]: VHE mode initialized successfully",
)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "Image"
    path.write_bytes(b"code" + BANNER.encode() + b"\n\0rodata" + NOTES + b"\0")
    return path


def test_kernel_that_was_sent_is_taken(image: Path) -> None:
    check_kernel("grace", STATE, image, "54aa", "")
    check_kernel("grace", replace(STATE, cmdline="quiet"), image, "", "")


@pytest.mark.parametrize(
    ("state", "asked", "words"),
    [
        pytest.param(replace(STATE, cmdline="quiet"), "", "booted by somebody else", id="no word"),
        pytest.param(replace(STATE, cmdline="s2eval.boot=1"), "", "with s2eval.boot=1", id="word"),
        pytest.param(replace(STATE, banner=BANNER + " x"), "", "than was sent", id="version"),
        pytest.param(replace(STATE, notes=NOTES[::-1]), "", "than was sent", id="build id"),
        pytest.param(STATE, "kvm-arm.mode=nvhe", "not in the mode nvhe: kvm [1]: VHE", id="mode"),
        pytest.param(
            replace(STATE, kvm=""), "kvm-arm.mode=nested", "mode nested: no KVM", id="no KVM"
        ),
    ],
)
def test_any_other_kernel_is_a_fault_of_the_lab(
    image: Path, state: MachineState, asked: str, words: str
) -> None:
    with pytest.raises(LabError) as raised:
        check_kernel("grace", state, image, "54aa", asked)
    assert raised.value.step is Step.KERNEL
    assert words in raised.value.cause


@pytest.mark.parametrize(
    ("line", "mode"),
    [  # arch/arm64/kvm/arm.c of 6.1 and 7.2
        ("kvm [1]: Hyp mode initialized successfully", "nvhe"),
        ("kvm [1]: Hyp nVHE mode initialized successfully", "nvhe"),
        ("kvm [1]: Protected hVHE mode initialized successfully", "protected"),
        ("kvm [1]: VHE+NV2 mode initialized successfully", "nested"),
    ],
)
def test_each_mode_of_kvm_is_known_by_its_line(image: Path, line: str, mode: str) -> None:
    check_kernel("grace", replace(STATE, kvm=line), image, "54aa", f"kvm-arm.mode={mode}")
    with pytest.raises(LabError):
        check_kernel("grace", STATE, image, "54aa", f"kvm-arm.mode={mode}")
