# SPDX-License-Identifier: GPL-2.0-only
"""Check that a QEMU has all that a machine asks for, with placeholders for kernel and files."""

from __future__ import annotations

from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.scratch import scratch_folder
from harness.guests.placement import placement_of
from harness.guests.vmm import vmm_of
from harness.hosts.machines.machine import Machine
from harness.hosts.qemu.binary import QemuBinary
from harness.hosts.qemu.command import BootFiles, command_line
from harness.hosts.qemu.start_check import MONITOR, why_no_start_of

PLACEHOLDER_SIZE = (
    4096  # bytes; QEMU loads any content as a kernel or an initramfs, but no empty file
)


def why_no_start(machine: Machine, qemu: QemuBinary, deadline: Deadline) -> str:
    """Start `machine`'s QEMU for a moment; return QEMU's own message when it fails, else "".

    The guest does not run, and QEMU is gone when this returns. Raise UsageError when a template
    of the machine, or of its L2, cannot be filled.
    """
    placement = placement_of(machine)
    placement.guest_script(machine, vmm_of(machine).port, "")
    with scratch_folder("s2eval-start-") as folder:
        placeholder = folder / "placeholder"
        placeholder.write_bytes(bytes(PLACEHOLDER_SIZE))
        root = placeholder if placement.needs_userland else None
        files = BootFiles(folder, placeholder, placeholder, rootfs=root)
        files.make_bar()
        files.share.mkdir()
        command = command_line(
            machine,
            qemu,
            files,
            _chardev,
            gdb_socket=Path(folder, "gdb"),
            monitor=placement.has_guest,
        )
        return why_no_start_of(command, deadline)


def _chardev(name: str) -> str:
    """Return a channel's chardev: standard input and output for the monitor, else none."""
    return f"stdio,id={name},signal=off" if name == MONITOR else f"null,id={name}"
