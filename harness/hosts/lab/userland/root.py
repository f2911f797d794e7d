# SPDX-License-Identifier: GPL-2.0-only
"""The root of s2eval's own user land for lab machines, from Debian's arm64 packages.

It is an initramfs archive, cached by what goes into it, the same for all machines: what belongs to
one of them (host keys, network) is added on that machine and never leaves it.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.locks import locked
from harness.base.paths import cache_dir, own_program
from harness.hosts.l1 import stub_library, userland
from harness.hosts.l1.userland import (
    BUSYBOX,
    L1_CONTENTS,
    ROOT_SECONDS,
    add_applets,
    copy_programs,
    guest_program,
    make_cpio,
    unpack_packages,
)

FOLDER = Path(__file__).parent
CONTENTS, INIT, SUDO = FOLDER / "contents.toml", FOLDER / "init.sh", FOLDER / "sudo.sh"
SSHD_CONFIG = FOLDER / "sshd_config"
KEXEC = "s2eval/bin/kexec"  # in the root
_NO_LOGIN = "*:99:99::/var/empty:/bin/false"
PASSWD = f"root:*:0:0:root:/root:/bin/sh\nsshd:{_NO_LOGIN}\n"
GROUP = "root:x:0:\nsshd:x:99:\n"


@dataclass(frozen=True)
class LabRoot:
    """The made root: `archive` is the initramfs, `tree` a folder with the same files.

    `busybox` and `kexec` are static programs for any arm64 machine.
    """

    folder: Path

    @property
    def archive(self) -> Path:
        """Return the initramfs."""
        return self.folder / "root.cpio"

    @property
    def busybox(self) -> Path:
        """Return the static busybox."""
        return self.folder / "busybox"

    @property
    def kexec(self) -> Path:
        """Return the program that loads and runs a kernel (guest-tests/init/kexec.c)."""
        return self.folder / "kexec"

    @property
    def digest(self) -> str:
        """Return the hash of all that has gone into the root."""
        return self.folder.name.rpartition("-")[2]


def lab_root() -> LabRoot:
    """Return the root, made when it is not in the cache.

    Raise MachineError when the packages cannot be had, BuildError when kexec does not compile.
    """
    kexec = guest_program(own_program("init"), "kexec")
    digest = hashlib.sha256(kexec.name.encode())
    sources = (*sorted(FOLDER.iterdir()), L1_CONTENTS, *map(_file, (stub_library, userland)))
    for source in sources:
        if source.is_file():
            digest.update(source.read_bytes())
    folder = cache_dir("userland") / f"lab-{digest.hexdigest()[:16]}"
    if folder.is_dir():
        return LabRoot(folder)
    with (
        locked(folder.parent / "lock", "the user land of lab machines", Deadline(ROOT_SECONDS)),
        tempfile.TemporaryDirectory(dir=folder.parent, prefix="tmp-") as tmp,
    ):
        if not folder.is_dir():
            made = Path(tmp, "made")
            made.mkdir()
            make_tree(Path(tmp, "root"), kexec)
            make_cpio(Path(tmp, "root"), made / "root.cpio")
            shutil.copy(Path(tmp, "root", BUSYBOX), made / "busybox")
            shutil.copy(kexec, made / "kexec")
            made.rename(folder)
    return LabRoot(folder)


def make_tree(root: Path, kexec: Path) -> None:
    """Make the files of the root in the folder `root`. Raise the errors of lab_root()."""
    l1 = tomllib.loads(L1_CONTENTS.read_text(encoding="utf-8"))
    lab = tomllib.loads(CONTENTS.read_text(encoding="utf-8"))
    whole = set(lab["whole"])
    l1["stubs"] = " ".join(name for name in l1["stubs"].split() if name not in whole)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix="packages-") as packages:
        unpack_packages([*l1["packages"], *lab["packages"]], l1["suites"], Path(packages))
        copy_programs(Path(packages), root, l1, [*l1["programs"], *lab["programs"]])
    add_applets(root, sorted({*l1["applets"].split(), *lab["applets"].split()}))
    for name in lab["folders"]:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\n")
    for source, target in ((INIT, "init"), (SUDO, "s2eval/bin/sudo"), (kexec, KEXEC)):
        shutil.copy(source, root / target)
        (root / target).chmod(0o755)
    shutil.copy(SSHD_CONFIG, root / "s2eval/sshd_config")


def _file(module: object) -> Path:
    return Path(str(getattr(module, "__file__", "")))
