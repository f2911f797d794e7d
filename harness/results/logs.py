# SPDX-License-Identifier: GPL-2.0-only
"""Logs of old runs, compressed: NAME.log becomes NAME.log.gz; records go on naming NAME.log."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
from pathlib import Path
from typing import BinaryIO, cast

from harness.base.files import replacing

PACKED = ".gz"


def open_log(folder: Path, name: str) -> BinaryIO:
    """Open log `name` of a cell's folder, compressed or not; raise FileNotFoundError without it."""
    with contextlib.suppress(FileNotFoundError):
        return (folder / name).open("rb")
    try:
        return cast("BinaryIO", gzip.open(folder / f"{name}{PACKED}", "rb"))
    except FileNotFoundError:
        raise FileNotFoundError(2, os.strerror(2), str(folder / name)) from None


def unpacked_logs(run: Path) -> list[Path]:
    """Return the logs of a run's cells that are not compressed, without empty ones."""
    return [p for p in sorted(run.glob("*/**/*.log")) if p.is_file() and p.stat().st_size]


def pack(log: Path) -> int:
    """Compress a log and return how many bytes that saved; raise OSError when it cannot be done.

    Readers find the plain log or the compressed one, each whole. A log may be larger than
    memory: it is copied in pieces.
    """
    before = log.stat()
    target = log.with_name(f"{log.name}{PACKED}")
    with replacing(target) as unfinished:
        with log.open("rb") as plain, gzip.open(unfinished, "wb") as packed:
            shutil.copyfileobj(plain, packed)
        os.utime(unfinished, ns=(before.st_atime_ns, before.st_mtime_ns))
    log.unlink()
    return before.st_size - target.stat().st_size
