# SPDX-License-Identifier: GPL-2.0-only
"""One QEMU process with its channels: started, watched, and always gone at the end."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.process import start
from harness.base.signals import held
from harness.hosts.qemu.channel import PAUSE, QUEUE_LIMIT, Channel, Event, Events

if TYPE_CHECKING:
    from harness.hosts.qemu.qmp import Qmp

T = TypeVar("T")
SOCKET_PATH = 107  # bytes: unix(7), sun_path


class QemuProcess:
    """A context manager around one QEMU; MachineError at its end when the logs are not complete.

    Its sockets are in `folder`, which whoever made it removes. `channels` names those that QEMU's
    chardevs connect to; each is logged to `logs/NAME.log` and cut into `events`. The end of the
    process is the event (`"qemu"`, None), and the last one: whatever QEMU had sent comes before
    it. QEMU's own words are in `logs/qemu.log`, its QMP events in `logs/qmp.log`.
    """

    def __init__(self, folder: Path, logs: Path, channels: list[str]) -> None:
        self.folder = folder
        self.logs = logs
        self.events: Events = queue.Queue(QUEUE_LIMIT)
        self.heard: list[Event] | None = None  # all events, for who wants to keep them
        self._first: deque[Event] = deque()
        self._closing = False
        self._names = channels
        self._channels: dict[str, Channel] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._waiter: threading.Thread | None = None
        self._monitor = socket.socket(socket.AF_UNIX)
        self._qmp: Qmp | None = None

    def __enter__(self) -> QemuProcess:
        longest = max([*self._names, "qmp"], key=len)
        if len(os.fsencode(self.folder / longest)) > SOCKET_PATH:
            raise MachineError(
                f"{self.folder}: too long for a socket: set TMPDIR to a shorter path"
            )
        try:
            for name in self._names:
                log = self.logs / f"{name}.log"
                self._channels[name] = Channel(self.folder, name, self.events, log)
            self._monitor.bind(str(self.folder / "qmp"))
            self._monitor.listen(1)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        problems = [c.problem for c in self._channels.values() if c.problem]
        if problems and error is None:
            raise type(problems[0])(f"the logs are not complete: {problems[0]}")

    def chardev(self, name: str) -> str:
        """The chardev option that connects to the channel (or the monitor) `name`."""
        return f"socket,id={name},path={str(self.folder / name).replace(',', ',,')}"

    @property
    def gdb_socket(self) -> Path:
        return self.folder / "gdb"

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def start(self, command: list[str], keep: Sequence[int] = ()) -> None:
        """Start QEMU, which inherits the file descriptors `keep`.

        MachineError when it cannot be run, OSError without room for its log.
        """
        with (self.logs / "qemu.log").open("wb") as log:
            try:
                with held():  # a QEMU that was started is known, and ended
                    self._process = start(command, stdout=log, stderr=log, keep=keep)
            except OSError as error:
                raise MachineError(f"{command[0]}: {error.strerror}") from None
        # It listens already; the import takes 30 ms, in which QEMU starts.
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
        """What the channels say from now on is logged in another folder.

        The console's log is whole there as well: it begins with what was said before.
        """
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(self.logs / "console.log", folder / "console.log")
        for name, channel in self._channels.items():
            channel.log_to(folder / f"{name}.log")

    @property
    def returncode(self) -> int | None:
        return self._process.poll() if self._process else None

    @property
    def monitored(self) -> list[dict[str, Any]]:
        """QEMU's own account, once it has ended: its QMP events."""
        return self._qmp.events if self._qmp else []

    def execute(self, command: str, **arguments: Any) -> Any:
        """A command of QMP (qmp.py); MachineError when it fails."""
        if self._qmp is None:
            raise MachineError(f"QMP's {command}: QEMU does not run")
        return self._qmp.execute(command, **arguments)

    def screen(self) -> bytes | None:
        """The picture of the machine's display, 3 bytes a pixel; None without one."""
        path = self.folder / "screen"
        try:
            self.execute("screendump", filename=str(path))
            # "P6", width and height, the highest value, each on a line (ppm(5)).
            return path.read_bytes().split(b"\n", 3)[3]
        except (MachineError, OSError, IndexError):
            return None

    def words(self) -> list[str]:
        """What QEMU itself printed."""
        log = self.logs / "qemu.log"
        if not log.is_file():
            return []
        return log.read_text(errors="replace").splitlines()

    def send(self, channel: str, text: str) -> bool:
        return self._channels[channel].send(text.encode())

    def wait(
        self,
        see: Callable[[Event], T | None],
        deadline: Deadline,
        silence: float | None = None,
    ) -> T | None:
        """Hand events to `see` until it returns something.

        None when `deadline` is over or no event came for `silence` seconds; which of the two
        `deadline.over` tells. OutOfTimeError when the limit is over that `deadline` is within.
        """
        while not deadline.over:
            patience = deadline.left() if silence is None else min(silence, deadline.left())
            try:
                event = self._first.popleft() if self._first else self._next(patience)
            except queue.Empty:
                deadline.left()  # which raises when it is the limit of the whole that is over
                return None
            found = see(event)
            if found is not None:
                return found
        return None

    def _next(self, patience: float) -> Event:
        event = self.events.get(timeout=patience)
        if self.heard is not None:
            self.heard.append(event)
        return event

    def hear(self) -> None:
        """What has come by now is `heard`, though nobody has waited for it yet."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._first.append(self._next(0))

    def put_back(self, events: list[Event]) -> None:
        """Let the next wait() see these first: they were not for the last one."""
        self._first.extendleft(reversed(events))

    def close(self) -> None:
        """Kill QEMU if it still runs, close the channels."""
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
