# SPDX-License-Identifier: GPL-2.0-only
"""User land: L1's disk from Debian's arm64 packages, and the small initramfs of a guest.

Nothing foreign is executed and no root is needed: packages are unpacked and `mke2fs -d` makes the
image. Both are cached by what goes into them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path

from filelock import FileLock

from harness import apt
from harness.errors import BuildError, MachineError
from harness.home import SUITES, cache_dir
from harness.kernel.toolchain import cross_prefix

L1_INIT = Path(__file__).with_name("l1-init.sh")
L1_CONTENTS = Path(__file__).with_name("l1.toml")


def run_tool(command: list[str], what: str, cwd: Path | None = None) -> None:
    """Run a tool; MachineError with its first error, else its last words, when it fails."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise MachineError(
            f"{command[0]} is missing: {what} needs it (see s2eval doctor)"
        ) from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
        told = next((line for line in words if "error:" in line), words[-1])
        raise MachineError(f"{what}: {told}")


def l1_image() -> Path:
    """The ext4 image of L1's root, made when missing; read-only, any number of guests share it.

    Raises MachineError when the packages cannot be had.
    """
    key = hashlib.sha256(L1_CONTENTS.read_bytes() + L1_INIT.read_bytes()).hexdigest()[:16]
    folder = cache_dir("userland")
    image = folder / f"l1-{key}.img"
    if image.is_file():
        return image
    with FileLock(folder / "lock"):
        if not image.is_file():
            with tempfile.TemporaryDirectory(dir=folder, prefix="tmp-") as tmp:
                _make_l1(Path(tmp), image)
    return image


def _make_l1(tmp: Path, image: Path) -> None:
    root = tmp / "root"
    contents = tomllib.loads(L1_CONTENTS.read_text())
    cache = cache_dir("userland", "debs")
    debs = apt.download_closure(contents["packages"], cache, contents["suites"], "arm64")
    for deb in debs:
        apt.unpack(deb, root)
    for unwanted in contents["unwanted"].split():
        path = root / unwanted
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for name in ("proc", "sys", "dev", "run", "tmp", "share", "host", "s2eval/bin"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for applet in contents["applets"].split():
        (root / "s2eval/bin" / applet).symlink_to("/bin/busybox")
    if not (root / "bin/sh").exists():
        (root / "bin/sh").symlink_to("busybox")
    shutil.copyfile(L1_INIT, root / "s2eval/init")
    (root / "s2eval/init").chmod(0o755)
    size = sum(p.stat().st_size + 4096 for p in root.rglob("*") if not p.is_symlink())
    blank = tmp / "image"
    options = ["-O", "^has_journal,^resize_inode", "-m", "0", "-E", "root_owner=0:0"]
    blocks = f"{size * 12 // 10 // 2**20 + 8}M"
    run_tool(
        ["mke2fs", "-q", "-F", "-t", "ext4", *options, "-d", str(root), str(blank), blocks],
        "L1's disk",
    )
    blank.rename(image)


def busybox() -> Path:
    """L1's static busybox, for a shell in L2. MachineError when it cannot be had."""
    image = l1_image()
    binary = cache_dir("userland") / f"busybox-{image.stem}"
    if not binary.is_file():
        part = binary.with_name(f"{binary.name}.{os.getpid()}")
        run_tool(["debugfs", "-R", f"dump /bin/busybox {part}", str(image)], "a shell in L2")
        part.chmod(0o755)
        part.rename(binary)
    return binary


def guest_init() -> Path:
    """The static init of a guest (guest-tests/init). Raises BuildError."""
    return guest_program(SUITES / "init", "init")


def guest_program(folder: Path, name: str) -> Path:
    """The static program `name` of a guest, made of NAME.c in `folder` when it has changed.

    The headers beside the suites are found as `<s2eval/NAME.h>`; one that a program uses counts
    as its source. BuildError with the compiler's first words.
    """
    cross = cross_prefix()
    source, shared = folder / f"{name}.c", folder.parent / "include"
    digest = hashlib.sha256(cross.encode())
    for path in [source, *sorted(shared.rglob("*.h"))]:
        if not path.is_file():
            raise BuildError(f"{path}: no such file")
        digest.update(path.read_bytes() + b"\0")
    cache = cache_dir("programs")
    binary = cache / f"{name}-{digest.hexdigest()[:16]}"
    if binary.is_file():
        return binary
    with FileLock(cache / "lock"), tempfile.TemporaryDirectory(dir=cache) as tmp:
        made = Path(tmp, "program")
        flags = ["-static", "-Os", "-s", "-Wall", "-Werror", f"-I{shared}"]
        try:
            command = [f"{cross}gcc", *flags, "-o", str(made), str(source)]
            run_tool(command, f"the guest's {name}")
        except MachineError as error:
            raise BuildError(str(error)) from None
        made.rename(binary)
    return binary


def initramfs(files: dict[str, Path], script: str) -> Path:
    """A guest's initramfs: init, `files` (name in the guest -> file) and the suite's `script`.

    Cached by contents; a cpio archive in newc format, not compressed (unpacking costs more).
    """
    everything = {"init": guest_init(), **files}
    digest = hashlib.sha256(script.encode())
    for name, path in sorted(everything.items()):
        mode = path.stat().st_mode & 0o111
        digest.update(f"{name} {mode:o}\0".encode() + path.read_bytes())
    folder = cache_dir("initramfs")
    archive = folder / f"{digest.hexdigest()[:16]}.cpio"
    if archive.is_file():
        return archive
    with FileLock(folder / "lock"), tempfile.TemporaryDirectory(dir=folder) as tmp:
        root = Path(tmp, "root")
        for name, path in everything.items():
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        (root / "init").chmod(0o755)
        (root / "suite").write_text(script)
        for name in ("proc", "sys", "dev", "tmp"):
            (root / name).mkdir()
        made = Path(tmp, "archive")
        names = sorted(str(p.relative_to(root)) for p in root.rglob("*"))
        _cpio(root, names, made)
        made.rename(archive)
    return archive


def _cpio(root: Path, names: list[str], archive: Path) -> None:
    command = ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0", "-F", str(archive)]
    try:
        done = subprocess.run(
            command, cwd=root, input="\n".join(names), capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise MachineError(
            "cpio is missing: a guest's initramfs needs it (s2eval doctor)"
        ) from None
    if done.returncode:
        raise MachineError(f"the guest's initramfs: cpio: {done.stderr.strip()}")
