# SPDX-License-Identifier: GPL-2.0-only
"""Byte streams between QEMU and the harness: each logged whole, each cut into lines.

The harness listens and QEMU connects, so nothing that a guest says early is lost. All channels
of a guest put their lines into one queue: a wait sees the console, the results and the VMM's
own output in the order they came.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from pathlib import Path
from typing import IO

from harness.base.errors import MachineError, machine_error
from harness.hosts.events import Event, Events

LINE_LIMIT = 64 * 1024  # bytes; a longer line is cut into pieces
LOG_LIMIT = 64 * 1024 * 1024  # bytes a channel; what comes after is counted, not kept
# A serial port sends byte by byte, and its guest waits while the reader is woken for each.
SERIAL = "console"  # the end of such a channel's name
SERIAL_PAUSE = 0.003  # seconds between looks
PAUSE = 0.1  # seconds between looks whether there is room in the queue


class Channel:
    """A listening Unix socket for a QEMU chardev; `name` is the source of its events.

    A line of more than `line_limit` bytes is cut into pieces. `problem` is the error when the log
    could not be written, else None; `dropped` counts the bytes that are not in the log.
    """

    def __init__(
        self, folder: Path, name: str, events: Events, log: Path, line_limit: int = LINE_LIMIT
    ) -> None:
        self.name = name
        self.line_limit = line_limit
        self.path = folder / name
        self.dropped = 0
        self.problem: MachineError | None = None
        self._events = events
        self._log_path = log
        self._log: IO[bytes] | None = None
        self._logging = threading.Lock()
        self._connection: socket.socket | None = None
        self._connected = threading.Event()
        self._closing = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(2)
        self._thread = threading.Thread(target=self._serve, name=f"channel-{name}", daemon=True)
        self._thread.start()

    def send(self, data: bytes, timeout: float = 5.0) -> bool:
        """Send `data` to the guest. Return False when QEMU is gone, or not there in `timeout` s."""
        if not self._connected.wait(timeout) or self._connection is None:
            return False
        try:
            self._connection.sendall(data)
        except OSError:
            return False
        return True

    def finish(self) -> None:
        """Wait, once QEMU is gone, until all that it sent is in the log and in the queue."""
        with socket.socket(socket.AF_UNIX) as stand_in, contextlib.suppress(OSError):
            # Is accepted in the place of a QEMU that never came, so that accept() returns.
            stand_in.connect(str(self.path))
        self._thread.join()

    def close(self) -> None:
        """Stop listening and reading; all that has arrived is in the log."""
        self._closing = True
        self.finish()
        self._listener.close()
        if self._connection is not None:
            self._connection.close()

    def _serve(self) -> None:
        self._connection, _ = self._listener.accept()
        self._connected.set()
        self.log_to(self._log_path)
        self._read(self._connection)
        with self._logging:
            if self._log:
                self._log.close()
        self._put(None)

    def log_to(self, path: Path) -> None:
        """Append what arrives from now on to the file `path`; set `problem` when that fails."""
        with self._logging:
            if self._log:
                self._log.close()
            self._log_path = path
            try:
                self._log = path.open("ab", buffering=0)
            except OSError as error:
                self.problem = machine_error(error, path)
                self._log = None

    def _read(self, connection: socket.socket) -> None:
        rest = b""
        serial = self.name.endswith(SERIAL)
        while True:
            if serial:
                time.sleep(SERIAL_PAUSE)
            try:
                data = connection.recv(65536)
            except OSError:
                break
            if not data:
                break
            self._keep(data)
            rest = self._emit(rest + data)
        if rest:
            self._put_line(rest)
        if self.dropped:
            with self._logging, contextlib.suppress(OSError):
                if self._log:
                    self._log.write(
                        f"\n# s2eval: {self.dropped} bytes more are not kept\n".encode()
                    )

    def _keep(self, data: bytes) -> None:
        with self._logging:
            if self._log is None or self.problem or self._log.tell() >= LOG_LIMIT:
                self.dropped += len(data)
                return
            try:
                self._log.write(data)
            except OSError as error:
                self.problem = machine_error(error, self._log_path)

    def _emit(self, data: bytes) -> bytes:
        """Queue the whole lines of `data`; return the rest, which has no end yet."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._put_line(line)
        while len(rest) > self.line_limit:
            self._put_line(rest[: self.line_limit])
            rest = rest[self.line_limit :]
        return rest

    def _put_line(self, line: bytes) -> None:
        self._put(line.rstrip(b"\r").decode("utf-8", errors="replace"))

    def _put(self, line: str | None) -> None:
        """Queue a line, waiting for room until the channel is closed."""
        while not self._closing:
            with contextlib.suppress(queue.Full):
                self._events.put(Event(self.name, line), timeout=PAUSE)
                return
