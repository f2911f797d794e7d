# SPDX-License-Identifier: GPL-2.0-only
"""Folders in use, so that `s2eval clean` leaves them alone: locks that need no file of their own.

The kernel lets go of them when a process ends, whatever it ends of.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

_held: dict[Path, int] = {}


def hold(folder: Path) -> None:
    """Share `folder` with all who do so too until this process ends; waits while it is cleaned."""
    if folder in _held:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    with contextlib.suppress(OSError):  # a file system without locks: nothing is promised there
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    _held[folder] = descriptor


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether no other process uses `folder`; those that want to wait until the block's end."""
    hold(folder)
    mine = False
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(_held[folder], fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = True
        yield mine
    finally:
        # A lock that could not be had alone is also lost as a shared one (flock(2)).
        with contextlib.suppress(OSError):
            fcntl.flock(_held[folder], fcntl.LOCK_SH)


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Whether nobody holds the lock on `folder` that a run has on its own while it goes on."""
    descriptor = os.open(folder, os.O_RDONLY)
    mine = False
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = True
        yield mine
    finally:
        os.close(descriptor)
