# SPDX-License-Identifier: GPL-2.0-only
"""One QEMU process with its channels: started, watched, and always gone at the end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from harness.deadline import Deadline
from harness.errors import MachineError
from harness.guest.channel import Channel, Event, Events
from harness.guest.qmp import Qmp

T = TypeVar("T")
PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """In the child: be killed when the harness is, even by SIGKILL."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class QemuProcess:
    """A context manager around one QEMU.

    `channels` names the sockets that QEMU's chardevs connect to; each is logged to
    `logs/NAME.log` and cut into `events`. The end of the process is the event
    (`"qemu"`, None); QEMU's own words are in `logs/qemu.log`.
    """

    def __init__(self, logs: Path, channels: list[str]) -> None:
        self.logs = logs
        self.events: Events = queue.Queue()
        self.folder = Path(tempfile.mkdtemp(prefix="s2eval-"))
        self.command: list[str] = []
        self._names = channels
        self._channels: dict[str, Channel] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._waiter: threading.Thread | None = None
        self.qmp: Qmp | None = None

    def __enter__(self) -> QemuProcess:
        try:
            for name in self._names:
                log = self.logs / f"{name}.log"
                self._channels[name] = Channel(self.folder, name, self.events, log)
            self.qmp = Qmp(self.folder / "qmp", self.events)
            self.qmp.wait_listening()
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

    def chardev(self, name: str) -> str:
        """The chardev option that connects to the channel (or the monitor) `name`."""
        return f"socket,id={name},path={str(self.folder / name).replace(',', ',,')}"

    @property
    def gdb_socket(self) -> Path:
        return self.folder / "gdb"

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def start(self, command: list[str], env: Mapping[str, str] | None = None) -> None:
        """Start QEMU; MachineError when the binary cannot be run."""
        self.command = command
        with (self.logs / "qemu.log").open("wb") as log:
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=dict(env) if env is not None else None,
                    start_new_session=True,  # Ctrl-C is the harness's to handle
                    preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no locks
                )
            except OSError as error:
                raise MachineError(f"{command[0]}: {error.strerror}") from None
        self._waiter = threading.Thread(target=self._wait, name="qemu-exit", daemon=True)
        self._waiter.start()

    def _wait(self) -> None:
        if self._process:
            self._process.wait()
        self.events.put(Event("qemu", None))

    @property
    def returncode(self) -> int | None:
        return self._process.poll() if self._process else None

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
        `deadline.over` tells.
        """
        while not deadline.over:
            patience = deadline.left() if silence is None else min(silence, deadline.left())
            try:
                event = self.events.get(timeout=patience)
            except queue.Empty:
                return None
            found = see(event)
            if found is not None:
                return found
        return None

    def close(self) -> None:
        """Kill QEMU if it still runs, close the channels, remove the sockets."""
        if self._process and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._waiter:
            self._waiter.join(timeout=5)
        for channel in self._channels.values():
            channel.close()
        if self.qmp:
            self.qmp.close()
        shutil.rmtree(self.folder, ignore_errors=True)
