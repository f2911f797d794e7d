# SPDX-License-Identifier: GPL-2.0-only
"""The stand-in of a lab machine: a VM under TCG, reached as a real machine is.

It has what such a machine has: a system with sshd and host keys, a disk, a distribution's kernel, a
serial console and a power switch behind commands (switch.py), an SMMU, and a PCI device to be
tested.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.base.deadline import Deadline
from harness.base.process import run_tool
from harness.hosts.l1.userland import make_cpio
from harness.hosts.lab import hostfile
from harness.hosts.lab.fault import LabError
from harness.hosts.lab.link import Link
from harness.hosts.lab.userland.root import lab_root
from harness.hosts.qemu.binary import find_qemu
from tests.lab import switch
from tests.lab.kernel import SafeKernel, safe_kernel

MAC = "52:54:00:12:34:56"
NETWORK = f"address {MAC} 1500 0 10.0.2.15/24\nroute {MAC} 0 10.0.2.2\n"  # QEMU's user network
DISK_MIB = 512
BAR_MIB = 4
BDF = "0000:00:10.0"
# A redistributor whose LPIs are on keeps its tables (GICR_CTLR.EnableLPIs). EFI tells the next
# kernel where they are; without it kexec overwrites them. So there is no ITS, and vfio, which
# then sees no isolation of interrupts, must be told to go on.
MACHINE = "virt,gic-version=3,its=off,virtualization=on,iommu=smmuv3"
ARGS = "console=ttyAMA0 vfio_iommu_type1.allow_unsafe_interrupts=1"
CPU = "cortex-a76"  # on `max`, kexec of some kernels oopses (52-bit VA)
# The system is in memory, what is written to the disk stays.
OWN_INIT = """#!/bin/busybox sh
export PATH=/s2eval/bin:/bin
for module in /modules/*; do insmod "$module"; done
mount -t devtmpfs devtmpfs /dev
mkdir -p /var/lib
mount -t ext4 /dev/vda /var/lib
exec /init
"""
ATTEMPT = 10.0  # seconds for one connection
ENDING = 10.0  # seconds for QEMU to end


@dataclass
class StandIn:
    """The stand-in whose files are in `folder`; `port` is where its SSH is on 127.0.0.1.

    `append` is added to its own kernel's command line, `options` to QEMU's.
    """

    folder: Path
    name: str = "standin"
    cpu: str = CPU
    memory_mib: int = 2048
    append: str = ""
    options: Sequence[str] = ()
    port: int = 0
    _qemu: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def host_file(self) -> Path:
        """Return the file for s2eval that describes the machine."""
        return self.folder / f"{self.name}.toml"

    def make(self) -> None:
        """Make its keys, its disk and its host's file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or _free_port()
        kernel = safe_kernel()
        host_key, user_key = _key(), _key()
        (self.folder / "key").write_bytes(_private(user_key))
        (self.folder / "key").chmod(0o600)
        known = f"[127.0.0.1]:{self.port} {_public(host_key)}\n"
        (self.folder / "known_hosts").write_text(known)
        with tempfile.TemporaryDirectory(dir=self.folder) as tmp:
            own, archive = Path(tmp, "own"), Path(tmp, "archive")
            self._furnish(own, kernel, host_key, user_key)
            make_cpio(own, archive)
            system = lab_root().archive.read_bytes() + archive.read_bytes()
        (self.folder / "system").write_bytes(system)
        disk = self.folder / "disk"
        disk.unlink(missing_ok=True)
        mke2fs = shutil.which("mke2fs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or "mke2fs"
        run_tool([mke2fs, "-q", "-t", "ext4", str(disk), f"{DISK_MIB}M"], "the stand-in's disk")
        (self.folder / "Image").unlink(missing_ok=True)
        (self.folder / "Image").symlink_to(kernel.image)
        self.host_file.write_text(self._host(kernel.release))

    def _furnish(
        self,
        root: Path,
        kernel: SafeKernel,
        host_key: Ed25519PrivateKey,
        user_key: Ed25519PrivateKey,
    ) -> None:
        """Write what is the machine's own into `root`: keys, network, modules, configuration."""
        for name in ("boot", "etc/ssh", "root/.ssh", "s2eval", "modules"):
            (root / name).mkdir(parents=True)
        key_file = root / "etc/ssh/ssh_host_ed25519_key"
        key_file.write_bytes(_private(host_key))
        key_file.chmod(0o600)
        for name in ("root/.ssh", "s2eval"):
            (root / name / "authorized_keys").write_text(_public(user_key) + "\n")
        (root / "s2eval/network").write_text(NETWORK)
        for number, module in enumerate(kernel.modules()):
            shutil.copy(module, root / f"modules/{number:02}-{module.name}")
        shutil.copy(kernel.config, root / "boot")
        (root / "standin").write_text(OWN_INIT)
        (root / "standin").chmod(0o755)

    def _host(self, version: str) -> str:
        command = shlex.join([sys.executable, switch.__file__])
        folder = shlex.quote(str(self.folder))
        lines = [
            "# SPDX-License-Identifier: GPL-2.0-only",
            'description = "stand-in: a VM under TCG"',
            f'address = "root@127.0.0.1:{self.port}"',
            f'key = "{self.folder / "key"}"',
            f'known_hosts = "{self.folder / "known_hosts"}"',
            'ssh_config = ""',
            f'console = "{command} console {folder}"',
            "virtual = true",
            "[power]",
            *(f'{do} = "{command} power {folder} {do}"' for do in ("on", "off", "cycle", "status")),
            "[device]",
            f'bdf = "{BDF}"',
            "bar = 2",
            'pci = "1af4:1110"',
            'like = "ivshmem-plain"',
            'writable = "all"',
            "[boot]",
            f'safe = "{version}"',
            f'args = "{ARGS}"',
        ]
        return "\n".join(lines) + "\n"

    def command(self) -> list[str]:
        """Return QEMU's command line."""
        qemu = find_qemu()
        append = f"console=ttyAMA0 rdinit=/standin panic=5 {self.append}".strip()
        return [
            str(qemu.path), *qemu.args,
            *("-name", f"s2eval-{self.name}", "-nodefaults", "-no-user-config", "-display", "none"),
            *("-machine", MACHINE, "-accel", "tcg"),
            *("-cpu", self.cpu, "-smp", "2", "-m", str(self.memory_mib), "-no-shutdown"),
            *("-chardev", f"socket,id=serial,path={self.folder}/serial,server=on,wait=off"),
            *("-serial", "chardev:serial"),
            *("-chardev", f"socket,id=qmp,path={self.folder}/qmp,server=on,wait=off"),
            *("-mon", "chardev=qmp,mode=control"),
            *("-drive", f"if=none,id=disk,format=raw,file={self.folder}/disk"),
            *("-device", "virtio-blk-pci,drive=disk,addr=2"),
            *("-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22"),
            *("-device", f"virtio-net-pci,netdev=net,mac={MAC},addr=3,romfile="),
            *("-object", f"memory-backend-file,id=bar,size={BAR_MIB}M,share=on,"
              f"mem-path={self.folder}/bar"),
            *("-device", "ivshmem-plain,memdev=bar,master=on,addr=0x10"),
            *("-kernel", str(self.folder / "Image"), "-initrd", str(self.folder / "system")),
            *("-append", append),
            *self.options,
        ]  # fmt: skip

    def start(self) -> None:
        """Start QEMU, in the background; its messages are in the file `qemu.log`."""
        with (self.folder / "bar").open("ab") as bar:
            bar.truncate(BAR_MIB << 20)
        with (self.folder / "qemu.log").open("ab") as log:
            self._qemu = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        (self.folder / "pid").write_text(f"{self._qemu.pid}\n")

    def wait_up(self, deadline: Deadline) -> None:
        """Wait until SSH answers. Raise the last LabError when it does not."""
        host = hostfile.read(self.host_file)
        while True:
            try:
                with Link(host) as link:
                    link.connect(deadline.at_most(ATTEMPT))
                return
            except LabError:
                if deadline.over or not self.pid:
                    raise

    def power(self, action: str) -> None:
        """Use the power switch: on, off or cycle."""
        switch.power(self.folder, action)

    @property
    def pid(self) -> int:
        """Return QEMU's process id, 0 when it does not run."""
        with suppress(OSError, ValueError):
            pid = int((self.folder / "pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            return pid if str(self.folder).encode() in command else 0
        return 0

    def stop(self) -> None:
        """End QEMU; do nothing when it does not run."""
        if pid := self.pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            end = time.monotonic() + ENDING
            while self.pid and not (self._qemu and self._qemu.poll() is not None):
                if time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
                    break
                time.sleep(0.05)
        if self._qemu:
            self._qemu.wait()
            self._qemu = None
        (self.folder / "pid").unlink(missing_ok=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def _private(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )


def _public(key: Ed25519PrivateKey) -> str:
    form = serialization.PublicFormat.OpenSSH
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH, form).decode()
