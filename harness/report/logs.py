# SPDX-License-Identifier: GPL-2.0-only
"""The lines of a cell's logs that show its failure.

A guest can write any bytes into a log: each line goes through harness.base.text.clean.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from pathlib import Path
from typing import BinaryIO

from harness.base.text import clean
from harness.results.logs import open_log
from harness.results.records import Cell
from harness.results.store import cell_path

TAIL_BYTES = 64 * 1024
EXCERPT_LINES = 40


def excerpt(cell: Cell, folder: Path | None, lines: int = EXCERPT_LINES) -> list[str]:
    """Return the `lines` lines that show the failure of `cell`, or the last of its log."""
    if cell.failure is None:
        return []
    if cell.failure.excerpt:
        return [clean(line) for line in cell.failure.excerpt[:lines]]
    return log_tail(cell, folder)[-lines:]


def log_tail(cell: Cell, folder: Path | None, size: int = TAIL_BYTES) -> list[str]:
    """Return the last `size` bytes of the log that the failure names, as lines.

    Return no lines when there is no failure, or its log cannot be read.
    """
    if folder is None or cell.failure is None or not cell.failure.log:
        return []
    # A build's log is a path of its own, a guest's a file of the cell's folder.
    return tail(cell_path(folder, cell.name), cell.failure.log, size)


def tail(folder: Path, name: str, size: int = TAIL_BYTES) -> list[str]:
    """Return the last `size` bytes of log `name`, as lines; none when it cannot be read."""
    try:
        with open_log(folder, name) as log:
            data = _last(log, size)
    except (OSError, EOFError, zlib.error):
        return []
    return [clean(line) for line in data.splitlines()]


def _last(log: BinaryIO, size: int) -> bytes:
    """Return the last `size` bytes, less a line that this would cut; keep no more in memory."""
    chunks: deque[bytes] = deque(maxlen=2)
    while chunk := log.read(size + 1):
        chunks.append(chunk)
    data = b"".join(chunks)
    if len(data) <= size:
        return data
    return data[-size - 1 :].partition(b"\n")[2]


def shown_path(path: Path) -> str:
    """Return a path for a reader: relative to the current folder when the path is below it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
