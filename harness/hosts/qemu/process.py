# SPDX-License-Identifier: GPL-2.0-only
"""A QEMU process with its channels: started, watched, and always gone at the end."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.base.errors import MachineError
from harness.base.process import start
from harness.base.signals import signals_held
from harness.hosts.byte_stream import LINE_LIMIT
from harness.hosts.events import Event, EventQueue
from harness.hosts.qemu.channel import PAUSE, Channel
from harness.hosts.qemu.held import HeldTime
from harness.results.failure_kinds import FailureKind
from harness.results.records import Failure
from harness.suites.failures import classify

if TYPE_CHECKING:
    from harness.hosts.qemu.qmp import Qmp

SOCKET_PATH = 107  # bytes: unix(7), sun_path


class QemuProcess(EventQueue):
    """A context manager around one QEMU, which is killed at the end.

    QEMU's sockets are in `folder`, which the caller removes. `channels` are the names of the
    sockets that QEMU's chardevs connect to; each is logged to `logs/NAME.log` and cut into
    `events`. The end of the process is the event (`"qemu"`, None), and the last one: all that QEMU
    had sent comes before it. QEMU's standard output and error are in `logs/qemu.log`, its QMP
    events in `logs/qmp.log`. Entering raises MachineError when `folder` is too long for a socket,
    leaving when a log is not complete.
    """

    def __init__(
        self,
        folder: Path,
        logs: Path,
        channels: list[str],
        line_limits: Mapping[str, int] | None = None,
    ) -> None:
        """`line_limits` has the bytes of a line for channels whose lines may exceed LINE_LIMIT."""
        super().__init__()
        self.folder = folder
        self.logs = logs
        self._closing = False
        self._names = channels
        self._line_limits = line_limits or {}
        self._channels: dict[str, Channel] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._waiter: threading.Thread | None = None
        self._monitor = socket.socket(socket.AF_UNIX)
        self._qmp: Qmp | None = None
        self._held: HeldTime | None = None

    def __enter__(self) -> QemuProcess:
        longest = max([*self._names, "qmp"], key=len)
        if len(os.fsencode(self.folder / longest)) > SOCKET_PATH:
            raise MachineError(
                f"{self.folder}: too long for a socket: set TMPDIR to a shorter path"
            )
        try:
            for name in self._names:
                log = self.logs / f"{name}.log"
                limit = self._line_limits.get(name, LINE_LIMIT)
                self._channels[name] = Channel(self.folder, name, self.events, log, limit)
            self._monitor.bind(str(self.folder / "qmp"))
            self._monitor.listen(1)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        self.close()
        problems = [c.problem for c in self._channels.values() if c.problem]
        if problems and error is None:
            raise type(problems[0])(f"the logs are not complete: {problems[0]}")

    def chardev(self, name: str) -> str:
        """Return the chardev option that connects to the channel (or the monitor) `name`."""
        return f"socket,id={name},path={str(self.folder / name).replace(',', ',,')}"

    @property
    def gdb_socket(self) -> Path:
        """Return the path of the socket on which QEMU's gdb stub listens."""
        return self.folder / "gdb"

    @property
    def pid(self) -> int:
        """Return QEMU's process id; 0 before start()."""
        return self._process.pid if self._process else 0

    def held(self) -> float:
        """Return the seconds since the last call in which QEMU was kept from running."""
        return self._held.take() if self._held else 0.0

    def start(self, command: list[str], keep: Sequence[int] = ()) -> None:
        """Start QEMU, which inherits the file descriptors `keep`.

        Raise MachineError when QEMU cannot be run, OSError when its log cannot be written.
        """
        with (self.logs / "qemu.log").open("wb") as log:
            try:
                with signals_held():  # until close() knows of the process
                    self._process = start(command, stdout=log, stderr=log, keep=keep)
            except OSError as error:
                raise MachineError(f"{command[0]}: {error.strerror}") from None
        self._held = HeldTime(self.pid)
        # The monitor listens already; the import takes 30 ms, in which QEMU starts.
        from harness.hosts.qemu.qmp import Qmp  # noqa: PLC0415

        self._qmp = Qmp(self._monitor, self.logs / "qmp.log")
        self._waiter = threading.Thread(target=self._wait, name="qemu-exit", daemon=True)
        self._waiter.start()

    def _wait(self) -> None:
        if self._process:
            self._process.wait()
        for channel in self._channels.values():
            channel.finish()
        if self._qmp:
            self._qmp.finish()
        while not self._closing:
            with contextlib.suppress(queue.Full):
                self.events.put(Event("qemu", None), timeout=PAUSE)
                return

    def log_to(self, folder: Path) -> None:
        """Log what arrives on the channels from now on in another folder.

        The console's log is copied there first, so that it is whole there as well.
        """
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(self.logs / "console.log", folder / "console.log")
        for name, channel in self._channels.items():
            channel.log_to(folder / f"{name}.log")

    @property
    def returncode(self) -> int | None:
        """Return QEMU's exit code, negative for a signal; None while QEMU runs."""
        return self._process.poll() if self._process else None

    @property
    def monitored(self) -> list[dict[str, object]]:
        """Return QEMU's QMP events; they are complete once QEMU has ended."""
        return self._qmp.events if self._qmp else []

    def execute(self, command: str, **arguments: object) -> Mapping[str, object]:
        """Run a QMP command and return its reply (qmp.py). Raise MachineError when it fails."""
        if self._qmp is None:
            raise MachineError(f"QMP's {command}: QEMU does not run")
        return self._qmp.execute(command, **arguments)

    def screen(self) -> bytes | None:
        """Return the picture of the machine's display, 3 bytes a pixel; None without a display."""
        path = self.folder / "screen"
        try:
            self.execute("screendump", filename=str(path))
            # "P6", width and height, the highest value, each on a line (ppm(5)).
            return path.read_bytes().split(b"\n", 3)[3]
        except (MachineError, OSError, IndexError):
            return None

    def why_ended(self) -> Failure:
        """Return why QEMU ended early, by its output, exit code and QMP events."""
        failure = classify.vmm(self.output(), self.returncode, log="qemu.log")
        failure = failure or classify.qmp(self.monitored, "L1")
        early = "the guest powered off before it was done"
        return failure or Failure(
            kind=FailureKind.VMM_EXIT, summary=early, where="L1", log="console.log"
        )

    def output(self) -> list[str]:
        """Return the lines that QEMU itself printed."""
        log = self.logs / "qemu.log"
        if not log.is_file():
            return []
        return log.read_text(errors="replace").splitlines()

    def send(self, channel: str, text: str) -> bool:
        """Send `text` to QEMU's end of `channel`. Return False when QEMU is not there."""
        return self._channels[channel].send(text.encode())

    def close(self) -> None:
        """Kill QEMU if it still runs, and close the channels."""
        self._closing = True
        if self._process and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for channel in self._channels.values():
            channel.close()
        if self._waiter:
            self._waiter.join()
        if self._qmp:
            self._qmp.close()
        self._monitor.close()
