# SPDX-License-Identifier: GPL-2.0-only
"""Byte streams between QEMU and the harness: each logged whole, each cut into lines.

The harness listens and QEMU connects, so nothing that a guest says early is lost. All channels
of a guest put their lines into one queue: a wait sees the console, the results and the VMM's
own words in the order they came.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LINE_LIMIT = 64 * 1024  # bytes; a longer line is cut into pieces
LOG_LIMIT = 64 * 1024 * 1024  # bytes a channel; what comes after is counted, not kept


@dataclass(frozen=True)
class Event:
    """One line of a channel (without its end), or `line` None: the channel is closed."""

    source: str
    line: str | None


Events = queue.Queue[Event]


class Channel:
    """One listening Unix socket, one QEMU chardev; `name` is the source of its events."""

    def __init__(self, folder: Path, name: str, events: Events, log: Path) -> None:
        self.name = name
        self.path = folder / name
        self.dropped = 0
        self._events = events
        self._log_path = log
        self._connection: socket.socket | None = None
        self._connected = threading.Event()
        self._closing = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve, name=f"channel-{name}", daemon=True)
        self._thread.start()

    def send(self, data: bytes, timeout: float = 5.0) -> bool:
        """Send to the guest; False when QEMU is not there to take it."""
        if not self._connected.wait(timeout) or self._connection is None:
            return False
        try:
            self._connection.sendall(data)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Stop listening and reading; what has arrived is in the log."""
        self._closing = True
        for end in (self._listener, self._connection):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        try:
            self._connection, _ = self._listener.accept()
        except OSError:
            return
        self._connected.set()
        with self._log_path.open("wb", buffering=0) as log:
            self._read(self._connection, log)
        self._events.put(Event(self.name, None))

    def _read(self, connection: socket.socket, log: IO[bytes]) -> None:
        rest = b""
        kept = 0
        while not self._closing:
            try:
                data = connection.recv(65536)
            except OSError:
                break
            if not data:
                break
            if kept < LOG_LIMIT:
                log.write(data)
                kept += len(data)
            else:
                self.dropped += len(data)
            rest = self._emit(rest + data)
        if rest:
            self._put(rest)

    def _emit(self, data: bytes) -> bytes:
        """Put the whole lines of `data`, give back what is left of the last."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._put(line)
        while len(rest) > LINE_LIMIT:
            self._put(rest[:LINE_LIMIT])
            rest = rest[LINE_LIMIT:]
        return rest

    def _put(self, line: bytes) -> None:
        text = line.rstrip(b"\r").decode("utf-8", errors="replace")
        self._events.put(Event(self.name, text))
