# SPDX-License-Identifier: GPL-2.0-only
"""Locks between processes, of files and of folders.

The kernel lets go of them (flock(2)) when a process ends, whatever it ends of.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from time import sleep

from harness.base.deadline import Deadline
from harness.base.errors import MachineError

ALONE_SECONDS = 900.0  # to remove a full cache takes a minute
PAUSE = 0.05  # seconds between looks at a lock that another process has
COMMAND_LIMIT = 80  # characters of a command line in a message
_shared: dict[Path, int] = {}


class LockTimeoutError(MachineError):
    """Another process did not let go of a lock in time."""


@contextlib.contextmanager
def locked(
    file: Path,
    purpose: str,
    deadline: Deadline,
    *,
    waiting: Callable[[str], object] = lambda reason: None,
    given_up: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Hold the lock `file`, made when missing, against all other processes and threads.

    `purpose` says what the lock is for: "a build in linux-source-6.1". When another process has
    it, `waiting` is called once with the reason. Raise LockTimeoutError with that reason when
    `deadline` is over, MachineError when `given_up` says that nobody wants the lock any more.
    """
    descriptor = _try_file(file)
    if descriptor is None:
        waiting(f"waiting for {purpose}, {_holder(file)}")
    while descriptor is None:
        if given_up():
            raise MachineError(f"{purpose}: nobody waits for it any more")
        if deadline.over:
            reason = f"waited {deadline.seconds:.3g} s for {purpose}, {_holder(file)}"
            raise LockTimeoutError(f"{reason}: end that process, or wait for it and try again")
        sleep(min(PAUSE, deadline.left()))
        descriptor = _try_file(file)
    try:
        _name_holder(descriptor)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
        os.close(descriptor)


def _try_file(file: Path) -> int | None:
    """The descriptor of `file`, locked; None when another one has the lock."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), file.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):  # FileNotFoundError: removed in between
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _name_holder(descriptor: int) -> None:
    """Write into a lock's file who has it, for those who wait."""
    with contextlib.suppress(OSError):  # a full disk: they are told less
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _holder(file: Path) -> str:
    """`held by pid N (COMMAND)`, as far as the file and the process tell."""
    try:
        pid = int(file.read_text())
    except (OSError, ValueError):
        return "held by another process"
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return f"held by pid {pid}"
    command = " ".join(words).strip()
    more = "…" if len(command) > COMMAND_LIMIT else ""
    return f"held by pid {pid} ({command[:COMMAND_LIMIT]}{more})"


def share_until_exit(folder: Path) -> None:
    """Keep others from having `folder` alone until this process ends; wait while one has it.

    Raise LockTimeoutError when that one keeps it for ALONE_SECONDS.
    """
    if folder in _shared:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    deadline = Deadline(ALONE_SECONDS)
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if deadline.over:
                os.close(descriptor)
                raise LockTimeoutError(
                    f"{folder}: another s2eval (clean?) has had it alone for {ALONE_SECONDS:.3g} s"
                ) from None
            sleep(PAUSE)
        except OSError:  # a file system without locks: nothing is promised there
            break
    _shared[folder] = descriptor


@contextlib.contextmanager
def try_alone(folder: Path) -> Iterator[bool]:
    """Yield whether no other process shares `folder`; those that want to wait until the end."""
    share_until_exit(folder)
    alone = False
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(_shared[folder], fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        yield alone
    finally:
        # A lock that could not be had alone is also lost as a shared one (flock(2)).
        with contextlib.suppress(OSError):
            fcntl.flock(_shared[folder], fcntl.LOCK_SH)


@contextlib.contextmanager
def try_lock_folder(folder: Path) -> Iterator[bool]:
    """Yield whether this process now has the lock that a run holds on its folder while it runs."""
    descriptor = os.open(folder, os.O_RDONLY)
    mine = False
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = True
        yield mine
    finally:
        os.close(descriptor)
