# SPDX-License-Identifier: GPL-2.0-only
"""Command lines and files of a guest: for the harness's own runs, for a shell, for a script."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import UsageError
from harness.hosts.l1.host import bind_script
from harness.hosts.l1.userland import l1_root
from harness.hosts.machines.machine import Machine, render
from harness.hosts.qemu.binary import QemuBinary
from harness.hosts.qemu.trace_options import trace_options

Chardev = Callable[[str], str]
BAR_SIZE = 4 * 1024 * 1024  # bytes; the size in qemu-configs/common.j2
# L2's emulated serial port is slow, each character is an exit: its kernel log comes at the end,
# through a port of its own. Its init waits for the answers to audit requests.
L2_APPEND = "quiet loglevel=4 s2eval.audit=1"


@dataclass(frozen=True)
class GuestFiles:
    """What a guest is started with; `folder` is a temporary folder of its own.

    `ram` is a file with the memory of a machine that was saved (harness/hosts/l1/saved.py).
    """

    folder: Path
    image: Path
    archive: Path
    ram: str = ""

    @property
    def bar(self) -> Path:
        return self.folder / "bar"

    @property
    def trace(self) -> Path:
        """What QEMU tells of the device's accesses (harness/hosts/qemu/trace_options.py)."""
        return self.folder / "trace"

    @property
    def share(self) -> Path:
        return self.folder / "share"


def l2_port(name: str) -> str:
    """L2's chardevs when the harness listens: L1's virtio ports."""
    kind = "pipe" if name in ("results", "monitor") else "file"
    return f"{kind},id={name},path=/run/ports/l2.{name}"


def l2_script(
    machine: Machine,
    chardev: Chardev = l2_port,
    append: str = L2_APPEND,
    initrd: str = "initrd",
    more: Sequence[str] = (),
    *,
    monitor: bool = False,
) -> str:
    """Shell for L1: give the device to vfio-pci and become L2's QEMU.

    `initrd` is the name of L2's initramfs in the shared folder, `more` are arguments of its QEMU,
    which with `monitor` waits until it is told to begin.
    """
    if machine.l2 is None:
        raise UsageError(f"machine {machine.name} is nested but has no [l2] table")
    arguments = render(
        machine.l2.template,
        machine,
        chardev=chardev,
        files={
            "device_bdf": machine.device_bdf,
            "initrd": f"/share/{initrd}",
            "monitor": "1" if monitor else "",
        },
        append=append,
    )
    vmm = shlex.join(["qemu-system-aarch64", *arguments, *more])
    return f"{bind_script(machine.device_bdf, 'vfio-pci')}exec {vmm}\n"


def folder_options(path: Path, name: str) -> list[str]:
    """QEMU's options for a folder that the guest mounts as 9p `name`, writable."""
    return [
        "-fsdev",
        f"local,id={name},path={str(path).replace(',', ',,')},security_model=none",
        "-device",
        f"virtio-9p-pci,fsdev={name},mount_tag={name}",
    ]


def make_files(machine: Machine, files: GuestFiles, l2: str | None = None) -> None:
    """Make the BAR's file, and for a nested machine the folder L1 sees as /share."""
    with files.bar.open("wb") as bar:
        bar.truncate(BAR_SIZE)
    if machine.topology != "nested":
        return
    files.share.mkdir()
    shutil.copyfile(files.image, files.share / "Image")
    shutil.copyfile(files.archive, files.share / "initrd")
    (files.share / "l2").write_text(l2 or l2_script(machine))


def command_line(
    machine: Machine,
    qemu: QemuBinary,
    files: GuestFiles,
    chardev: Chardev,
    *,
    gdb_socket: Path | None = None,
    append: str = "",
    userland: bool = False,
    monitor: bool = False,
) -> list[str]:
    """QEMU's whole command line; with `gdb_socket` also a monitor, the gdb stub and the trace.

    `userland` boots a flat machine into L1's user land instead of the suite's initramfs, `monitor`
    gives the harness one of L2's QEMU.
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
            "rootfs": l1_root() if userland or machine.topology == "nested" else "",
            "gdb_socket": gdb_socket or "",
            "monitor": "1" if monitor else "",
            "ram": files.ram,
        },
        append=f"{machine.append} {append}".strip(),
        control=gdb_socket is not None,
    )
    traced = bool(machine.device.traced) and gdb_socket is not None
    trace = trace_options(files.trace) if traced else []
    return [str(qemu.path), *qemu.args, *arguments, *trace]
