# SPDX-License-Identifier: GPL-2.0-only
"""Checks of this computer's KVM: does it run arm64 guests, and guests with an EL2 of their own."""

from __future__ import annotations

import fcntl
import os
import platform
from pathlib import Path

DEVICE = Path("/dev/kvm")
KVM_CHECK_EXTENSION = 0xAE03  # _IO(KVMIO, 0x03), include/uapi/linux/kvm.h
KVM_CAP_ARM_EL2 = 240  # include/uapi/linux/kvm.h


def why_no_kvm(device: Path = DEVICE, machine: str = "") -> str | None:
    """Return why KVM cannot run arm64 guests here, or None when it can.

    `machine` is the host's architecture, by default this one's.
    """
    machine = machine or platform.machine()
    if machine not in ("aarch64", "arm64"):
        return f"KVM runs arm64 guests on arm64 hosts only, this one is {machine}"
    if not device.exists():
        return f"{device} is missing: this kernel has no KVM, or runs as a guest without EL2"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"{device} may not be opened by this user: sudo usermod -aG kvm $USER, log in again"
    return None


def why_no_nested_kvm(device: Path = DEVICE, machine: str = "") -> str | None:
    """Return why a KVM guest here cannot have EL2 (QEMU's `virtualization=on`), None if it can."""
    if reason := why_no_kvm(device, machine):
        return reason
    try:
        allowed = check_extension(device, KVM_CAP_ARM_EL2)
    except OSError as error:
        return f"{device}: {error.strerror}"
    if not allowed:
        return (
            "this host's KVM has no nested virtualisation: it needs a CPU with FEAT_NV2, Linux "
            "6.16 or newer and kvm-arm.mode=nested on its command line"
        )
    return None


def check_extension(device: Path, capability: int) -> int:
    """Return KVM_CHECK_EXTENSION's value for `capability` (Documentation/virt/kvm/api.rst, 4.4).

    0 means that the capability is not there. Raise OSError when `device` cannot be asked.
    """
    handle = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(handle, KVM_CHECK_EXTENSION, capability)
    finally:
        os.close(handle)
