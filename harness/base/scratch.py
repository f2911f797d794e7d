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


@contextlib.contextmanager
def scratch_folder(prefix: str = PREFIX) -> Iterator[Path]:
    """Yield a temporary folder that is removed afterwards. Raise OSError without room for it."""
    with signals_held():
        temporary = tempfile.TemporaryDirectory(prefix=prefix)
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


def sweep(base: Path | None = None, prefix: str = PREFIX) -> list[Path]:
    """Remove the folders in `base` (default: where they are made) whose owner ended; return them.

    A folder without the owner's lock file, or that cannot be removed, is left alone.
    """
    removed = []
    for folder in (base or Path(tempfile.gettempdir())).glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # gone in between, or somebody else's
            owner = os.open(folder / OWNER, os.O_RDWR)
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
                removed.append(folder)
            finally:
                os.close(owner)
    return removed
