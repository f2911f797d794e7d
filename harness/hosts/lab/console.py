# SPDX-License-Identifier: GPL-2.0-only
"""The serial console of a lab host, behind a shell command of this computer, kept open and logged.

Its lines are events, classified as those of an L1's console are. A command that ends is started
again: a BMC ends its sessions when it likes, and when another one has the console.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
import time
from collections import deque
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.lasting_thread import in_lasting_thread
from harness.base.process import die_with_parent
from harness.base.signals import signals_held
from harness.base.text import clean
from harness.hosts.byte_stream import LineSplitter, StreamLog
from harness.hosts.events import Event, EventQueue
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.hostfile import HostFile

if TYPE_CHECKING:
    import pexpect

SOURCE = "console"  # of its events
READ = 65536  # bytes
LOOK = 0.1  # seconds between looks whether the console is to be closed
KEPT = 10_000  # lines that since() can give
AGAIN = 5  # times in a row that a command which ends early is started again
LASTS = 30.0  # seconds after which an end is not early any more
PAUSE = 1.0  # seconds before it is started again
ENDING = 5.0  # seconds for a command to end by itself
SAID = 200  # bytes of what a command said last


class Console(EventQueue):
    """The console of `host`, logged to the file `log`. A context manager, which closes it.

    Its lines are events of the source SOURCE, and (SOURCE, None) is put when the command cannot
    be kept running; `problem` is the LabError then. Others may put events into `events`, too.
    """

    def __init__(self, host: HostFile, log: Path) -> None:
        super().__init__()
        self.host = host
        self.problem: LabError | None = None
        self._path = log
        self._log = StreamLog()
        self._lines: deque[str] = deque(maxlen=KEPT)
        self._count = 0
        self._ended = ""  # how the command has ended last
        self._child: pexpect.spawn[bytes] | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        self.close()
        if self._log.problem and error is None:
            raise type(self._log.problem)(f"the log is not complete: {self._log.problem}")

    @property
    def there(self) -> bool:
        """Return whether the host has a console at all."""
        return bool(self.host.console)

    def open(self) -> None:
        """Start the command and its log; do nothing for a host without a console.

        Raise LabError when the command cannot be started, MachineError when it cannot be logged.
        """
        if not self.there or self._thread:
            return
        self._log.log_to(self._path)
        if self._log.problem:
            raise MachineError(str(self._log.problem))
        self._start()
        self._thread = threading.Thread(target=self._read, name="lab-console", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the command; all that came is in the log."""
        self._closing.set()
        if self._thread:
            self._thread.join()
        self._end()
        self._log.close()

    def log_to(self, path: Path) -> None:
        """Log what comes from now on to another file."""
        self._path = path
        if self._thread:
            self._log.log_to(path)

    def mark(self) -> int:
        """Return how many lines have come so far, for since()."""
        return self._count

    def since(self, mark: int) -> list[str]:
        """Return the lines that came after `mark`, the last KEPT of them at most."""
        lines = list(self._lines)
        return lines[max(0, len(lines) - (self._count - mark)) :]

    def type(self, text: str) -> bool:
        """Type `text` on the console. Return False when there is none now."""
        child = self._child
        if child is None:
            return False
        try:
            child.send(text)
        except OSError:
            return False
        return True

    def check(self, deadline: Deadline) -> str:
        """Return what the console printed until the deadline. Raise LabError when it does not stay.

        For a look at a console that is not used yet: it is opened, and closed again.
        """
        with self:
            mark = self.mark()
            self.open()
            while not deadline.over and not self._ended:
                self._closing.wait(min(LOOK, deadline.left()))
            if self._ended:
                raise LabError(self.host.name, Step.CONSOLE, self._ended)
            return "\n".join(clean(line) for line in self.since(mark))

    def _start(self) -> None:
        """Start the command on a terminal of its own, ended with this process."""
        import pexpect  # noqa: PLC0415 - only runs on lab hosts need it

        def spawn() -> pexpect.spawn[bytes]:
            return pexpect.spawn(
                "/bin/sh",
                ["-c", self.host.console],
                timeout=None,
                maxread=READ,
                echo=False,
                dimensions=(24, 200),
                preexec_fn=partial(die_with_parent, os.getpid()),
            )

        try:
            with signals_held():
                self._child = in_lasting_thread(spawn)
        except (OSError, pexpect.ExceptionPexpect) as error:
            raise LabError(self.host.name, Step.CONSOLE, f"{self.host.console}: {error}") from None
        self._child.delaybeforesend = None

    def _read(self) -> None:
        """Log and queue what comes; start a command again that ends, some times in a row."""
        early = 0
        while True:
            began = time.monotonic()
            said = self._read_child()
            how = self._end()
            if self._closing.is_set():
                return
            early = 1 if time.monotonic() - began > LASTS else early + 1
            self._note(f"the console command ended with {how}")
            self._ended = f"'{self.host.console}' ended with {how}: {said}"
            if early > AGAIN:
                cause = f"{self._ended} ({early} times in a row)"
                self.problem = LabError(self.host.name, Step.CONSOLE, cause, log=self._path)
                break
            if self._closing.wait(PAUSE):
                return
            try:
                self._start()
            except LabError as error:
                self.problem = error
                break
        self._put(Event(SOURCE, None))

    def _read_child(self) -> str:
        """Read until the command ends or the console is closed; return what it said last."""
        import pexpect  # noqa: PLC0415 - see _start()

        lines = LineSplitter(self._take)
        last = b""
        child = self._child
        while child and not self._closing.is_set():
            try:
                data = child.read_nonblocking(READ, timeout=LOOK)
            except pexpect.TIMEOUT:
                continue
            except (pexpect.EOF, OSError):
                break
            self._log.keep(data)
            lines.feed(data)
            last = (last + data)[-SAID:]
        lines.finish()
        return clean(last.replace(b"\r", b"").strip().rpartition(b"\n")[2]) or "it said nothing"

    def _take(self, line: str) -> None:
        self._lines.append(line)
        self._count += 1
        self._put(Event(SOURCE, line))

    def _note(self, text: str) -> None:
        self._log.keep(f"\n# s2eval: {text}\n".encode())

    def _put(self, event: Event) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(queue.Full):
                self.events.put(event, timeout=LOOK)
                return

    def _end(self) -> str:
        """End the command and all that it started; return how it ended."""
        child, self._child = self._child, None
        if child is None or child.pid is None:
            return "nothing"
        for number, seconds in ((signal.SIGHUP, ENDING), (signal.SIGKILL, None)):
            if _has_ended(child.pid, Deadline(0)):
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, number)
            if seconds and _has_ended(child.pid, Deadline(seconds)):
                break
        with contextlib.suppress(ProcessLookupError):  # what it has left in its group
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        child.close()
        if child.signalstatus:
            return f"signal {child.signalstatus}"
        return f"status {child.exitstatus}"


def _has_ended(pid: int, deadline: Deadline) -> bool:
    """Return whether the child `pid` has ended by the deadline; its status is not fetched.

    pexpect's isalive() waits without an end for a child that has closed its terminal.
    """
    while True:
        try:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return True
        except ChildProcessError:  # pexpect has its status already
            return True
        if deadline.over:
            return False
        time.sleep(0.01)
