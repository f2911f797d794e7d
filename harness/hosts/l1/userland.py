# SPDX-License-Identifier: GPL-2.0-only
"""User land: the root of L1 from Debian's arm64 packages, and the small initramfs of a guest.

Both are initramfs archives, cached by what goes into them. No program of the packages is executed
here and no root rights are needed. The kernel unpacks L1's root into memory while it boots: QEMU
in L1 starts from there in two thirds of the time that it takes from an emulated disk.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from harness.base import apt
from harness.base.deadline import Deadline
from harness.base.errors import BuildError, MachineError
from harness.base.locks import locked
from harness.base.paths import cache_dir, header_folders, own_program, shared_headers
from harness.base.process import TOOL_SECONDS, run_tool
from harness.hosts.l1 import stub_library
from harness.kernel.toolchain import cross_prefix, toolchain

L1_CONTENTS = Path(__file__).with_name("l1.toml")
BUSYBOX = "bin/busybox"
ROOT_SECONDS = 2 * 3600.0  # for another process that fetches the packages


def l1_root() -> Path:
    """Return the archive with L1's root, made when it is not in the cache.

    Raise MachineError when the packages cannot be had, BuildError when init does not compile.
    """
    return _l1() / "root.cpio"


def busybox() -> Path:
    """Return L1's static busybox, for a shell in L2. Raise the errors of l1_root()."""
    return _l1() / "busybox"


def _l1() -> Path:
    """Return the folder made of L1's packages; its name has a hash of all that goes into it."""
    init = guest_program(own_program("init"), "l1")
    digest = hashlib.sha256(init.name.encode())
    for source in (L1_CONTENTS, Path(stub_library.__file__), Path(__file__)):
        digest.update(source.read_bytes())
    folder = cache_dir("userland") / f"l1-{digest.hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    with (
        locked(folder.parent / "lock", "L1's root", Deadline(ROOT_SECONDS)),
        tempfile.TemporaryDirectory(dir=folder.parent, prefix="tmp-") as tmp,
    ):
        if not folder.is_dir():
            _make_l1(Path(tmp), init)
            (Path(tmp) / "made").rename(folder)
    return folder


def _make_l1(tmp: Path, init: Path) -> None:
    """Make the files of L1's folder in `tmp`/made."""
    packages, root, target = tmp / "packages", tmp / "root", tmp / "made"
    contents = tomllib.loads(L1_CONTENTS.read_text())
    unpack_packages(contents["packages"], contents["suites"], packages)
    copy_programs(packages, root, contents, contents["programs"])
    add_applets(root, contents["applets"].split())
    for name in ("proc", "sys", "dev", "run", "tmp", "share", "host"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(init, root / "init")
    target.mkdir()
    make_cpio(root, target / "root.cpio")
    shutil.copy(root / BUSYBOX, target / "busybox")


def unpack_packages(names: Sequence[str], suites: list[str], folder: Path) -> None:
    """Unpack Debian's arm64 packages, with all that they depend on, into `folder`.

    Raise MachineError when they cannot be had.
    """
    cache = cache_dir("userland", "debs")
    for deb in apt.download_closure(list(names), cache, suites, "arm64"):
        apt.unpack(deb, folder)


def copy_programs(
    packages: Path, root: Path, contents: Mapping[str, Any], programs: Sequence[str]
) -> None:
    """Copy programs, and the libraries that they load, from `packages` into `root`.

    The libraries that `contents` calls stubs are replaced by such. Raise MachineError when no
    package has a library.
    """
    stubs, called = contents["stubs"].split(), contents["called"]
    emulator = packages / contents["programs"][-1]
    for name in _with_libraries(packages, programs, stubs):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if Path(name).name in stubs:
            stub_library.make_stub(packages / name, emulator, called, root / name)
        else:
            shutil.copy(packages / name, root / name)


def add_applets(root: Path, applets: Iterable[str]) -> None:
    """Link busybox's `applets`, and the shell, into `root`."""
    (root / "s2eval/bin").mkdir(parents=True, exist_ok=True)
    for applet in applets:
        (root / "s2eval/bin" / applet).symlink_to(f"/{BUSYBOX}")
    (root / "bin/sh").symlink_to("busybox")


def _with_libraries(packages: Path, programs: Iterable[str], stubs: Collection[str]) -> list[str]:
    """Return `programs` and all that ld.so loads for them, by their names below `packages`.

    Libraries that only those in `stubs` load are left out. Raise MachineError when no package has
    a library.
    """
    libraries = {path.name: path for path in packages.rglob("*.so*") if path.is_file()}
    names: dict[str, None] = {}
    left = list(programs)
    while left:
        name = left.pop()
        if name in names:
            continue
        names[name] = None
        if Path(name).name in stubs:
            continue
        for wanted in stub_library.linked(packages / name):
            path = packages / wanted.lstrip("/") if "/" in wanted else libraries.get(wanted)
            if path is None or not path.is_file():
                raise MachineError(f"L1's root: no package has {wanted} of {name}")
            left.append(str(path.relative_to(packages)))
    return list(names)


def guest_init() -> Path:
    """Return the static init of a guest (guest-tests/init). Raise the errors of guest_program()."""
    return guest_program(own_program("init"), "init")


def guest_program(folder: Path, name: str) -> Path:
    """Return the static program `name` of a guest, made of NAME.c in `folder` when that changed.

    The headers that suites share are found as `<s2eval/NAME.h>`; they count as source, as do the
    headers in `folder` and the compiler's version. Raise BuildError with the compiler's first
    error, MachineError when there is no compiler.
    """
    cross = cross_prefix()
    source = folder / f"{name}.c"
    digest = hashlib.sha256(toolchain(llvm=False).identity.encode())
    for path in [source, *sorted(folder.rglob("*.h")), *shared_headers(folder).values()]:
        if not path.is_file():
            raise BuildError(f"{path}: no such file")
        digest.update(path.read_bytes() + b"\0")
    cache = cache_dir("programs")
    binary = cache / f"{name}-{digest.hexdigest()[:16]}"
    if binary.is_file():
        return binary
    with _lock(cache, f"the guest's {name}"), tempfile.TemporaryDirectory(dir=cache) as tmp:
        program = Path(tmp, "program")
        headers = [f"-I{shared}" for shared in header_folders(folder)]
        flags = ["-static", "-Os", "-s", "-Wall", "-Werror", *headers]
        try:
            command = [f"{cross}gcc", *flags, "-o", str(program), str(source)]
            run_tool(command, f"the guest's {name}")
        except MachineError as error:
            raise BuildError(str(error)) from None
        program.rename(binary)
    return binary


def initramfs(files: dict[str, Path], script: str) -> Path:
    """Return a guest's initramfs: init, `files` (name in the guest -> file) and the `script`.

    It is cached by contents, and not compressed (unpacking costs more). Raise MachineError when
    cpio fails, and the errors of guest_init().
    """
    contents = {"init": guest_init(), **files}
    digest = hashlib.sha256(script.encode())
    for name, path in sorted(contents.items()):
        mode = path.stat().st_mode & 0o111
        digest.update(f"{name} {mode:o}\0".encode() + path.read_bytes())
    folder = cache_dir("initramfs")
    archive = folder / f"{digest.hexdigest()[:16]}.cpio"
    if archive.is_file():
        return archive
    with _lock(folder, "an initramfs"), tempfile.TemporaryDirectory(dir=folder) as tmp:
        root = Path(tmp, "root")
        for name, path in contents.items():
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        (root / "init").chmod(0o755)
        (root / "suite").write_text(script)
        for name in ("proc", "sys", "dev", "tmp"):
            (root / name).mkdir()
        staged = Path(tmp, "archive")
        make_cpio(root, staged)
        staged.rename(archive)
    return archive


def _lock(folder: Path, purpose: str) -> AbstractContextManager[None]:
    return locked(folder / "lock", purpose, Deadline(TOOL_SECONDS))


def make_cpio(root: Path, archive: Path) -> None:
    """Write everything below `root` to `archive`, owned by root, in newc format."""
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    command = ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0", "-F", str(archive)]
    run_tool(command, "an initramfs", cwd=root, text="\n".join(names))
