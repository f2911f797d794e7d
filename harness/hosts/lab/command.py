# SPDX-License-Identifier: GPL-2.0-only
"""A command on a lab host, in a channel of an SSH connection."""

from __future__ import annotations

import contextlib
import io
import re
import select
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

import paramiko

from harness.base.deadline import Deadline
from harness.hosts.byte_stream import LineSplitter
from harness.hosts.lab.connection import called_after

BLOCK = 32768  # bytes; the largest packet of SSH (RFC 4254, section 5.2)
PAUSE = 0.01  # seconds between looks whether the machine takes more input
LOOK = 0.25  # seconds without output after which the connection itself is looked at
NO_STATUS = -1  # paramiko's, of a command that a signal ended, or of a lost connection
BLOCKED = 2.0  # seconds after a deadline in which a blocked connection is closed
GRACE = 1.0  # seconds between a command's exit and the last of its output
# sshd makes a process group for each command, by which it can be ended with its children.
_REPORT = 'read -r _ _ _ _ group _ </proc/$$/stat; echo "s2eval: process $$ $group"'
SUDO = ("sudo", "-n", "--")
_REPORTED = re.compile(r"s2eval: process (\d+) (\d+)")
_REPORT_LINE = re.compile(rb"^s2eval: process \d+ (\d+)\n", re.MULTILINE)
_REPORTING = ["sh", "-c", f'{{ {_REPORT}; }} >&2; exec "$@"', "s2eval"]
_JOINED = ["sh", "-c", f'{_REPORT}; exec "$@" 2>&1', "s2eval"]


class ConnectionLostError(Exception):
    """The connection was lost while a command ran; nobody knows how far the command came."""


class TooLateError(Exception):
    """A command did not end before its deadline; `group` is its process group there, or 0."""

    def __init__(self, group: int) -> None:
        super().__init__(group)
        self.group = group


@dataclass(frozen=True)
class Finished:
    """A command that has ended; `status` is -1 when a signal ended it."""

    status: int
    out: bytes
    err: bytes


def command_line(argv: Sequence[str], *, sudo: bool, joined: bool = False) -> str:
    """Return the line for the machine's login shell that runs `argv`.

    Its first line of standard error reports its process and group; with `joined`, which puts both
    streams into one, that of standard output.
    """
    first = SUDO if sudo else ()
    return shlex.join([*first, *(_JOINED if joined else _REPORTING), *argv])


def open_channel(transport: paramiko.Transport, line: str, deadline: Deadline) -> paramiko.Channel:
    """Return a channel in which `line` runs.

    Raise ConnectionLostError when none can be had, TooLateError at the deadline.
    """
    try:
        with _unblocked(transport, deadline):
            channel = transport.open_session(timeout=max(deadline.left(), 0.1))
            channel.exec_command(line)
    except (paramiko.SSHException, EOFError, OSError) as error:
        if deadline.over:
            raise TooLateError(0) from None
        raise ConnectionLostError(str(error)) from None
    return channel


def finish(
    channel: paramiko.Channel,
    deadline: Deadline,
    source: IO[bytes] | None = None,
    sink: IO[bytes] | None = None,
    heard: Callable[[], object] = lambda: None,
) -> Finished:
    """Feed a command from `source` until it ends; return its status and output.

    Its output goes to `sink` where there is one. `heard` is called whenever the machine sends or
    takes data. Raise TooLateError at the deadline, ConnectionLostError.
    """
    with _unblocked(channel.get_transport(), deadline):
        try:
            return _Exchange(channel, source, sink).finish(deadline, heard)
        except (EOFError, paramiko.SSHException) as error:
            raise ConnectionLostError(str(error) or "the connection was lost") from None


def _is_alive(channel: paramiko.Channel) -> bool:
    transport = channel.get_transport()
    return transport is not None and transport.is_active()


def _unblocked(
    transport: paramiko.Transport, deadline: Deadline
) -> contextlib.AbstractContextManager[None]:
    """Close the connection soon after the deadline, should the block not be left by then.

    Sending has no time-out while the machine's TCP takes nothing, nor has the answer to exec.
    """
    return called_after(deadline.left() + BLOCKED, transport.close)


class _Exchange:
    """Moves data between a channel and its command's ends; `group` is 0 until it is known."""

    def __init__(
        self, channel: paramiko.Channel, source: IO[bytes] | None, sink: IO[bytes] | None
    ) -> None:
        self.group = 0
        self._channel = channel
        self._source = source
        self._sink = sink or io.BytesIO()
        self._pending = b""
        self._err = b""
        channel.settimeout(0)
        if source is None:
            channel.shutdown_write()

    def finish(self, deadline: Deadline, heard: Callable[[], object]) -> Finished:
        """Move data until the command has ended; raise as finish()."""
        exited = 0.0
        while True:
            if self.step():
                heard()
                continue
            if self._channel.exit_status_ready() and self._channel.exit_status != NO_STATUS:
                exited = exited or time.monotonic()
                if self._channel.eof_received or time.monotonic() - exited > GRACE:
                    return self.finished()
            elif self._channel.closed:
                if not _is_alive(self._channel):
                    raise ConnectionLostError("the connection was lost")
                return self.finished()
            if deadline.over:
                raise TooLateError(self.group)
            self.wait(min(LOOK, max(deadline.left(), 0.001)))

    def step(self) -> bool:
        """Move what can be moved; return whether there was anything."""
        return any([self._receive(), self._feed()])

    def wait(self, seconds: float) -> None:
        """Wait until the machine sends something, or may take more input."""
        if self._source:
            seconds = min(seconds, PAUSE)
        select.select([self._channel], [], [], seconds)

    def finished(self) -> Finished:
        """Return the command as it ended."""
        while self._receive():
            pass
        out = self._sink.getvalue() if isinstance(self._sink, io.BytesIO) else b""
        return Finished(self._channel.exit_status, out, self._err)

    def _receive(self) -> bool:
        moved = False
        if self._channel.recv_ready():
            self._sink.write(self._channel.recv(BLOCK))
            moved = True
        if self._channel.recv_stderr_ready():
            self._take_err(self._channel.recv_stderr(BLOCK))
            moved = True
        return moved

    def _take_err(self, data: bytes) -> None:
        self._err += data
        # What comes before is the login shell's or sudo's ("unable to resolve host"); what comes
        # without the report is why there is no command.
        if not self.group and (report := _REPORT_LINE.search(self._err)):
            self.group, self._err = int(report[1]), self._err[report.end() :]

    def _feed(self) -> bool:
        """Send the next block of the source; end the command's input behind the last one."""
        if self._source is None or not self._channel.send_ready():
            return False
        self._pending = self._pending or self._source.read(BLOCK)
        if not self._pending:
            self._channel.shutdown_write()
            self._source = None
            return False
        try:
            sent = self._channel.send(self._pending)
        except OSError:  # closed: the command's status says why
            self._source = None
            return False
        self._pending = self._pending[sent:]
        return sent > 0


def close_channel(channel: paramiko.Channel) -> None:
    """Close a channel, also one whose connection was lost: paramiko raises EOFError then."""
    with contextlib.suppress(OSError, EOFError):
        channel.close()


class Stream:
    """A command whose lines come while it runs. `status` is None until it has ended.

    `pid` and `group` (of its processes) are 0 until the machine has reported them. `on_line` is
    called with each line of its output, of both streams, in another thread; `on_end` after the last
    one, with its status: -1 for a signal, None when the connection was lost, which sets `lost`.
    `pid` and `status` are set before the next call.
    """

    def __init__(
        self,
        channel: paramiko.Channel,
        on_line: Callable[[str], object],
        on_end: Callable[[int | None], object] = lambda status: None,
        heard: Callable[[], object] = lambda: None,
    ) -> None:
        self.pid = 0
        self.group = 0
        self.status: int | None = None
        self.lost = False
        self._channel = channel
        self._on_line = on_line
        self._on_end = on_end
        self._heard = heard
        self._thread = threading.Thread(target=self._read, name="lab-stream", daemon=True)
        channel.settimeout(None)
        self._thread.start()

    def send(self, text: str) -> bool:
        """Send `text` to the command's standard input. Return False when it takes none any more."""
        try:
            self._channel.sendall(text.encode())
        except (OSError, EOFError):
            return False
        return True

    def close(self) -> None:
        """Stop reading; the command on the machine is not ended by that."""
        close_channel(self._channel)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _read(self) -> None:
        lines = LineSplitter(self._take)
        with contextlib.suppress(OSError):
            while data := self._channel.recv(BLOCK):
                self._heard()
                lines.feed(data)
        lines.finish()
        status = self._channel.recv_exit_status() if _is_alive(self._channel) else NO_STATUS
        self.lost = status == NO_STATUS and not _is_alive(self._channel)
        self.status = None if self.lost else status
        self._on_end(self.status)

    def _take(self, line: str) -> None:
        report = None if self.pid else _REPORTED.fullmatch(line)
        if report:
            self.pid, self.group = int(report[1]), int(report[2])
        else:
            self._on_line(line)
