# SPDX-License-Identifier: GPL-2.0-only
"""The command line of a machine's own QEMU, and the files that QEMU is started with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.hosts.machines.machine import Machine, render
from harness.hosts.qemu.binary import QemuBinary
from harness.hosts.qemu.trace_options import trace_options

Chardev = Callable[[str], str]
BAR_SIZE = 4 * 1024 * 1024  # bytes; the size in qemu-configs/common.j2


@dataclass(frozen=True)
class BootFiles:
    """The files that QEMU is started with; `folder` is a temporary folder of this QEMU.

    `archive` is the initramfs with the suite. `rootfs` is the archive with L1's root, which QEMU
    boots in its place; None where L1 runs the suite itself. `ram` is a file with the memory of a
    machine that is saved or restored (harness/hosts/l1/saved.py).
    """

    folder: Path
    image: Path
    archive: Path
    ram: str = ""
    rootfs: Path | None = None

    @property
    def bar(self) -> Path:
        """Return the file that is the memory of a device with `host_file`."""
        return self.folder / "bar"

    @property
    def trace(self) -> Path:
        """Return the file for the trace of the device's accesses (trace_options.py)."""
        return self.folder / "trace"

    @property
    def coverage(self) -> Path:
        """Return the file for the record of executed instructions (harness/hosts/coverage)."""
        return self.folder / "coverage"

    @property
    def share(self) -> Path:
        """Return the folder that L1 mounts as /share."""
        return self.folder / "share"

    def make_bar(self) -> None:
        """Make the file `bar`, BAR_SIZE bytes of zeros. Raise OSError when it cannot be written."""
        with self.bar.open("wb") as bar:
            bar.truncate(BAR_SIZE)


def folder_options(path: Path, name: str) -> list[str]:
    """Return QEMU's options for a folder that the guest mounts as 9p `name`, writable."""
    return [
        "-fsdev",
        f"local,id={name},path={str(path).replace(',', ',,')},security_model=none",
        "-device",
        f"virtio-9p-pci,fsdev={name},mount_tag={name}",
    ]


def command_line(
    machine: Machine,
    qemu: QemuBinary,
    files: BootFiles,
    chardev: Chardev,
    *,
    gdb_socket: Path | None = None,
    append: str = "",
    monitor: bool = False,
    more: Sequence[str] = (),
) -> list[str]:
    """Return QEMU's whole command line, with `more` at its end.

    With `gdb_socket` QEMU has a monitor, the gdb stub and the trace as well; with `monitor` the
    machine has a channel for the monitor of L2's QEMU. Raise UsageError when a template of the
    machine cannot be filled.
    """
    arguments = render(
        machine.template,
        machine,
        chardev=chardev,
        files={
            "image": files.image,
            "initrd": files.archive,
            "bar_file": files.bar,
            "share": files.share,
            "rootfs": files.rootfs or "",
            "gdb_socket": gdb_socket or "",
            "monitor": "1" if monitor else "",
            "ram": files.ram,
        },
        append=f"{machine.append} {append}".strip(),
        control=gdb_socket is not None,
    )
    traced = bool(machine.device.traced) and gdb_socket is not None
    trace = trace_options(files.trace) if traced else []
    return [str(qemu.path), *qemu.args, *arguments, *trace, *more]
