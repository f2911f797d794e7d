# SPDX-License-Identifier: GPL-2.0-only
"""The link to a lab host: commands, streams and files over one SSH connection.

Every wait ends at a deadline of the caller's. A connection that was lost is opened again before
the next command, as long as the machine has not booted meanwhile; a command that it was lost
under is run again only when its caller says that this is safe.
"""

from __future__ import annotations

import contextlib
import io
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import fabric
import paramiko

from harness.base.deadline import Deadline
from harness.base.files import replacing
from harness.hosts.host import Completed
from harness.hosts.lab.command import (
    ConnectionLostError,
    Finished,
    Stream,
    TooLateError,
    close_channel,
    command_line,
    finish,
    open_channel,
)
from harness.hosts.lab.connection import close_connection, open_connection
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.hostfile import HostFile

KEEPALIVE = 10.0  # seconds between questions whether the machine's SSH is there
SILENT = 45.0  # seconds without an answer to one, or other data, after which the link is closed
KILL = 5.0  # seconds to end a command that was too late
SHOWN = 100  # characters of a command in a message
BOOT_ID = "/proc/sys/kernel/random/boot_id"
# cat takes a lost connection for the end of its input: the size tells that all is there.
_PUT = """
umask 077
mkdir -p "$(dirname "$1")" || exit 1
cat > "$1.part" || { rm -f "$1.part"; exit 1; }
if [ "$(wc -c < "$1.part")" -ne "$2" ]; then rm -f "$1.part"; echo "not all arrived" >&2; exit 1; fi
chmod "$3" "$1.part" && mv -f "$1.part" "$1" || exit 1
"""
_NO_ROOM = ("No space left on device", "Disk quota exceeded")


class Link:
    """The link to `host`, which connect() opens. A context manager, which closes it.

    Its methods raise LabError (status MISS) with the step that failed. `boot` is the boot_id of
    the machine since connect().
    """

    def __init__(self, host: HostFile) -> None:
        self.host = host
        self.boot = ""
        self._connection: fabric.Connection | None = None
        self._wanted = False  # between connect() and close()
        self._lock = threading.RLock()
        self._heard = 0.0
        self._closed = threading.Event()
        self._streams: list[Stream] = []

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        """Return whether the connection is open, as far as is known."""
        return self._connection is not None and self._connection.is_connected

    def connect(self, deadline: Deadline) -> None:
        """Open the connection anew, also to a machine that has booted since; set `boot`."""
        self.close()
        with self._lock:
            self._open(deadline)
            self.boot = self._ask_boot_id(deadline)
            self._wanted = True

    def close(self) -> None:
        """Close the connection and its streams. The next connect() opens another one."""
        with self._lock:
            self._wanted = False
            connection, self._connection = self._connection, None
            streams, self._streams = self._streams, []
            self._closed.set()
        if connection:
            close_connection(connection)
        for stream in streams:
            stream.close()

    def run(
        self,
        argv: Sequence[str],
        deadline: Deadline,
        input: str | bytes | None = None,  # noqa: A002 - as subprocess.run() has it
        *,
        repeat: bool = False,
    ) -> Completed:
        """Run a command to its end; return its status and output, also when it failed.

        `repeat`: it may be run twice, so that a connection that is lost under it does not matter.
        """
        data = input.encode() if isinstance(input, str) else input
        done = self.run_bytes(argv, deadline, data, repeat=repeat)
        out, err = (text.decode("utf-8", errors="replace") for text in (done.out, done.err))
        return Completed(_shown(argv), done.status, out, err)

    def run_bytes(
        self,
        argv: Sequence[str],
        deadline: Deadline,
        data: bytes | None = None,
        *,
        sink: IO[bytes] | None = None,
        repeat: bool = False,
    ) -> Finished:
        """Do as run(), with bytes; the output goes to `sink` where there is one."""
        while True:
            source = None if data is None else io.BytesIO(data)
            try:
                return self._run(argv, deadline, source, sink)
            except ConnectionLostError as error:
                if not repeat:
                    cause = f"the connection was lost while '{_shown(argv)}' ran ({error})"
                    raise LabError(self.host.name, Step.SSH, cause) from None
                repeat = False
                if sink:
                    sink.seek(0)
                    sink.truncate()

    def shell(self, script: str, deadline: Deadline, *, repeat: bool = False) -> Completed:
        """Run a shell script to its end, as run()."""
        return self.run(["sh", "-c", script], deadline, repeat=repeat)

    def stream(
        self,
        argv: Sequence[str],
        on_line: Callable[[str], object],
        deadline: Deadline,
        on_end: Callable[[int | None], object] = lambda status: None,
    ) -> Stream:
        """Start a command whose lines go to `on_line` in another thread; return it.

        `on_end` gets its status at last: None when the connection was lost. `deadline` is that of
        its start.
        """
        line = command_line(argv, sudo=self.host.sudo, joined=True)
        channel = self._channel(argv, line, deadline)
        stream = Stream(channel, on_line, on_end, self._hear)
        with self._lock:
            self._streams = [other for other in self._streams if other.status is None]
            self._streams.append(stream)
        return stream

    def end(self, stream: Stream, deadline: Deadline, signal: str = "KILL") -> None:
        """Send a signal to a stream's command and all that it has started."""
        if stream.group and stream.status is None:
            self.run(_killing(signal, stream.group), deadline, repeat=True)

    def put(
        self, local: Path | str | bytes, remote: str, deadline: Deadline, mode: str = "600"
    ) -> None:
        """Copy a file, or a text, to the path `remote`, whose folder is made; it appears whole."""
        data = local.read_bytes() if isinstance(local, Path) else local
        data = data.encode() if isinstance(data, str) else data
        argv = ["sh", "-c", _PUT, "put", remote, str(len(data)), mode]
        done = self.run_bytes(argv, deadline, data, repeat=True)
        if done.status:
            raise self._file_fault(remote, done)

    def get(self, remote: str, local: Path, deadline: Deadline) -> None:
        """Copy the file `remote` to the path `local`, which appears whole."""
        with replacing(local) as unfinished, unfinished.open("w+b") as sink:
            done = self.run_bytes(["cat", remote], deadline, sink=sink, repeat=True)
            if done.status:
                raise self._file_fault(remote, done)

    def read(self, remote: str, deadline: Deadline) -> bytes:
        """Return the contents of the file `remote`."""
        done = self.run_bytes(["cat", remote], deadline, repeat=True)
        if done.status:
            raise self._file_fault(remote, done)
        return done.out

    def boot_id(self, deadline: Deadline) -> str:
        """Return the machine's boot_id, which every boot changes (proc(5))."""
        return self.run(["cat", BOOT_ID], deadline, repeat=True).check().out.strip()

    def has_rebooted(self, deadline: Deadline) -> bool:
        """Return whether the machine has booted since connect()."""
        return self.boot_id(deadline) != self.boot

    def _run(
        self,
        argv: Sequence[str],
        deadline: Deadline,
        source: IO[bytes] | None,
        sink: IO[bytes] | None,
    ) -> Finished:
        line = command_line(argv, sudo=self.host.sudo)
        channel = self._channel(argv, line, deadline)
        try:
            return finish(channel, deadline, source, sink, self._hear)
        except TooLateError as error:
            self._kill(error.group)
            raise self._late(argv, deadline) from None
        finally:
            close_channel(channel)

    def _channel(self, argv: Sequence[str], line: str, deadline: Deadline) -> paramiko.Channel:
        """Return a channel in which `line` runs, on a new connection where the old one is lost."""
        for attempt in (1, 2):
            transport = self._transport(deadline)
            try:
                return open_channel(transport, line, deadline)
            except TooLateError:
                raise self._late(argv, deadline) from None
            except ConnectionLostError as error:
                # Before a command was sent; with a channel refused on a live one it is no use.
                if attempt == 2 or transport.is_active():
                    raise LabError(self.host.name, Step.SSH, f"no channel: {error}") from None
        raise AssertionError("not reached")

    def _late(self, argv: Sequence[str], deadline: Deadline) -> LabError:
        deadline.left()  # tells when it is the cell's time that is over
        cause = f"'{_shown(argv)}' did not end within {deadline.seconds:.3g} s"
        return LabError(self.host.name, Step.COMMAND, cause)

    def _kill(self, group: int) -> None:
        """End what a command that was too late has left running on the machine."""
        if group:
            line = command_line(_killing("KILL", group), sudo=self.host.sudo)
            deadline = Deadline(KILL)
            with contextlib.suppress(LabError, ConnectionLostError, TooLateError):
                channel = self._channel(["kill"], line, deadline)
                finish(channel, deadline)
                close_channel(channel)

    def _transport(self, deadline: Deadline) -> paramiko.Transport:
        """Return the connection's transport; open the connection again when it was lost.

        Raise LabError when the machine has booted meanwhile.
        """
        with self._lock:
            if not self._wanted:
                raise LabError(self.host.name, Step.SSH, "not connected")
            if not self.connected:
                self._open(deadline)
                boot = self._ask_boot_id(deadline)
                if boot != self.boot:
                    self.close()  # what follows is not meant for this boot
                    cause = "the machine has booted while the connection was lost"
                    raise LabError(self.host.name, Step.BOOT, cause)
            if self._connection is None:
                raise AssertionError("opened just now")
            transport: paramiko.Transport = self._connection.transport
            return transport

    def _ask_boot_id(self, deadline: Deadline) -> str:
        """Return the boot_id over the connection that was just opened."""
        if self._connection is None:
            raise AssertionError("opened just now")
        try:
            channel = open_channel(self._connection.transport, f"cat {BOOT_ID}", deadline)
            done = finish(channel, deadline)
        except TooLateError:
            raise self._late(["cat", BOOT_ID], deadline) from None
        except ConnectionLostError as error:
            raise LabError(self.host.name, Step.SSH, f"lost at once: {error}") from None
        if done.status:
            raise LabError(self.host.name, Step.COMMAND, f"no {BOOT_ID}: is it Linux?")
        return done.out.decode(errors="replace").strip()

    def _open(self, deadline: Deadline) -> None:
        if self._connection:
            close_connection(self._connection)
        limit = deadline.at_most(self.host.limits.connect)
        self._connection = open_connection(self.host, limit)
        self._hear()
        self._closed = threading.Event()
        watch = (self._connection.transport, self._closed)
        threading.Thread(target=self._watch, args=watch, name="lab-alive", daemon=True).start()

    def _hear(self) -> None:
        self._heard = time.monotonic()

    def _watch(self, transport: paramiko.Transport, closed: threading.Event) -> None:
        """Ask the machine now and then; close the connection when it has gone silent.

        With a jump host between, TCP itself does not notice that the machine is gone.
        """
        while not closed.wait(KEEPALIVE) and transport.is_active():
            silent = threading.Timer(SILENT, self._close_silent, (transport,))
            silent.daemon = True
            silent.start()
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                # Whatever it answers, "unknown" too, it answers (RFC 4254, section 4).
                transport.global_request("keepalive@openssh.com", wait=True)
            silent.cancel()

    def _close_silent(self, transport: paramiko.Transport) -> None:
        if time.monotonic() - self._heard >= SILENT:
            transport.close()

    def _file_fault(self, remote: str, done: Finished) -> LabError:
        lines = done.err.decode(errors="replace").strip().splitlines()
        cause = lines[-1] if lines else f"status {done.status}"
        step = Step.DISK if any(text in cause for text in _NO_ROOM) else Step.FILE
        return LabError(self.host.name, step, f"{remote}: {cause}")


def _killing(signal: str, group: int) -> list[str]:
    # The shell's own: the program of procps takes no group behind -s.
    return ["sh", "-c", 'kill "-$1" "-$2"', "kill", signal, str(group)]


def _shown(argv: Sequence[str]) -> str:
    """Return a command for a message: its first line, cut."""
    line = shlex.join(argv).strip().partition("\n")[0]
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"
