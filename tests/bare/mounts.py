# SPDX-License-Identifier: GPL-2.0-only
"""The mounts of a root: the kernel's file systems, devices, and folders shared with this system.

All of it is done by a process with a namespace of mounts of its own. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
DETACH = 2
# Linux gives system calls of 2019 and later the same number everywhere.
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
AT_FDCWD, EMPTY_PATH, CLONE_TREE, ATTR_IDMAP = -100, 0x1000, 1, 0x100000

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Shared:
    """A folder `source` of this system, seen at `target` in the root.

    What belongs to root outside belongs to `owner` inside, and the other way round.
    """

    source: str
    target: str
    owner: int = 0


def keep_private() -> None:
    """From now on no mount here is seen elsewhere."""
    mount("none", "/", flags=REC | PRIVATE)


def change_root(root: str) -> None:
    """Make `root`, which is mounted on itself, the only file system that there is."""
    os.chdir(root)
    # Not chroot: a process in one may make no user namespace.
    subprocess.run(["pivot_root", ".", "."], check=True)
    call("umount2", b".", DETACH)
    os.chdir("/")


def mount_all(root: str, shared: list[Shared]) -> None:
    """The root with /proc, /sys (which it cannot change), /dev without KVM, and shared folders."""
    mount(root, root, flags=BIND)
    mount_proc(f"{root}/proc")
    # Settings in there are those of the machine that this one is a guest of.
    mount(f"{root}/proc/sys", f"{root}/proc/sys", flags=BIND)
    mount("none", f"{root}/proc/sys", flags=BIND | REMOUNT | RDONLY | NOSUID | NODEV | NOEXEC)
    mount("sysfs", f"{root}/sys", "sysfs", RDONLY | NOSUID | NODEV | NOEXEC)
    mount("tmpfs", f"{root}/dev", "tmpfs", NOSUID, "mode=755")
    dev = Path(root, "dev")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        (dev / name).touch()
        mount(f"/dev/{name}", str(dev / name), flags=BIND)
    for name in ("pts", "shm"):
        (dev / name).mkdir()
    mount("devpts", str(dev / "pts"), "devpts", NOSUID | NOEXEC, "ptmxmode=666,mode=620,gid=5")
    mount("tmpfs", str(dev / "shm"), "tmpfs", NOSUID | NODEV, "mode=1777")
    for name, target in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "fd/0")):
        (dev / name).symlink_to(target)
    for name, target in (("stdout", "fd/1"), ("stderr", "fd/2")):
        (dev / name).symlink_to(target)
    for one in shared:
        _mount_for(one, root)


def _mount_for(one: Shared, root: str) -> None:
    """Bind a shared folder; what is root's on disk is its owner's there."""
    source, target = one.source, root + one.target
    if not one.owner:
        mount(source, target, flags=BIND)
        return
    tree = call("syscall", OPEN_TREE, AT_FDCWD, source.encode(), CLONE_TREE | os.O_CLOEXEC)
    users = _user_namespace(one.owner, Path(root, "proc"))
    attributes = struct.pack("=QQQQ", ATTR_IDMAP, 0, 0, users)
    call("syscall", MOUNT_SETATTR, tree, b"", EMPTY_PATH, attributes, len(attributes))
    call("syscall", MOVE_MOUNT, tree, b"", AT_FDCWD, target.encode(), 4)  # 4: no path, but `tree`
    os.close(users)
    os.close(tree)


def _user_namespace(owner: int, proc: Path) -> int:
    """A user namespace, as a descriptor, that maps root to `owner` and `owner` to root.

    `proc` is of this namespace of processes; /proc is of the one outside.
    """
    ready_in, ready_out = os.pipe()
    end_in, end_out = os.pipe()
    child = os.fork()
    if child == 0:
        call("unshare", NEWUSER)
        os.write(ready_out, b".")
        os.close(end_out)
        os.read(end_in, 1)
        os._exit(0)
    os.close(ready_out)
    os.read(ready_in, 1)
    for name in ("uid_map", "gid_map"):
        (proc / str(child) / name).write_text(f"0 {owner} 1\n{owner} 0 1\n")
    found = os.open(proc / f"{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    for descriptor in (ready_in, end_in, end_out):
        os.close(descriptor)
    os.waitpid(child, 0)
    return found


def mounted() -> list[str]:
    """The mount points of this namespace."""
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def mount_proc(target: str) -> None:
    """The processes of this namespace."""
    mount("proc", target, "proc", NOSUID | NODEV | NOEXEC)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    names = [text.encode() for text in (source, target, kind)]
    try:
        call("mount", *names, ctypes.c_ulong(flags), data.encode())
    except OSError as error:
        raise OSError(error.errno, f"mount {target}: {error.strerror}") from None


def call(name: str, *arguments: Any) -> int:
    """Call a function of the C library; OSError when it says -1."""
    result: int = getattr(_libc, name)(*arguments)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result
