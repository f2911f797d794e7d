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

from harness.base.errors import MachineError
from harness.hosts.byte_stream import LINE_LIMIT, LineSplitter, StreamLog
from harness.hosts.events import Event, Events

# A serial port sends byte by byte, and its guest waits while the reader is woken for each.
SERIAL = "console"  # the end of such a channel's name
SERIAL_PAUSE = 0.003  # seconds between looks
PAUSE = 0.1  # seconds between looks whether there is room in the queue


class Channel:
    """A listening Unix socket for a QEMU chardev; `name` is the source of its events.

    A line of more than `line_limit` bytes is cut into pieces.
    """

    def __init__(
        self, folder: Path, name: str, events: Events, log: Path, line_limit: int = LINE_LIMIT
    ) -> None:
        self.name = name
        self.line_limit = line_limit
        self.path = folder / name
        self._events = events
        self._log_path = log
        self._log = StreamLog()
        self._connection: socket.socket | None = None
        self._connected = threading.Event()
        self._closing = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(2)
        self._thread = threading.Thread(target=self._serve, name=f"channel-{name}", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> MachineError | None:
        """Return the error when the log could not be written, else None."""
        return self._log.problem

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
        self._log.close()
        self._put(None)

    def log_to(self, path: Path) -> None:
        """Append what arrives from now on to the file `path`; set `problem` when that fails."""
        self._log_path = path
        self._log.log_to(path)

    def _read(self, connection: socket.socket) -> None:
        lines = LineSplitter(self._put, self.line_limit)
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
            self._log.keep(data)
            lines.feed(data)
        lines.finish()

    def _put(self, line: str | None) -> None:
        """Queue a line, waiting for room until the channel is closed."""
        while not self._closing:
            with contextlib.suppress(queue.Full):
                self._events.put(Event(self.name, line), timeout=PAUSE)
                return
