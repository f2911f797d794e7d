# SPDX-License-Identifier: GPL-2.0-only
"""States of hosts under test on disk: L1 with a guest's VMM in it, before its first instruction.

    states/KEY/ram          L1's memory, with holes where it is zero
    states/KEY/device       the rest of the machine, as QEMU migrates it
    states/KEY/said.json    the events of L1 and the VMM until then: [source, line] each
    states/KEY/*.log        the channels' logs until then
    states/KEY/coverage     the instructions executed until then, of an L1 that records them
    states/KEY/asked        a run wanted this state once
    states/KEY/refused      saving this state failed: it is not tried again

harness/hosts/l1/snapshot.py saves L1 as a state and restores L1 from a state.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from harness.base import paths
from harness.base.errors import MachineError
from harness.base.signals import signals_held
from harness.hosts.events import Event

FORMAT = "1"  # of a state's files; it is part of KEY
KEPT = 6  # states; each takes some 110 MB
FORGOTTEN = 14 * 24 * 3600.0  # seconds after which `asked` and `refused` do not count any more
STAGED = ".new-"
PIECE = 64 * 1024  # bytes; a hole in the memory's file is no smaller
RAM, DEVICE, SAID, ASKED, REFUSED = "ram", "device", "said.json", "asked", "refused"
COVERAGE = "coverage"


class OpenState:
    """A state that is being restored. A context manager that closes the state's files.

    The files stay readable although another run may replace or remove their folder meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        """Raise OSError when not all of the files are there."""
        self._name = folder
        with contextlib.ExitStack() as stack:
            self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, self._folder)
            self.device, self._ram, self._events = (
                self._file(name, stack) for name in (DEVICE, RAM, SAID)
            )
            self._logs = {
                name: self._file(name, stack)
                for name in os.listdir(self._folder)  # noqa: PTH208 - what is open, not a path
                if name.endswith(".log")
            }
            os.utime(self._events)  # _prune() removes the states first whose time is oldest
            self._stack = stack.pop_all()

    def _file(self, name: str, stack: contextlib.ExitStack) -> int:
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder)
        stack.callback(os.close, file)
        return file

    def __enter__(self) -> OpenState:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def copy_logs(self, folder: Path) -> None:
        """Copy the logs until the save into a cell's folder, where the channels append to them."""
        for name, file in self._logs.items():
            (folder / name).write_bytes(os.pread(file, os.fstat(file).st_size, 0))

    def copy_coverage(self, record: Path) -> None:
        """Copy the record of what L1 executed until the save to the file `record`, if there is one.

        Raise OSError when it cannot be copied.
        """
        with contextlib.suppress(FileNotFoundError):
            saved = os.open(COVERAGE, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder)
            with os.fdopen(saved, "rb") as source, record.open("wb") as target:
                shutil.copyfileobj(source, target)

    def events(self) -> list[Event]:
        """Return L1's events until the save. Raise MachineError when their file is malformed."""
        try:
            text = os.pread(self._events, os.fstat(self._events).st_size, 0)
            return [Event(*item) for item in json.loads(text)]
        except (TypeError, ValueError):
            raise MachineError(f"{self._name / SAID}: not what was written there") from None

    def fill(self, memory: int) -> None:
        """Copy L1's memory into the file with the descriptor `memory`, with holes for zeros."""
        os.ftruncate(memory, os.fstat(self._ram).st_size)
        for start, end in _extents(self._ram):
            offset = os.lseek(memory, start, os.SEEK_SET)
            while offset < end:
                offset += os.sendfile(memory, self._ram, offset, end - offset)


@dataclass(frozen=True)
class SavedState:
    """The folder of one state, whether the state is there or not."""

    folder: Path

    @property
    def exists(self) -> bool:
        """Return whether the state was saved whole."""
        return (self.folder / SAID).is_file()

    def open(self) -> OpenState | None:
        """Return the state, opened; None when there is none or a file of it is missing."""
        try:
            return OpenState(self.folder)
        except OSError:
            return None

    def request(self) -> bool:
        """Note that a run wants this state; return whether one did before, and none failed."""
        if (self.folder / REFUSED).exists():
            return False
        was_wanted = (self.folder / ASKED).exists()
        with contextlib.suppress(OSError):
            self.folder.mkdir(exist_ok=True)
            (self.folder / ASKED).touch()
        return was_wanted

    def discard(self) -> None:
        """Remove the state, if it is there."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def refuse(self) -> None:
        """Remove the state and note that saving it failed, so that request() returns False."""
        self.discard()
        with contextlib.suppress(OSError):
            self.folder.mkdir(exist_ok=True)
            (self.folder / REFUSED).touch()

    def save(self, write: Callable[[Path], None]) -> None:
        """Call `write` with an empty folder, which becomes this state when `write` returns.

        Nothing is saved when there is no room, `write` raises MachineError, or another run saves a
        state at this moment.
        """
        states = self.folder.parent
        try:
            with FileLock(states / "lock", timeout=0):
                _prune(states)
                with _staged(states) as staged:
                    write(staged)
                    self.discard()
                    staged.rename(self.folder)
        except (Timeout, OSError, MachineError):
            pass


@contextlib.contextmanager
def _staged(states: Path) -> Iterator[Path]:
    """Yield a new folder in `states`, which is removed at the end if it is still there.

    A signal does not cut the removal in two. QEMU may create its file meanwhile, once: a folder
    that is not empty any more is removed again.
    """
    folder = states / f"{STAGED}{os.getpid()}"
    try:
        folder.mkdir()
        yield folder
    finally:
        with signals_held():
            for _ in range(2):
                shutil.rmtree(folder, ignore_errors=True)


def state_of(machine: Sequence[str], guest: Sequence[str], emulator: Path) -> SavedState:
    """Return the state of an L1 with a guest's VMM, whether the state is there or not.

    Its key is a hash of `machine` (QEMU's command line and version), `guest` (all that L1 and the
    guest are made of), and size and time of the program `emulator`.
    """
    binary = emulator.stat()
    parts = [FORMAT, *machine, *guest, str(binary.st_size), str(binary.st_mtime_ns)]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
    return SavedState(paths.cache_dir("states") / key)


def copy_memory(source: int, target: int, size: int) -> None:
    """Copy `size` bytes from the file `source` to `target`, with holes for what is zero."""
    zeros = bytes(PIECE)
    for start, end in _extents(source):
        for offset in range(start, end, PIECE):
            data = os.pread(source, min(PIECE, end - offset), offset)
            if data != zeros[: len(data)]:
                os.pwrite(target, data, offset)
    os.ftruncate(target, size)


def _extents(file: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each part of a file that is no hole."""
    end = 0
    while True:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            raise
        end = os.lseek(file, start, os.SEEK_HOLE)
        yield start, end


def _prune(states: Path) -> None:
    """Remove all states but the KEPT - 1 used last, unfinished states and old marks.

    The caller holds the lock.
    """
    for unfinished in states.glob(f"{STAGED}*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    for mark in [*states.glob(f"*/{ASKED}"), *states.glob(f"*/{REFUSED}")]:
        if time.time() - mark.stat().st_mtime > FORGOTTEN:
            shutil.rmtree(mark.parent, ignore_errors=True)
    last_used = {path.parent: path.stat().st_mtime for path in states.glob(f"*/{SAID}")}
    for folder in sorted(last_used, key=lambda state: last_used[state], reverse=True)[KEPT - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)
