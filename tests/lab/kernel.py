# SPDX-License-Identifier: GPL-2.0-only
"""The stand-in's own kernel: Debian 12's, as most machines in labs have such a one.

It is the distribution's package: nothing is built, and it loads no files for kexec
(CONFIG_KEXEC_FILE is off there), so that kexec-tools is needed as on such a machine.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.base.apt import download, unpack
from harness.base.deadline import Deadline
from harness.base.locks import locked
from harness.base.paths import cache_dir
from harness.base.process import run_tool

META, SUITES = "linux-image-arm64", ["bookworm"]
PATIENCE = 1800.0  # seconds for another one who fetches it
# What the stand-in's devices need, in the order of their dependencies.
MODULES = (
    "lib/crc16",
    "crypto/crc32c_generic",
    "fs/mbcache",
    "fs/jbd2/jbd2",
    "fs/ext4/ext4",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
    "drivers/block/virtio_blk",
)


@dataclass(frozen=True)
class SafeKernel:
    """The kernel that the stand-in boots by itself, below `folder`; `release` is `uname -r`."""

    folder: Path
    release: str

    @property
    def image(self) -> Path:
        """Return the Image."""
        return self.folder / f"boot/vmlinuz-{self.release}"

    @property
    def config(self) -> Path:
        """Return its configuration."""
        return self.folder / f"boot/config-{self.release}"

    def modules(self) -> list[Path]:
        """Return the modules to load, in their order."""
        folder = self.folder / f"lib/modules/{self.release}/kernel"
        return [folder / f"{name}.ko" for name in MODULES]


def safe_kernel() -> SafeKernel:
    """Return the kernel, fetched when it is not in the cache. Raise MachineError."""
    cache = cache_dir("standin")
    with locked(cache / "lock", "the stand-in's kernel", Deadline(PATIENCE)):
        for folder in sorted(cache.glob("linux-image-*")):
            return SafeKernel(folder, folder.name.removeprefix("linux-image-"))
        with tempfile.TemporaryDirectory(dir=cache, prefix="tmp-") as tmp:
            (meta,) = download([META], Path(tmp), SUITES, "arm64")
            depends = run_tool(["dpkg-deb", "-f", str(meta), "Depends"], "the kernel's package")
            found = re.search(r"linux-image-(\S+)", depends)
            assert found, depends
            (package,) = download([found[0]], Path(tmp), SUITES, "arm64")
            unpack(package, Path(tmp, "made"))
            Path(tmp, "made").rename(cache / found[0])
        return SafeKernel(cache / found[0], found[1])
