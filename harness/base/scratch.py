# SPDX-License-Identifier: GPL-2.0-only
"""Temporary folders of guests, and the removal of those whose owner was killed.

Each holds a file that its owner keeps locked: the kernel lets go of the lock when the owner
dies, whatever it dies of, and process ids that come round again cannot deceive.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.base.signals import signals_held

PREFIX = "s2eval-cell-"
OWNER = ".owner"


MEMORY = Path("/dev/shm")  # noqa: S108 - a memory file system; mkdtemp makes folders there
MEMORY_MIB = 32  # that must be free there


@contextlib.contextmanager
def scratch_folder(prefix: str = PREFIX, *, small: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that is removed afterwards. Raise OSError without room for it.

    A `small` one, of a few MiB in many files, is in memory where the system has a place for that.
    """
    with signals_held():
        place = MEMORY if small and _has_memory() else None
        temporary = tempfile.TemporaryDirectory(prefix=prefix, dir=place)
    with temporary as name:
        folder = Path(name)
        # Locked before it has its name: nobody sees it without its lock.
        part = folder / f"{OWNER}-new"
        owner = os.open(part, os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(owner, fcntl.LOCK_EX)
            part.rename(folder / OWNER)
            yield folder
        finally:
            os.close(owner)


def _has_memory() -> bool:
    try:
        free = os.statvfs(MEMORY)
    except OSError:
        return False
    return os.access(MEMORY, os.W_OK) and free.f_bavail * free.f_frsize >= MEMORY_MIB << 20


def sweep(base: Path | None = None, prefix: str = PREFIX) -> list[Path]:
    """Remove the folders in `base` (default: where they are made) whose owner ended; return them.

    A folder without the owner's lock file, or that cannot be removed, is left alone.
    """
    removed = []
    places = [base] if base else [Path(tempfile.gettempdir()), MEMORY]
    for folder in (folder for place in places for folder in place.glob(f"{prefix}*")):
        with contextlib.suppress(OSError):  # gone in between, or somebody else's
            owner = os.open(folder / OWNER, os.O_RDWR)
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
                removed.append(folder)
            finally:
                os.close(owner)
    return removed
