# SPDX-License-Identifier: GPL-2.0-only
"""A stream of bytes from a guest or a host: logged whole, and cut into lines."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from harness.base.errors import MachineError, machine_error

LINE_LIMIT = 64 * 1024  # bytes; a longer line is cut into pieces
LOG_LIMIT = 64 * 1024 * 1024  # bytes a stream; what comes after is counted, not kept


class StreamLog:
    """The log of a stream, which may go on in another file; threads may share it.

    `problem` is the error when the file could not be written, else None; `dropped` counts the
    bytes that are not in it.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self.problem: MachineError | None = None
        self._path: Path | None = None
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()

    def log_to(self, path: Path) -> None:
        """Append what comes from now on to the file `path`; set `problem` when that fails."""
        with self._lock:
            if self._file:
                self._file.close()
            self._path = path
            try:
                self._file = path.open("ab", buffering=0)
            except OSError as error:
                self.problem = machine_error(error, path)
                self._file = None

    def keep(self, data: bytes) -> None:
        """Append `data`, or count it where it cannot be kept."""
        with self._lock:
            if self._file is None or self.problem or self._file.tell() >= LOG_LIMIT:
                self.dropped += len(data)
                return
            try:
                self._file.write(data)
            except OSError as error:
                self.problem = machine_error(error, self._path or "the log")

    def close(self) -> None:
        """Tell in the log what it lacks, and close it."""
        with self._lock, contextlib.suppress(OSError):
            if self._file is None:
                return
            if self.dropped:
                self._file.write(f"\n# s2eval: {self.dropped} bytes more are not kept\n".encode())
            self._file.close()
            self._file = None


class LineSplitter:
    """Cuts bytes into lines and calls `put` with each, without its end.

    A line of more than `limit` bytes is cut into pieces.
    """

    def __init__(self, put: Callable[[str], object], limit: int = LINE_LIMIT) -> None:
        self._put = put
        self._limit = limit
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._put_line(self._cut(line))
        self._rest = self._cut(rest)

    def finish(self) -> None:
        """Put what is left, which no line end follows."""
        if self._rest:
            self._put_line(self._rest)
        self._rest = b""

    def _cut(self, line: bytes) -> bytes:
        """Put the pieces of a line that is too long; return what is left of it."""
        while len(line) > self._limit:
            self._put_line(line[: self._limit])
            line = line[self._limit :]
        return line

    def _put_line(self, line: bytes) -> None:
        self._put(line.rstrip(b"\r").decode("utf-8", errors="replace"))
