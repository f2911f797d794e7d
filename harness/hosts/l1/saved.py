# SPDX-License-Identifier: GPL-2.0-only
"""States of hosts under test on disk: L1 with a guest's VMM in it, before its first instruction.

    states/KEY/ram          L1's memory, with holes where it is zero
    states/KEY/device       the rest of the machine, as QEMU migrates it
    states/KEY/said.json    what L1 and the VMM had said: [source, line] each
    states/KEY/*.log        the same as it came
    states/KEY/asked        somebody wanted it once
    states/KEY/refused      it cannot be saved

How QEMU makes one and goes on from one is in harness/hosts/l1/snapshot.py.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from harness.base import paths
from harness.base.errors import MachineError
from harness.hosts.events import Event

FORMAT = "1"  # of a state; one of another is not found
KEPT = 6  # states; each takes some 110 MB
FORGOTTEN = 14 * 24 * 3600.0  # seconds after which nobody knows that a state was asked for
STAGED = ".new-"
PIECE = 64 * 1024  # bytes; a hole in the memory's file is no smaller
RAM, DEVICE, SAID, ASKED, REFUSED = "ram", "device", "said.json", "asked", "refused"


class OpenState:
    """A state that is being restored: its files are open, whatever becomes of their folder.

    Another run may save or remove a state of this name meanwhile. A context manager.
    """

    def __init__(self, folder: Path) -> None:
        """Raise OSError when not all of the files are there."""
        self._name = folder
        with contextlib.ExitStack() as stack:
            self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, self._folder)
            self.device, self._ram, self._said = (
                self._file(name, stack) for name in (DEVICE, RAM, SAID)
            )
            self._logs = {
                name: self._file(name, stack)
                for name in os.listdir(self._folder)  # noqa: PTH208 - what is open, not a path
                if name.endswith(".log")
            }
            os.utime(self._said)  # the state used last goes last
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
        """Put what L1 had said into a cell's folder; its channels go on behind it."""
        for name, file in self._logs.items():
            (folder / name).write_bytes(os.pread(file, os.fstat(file).st_size, 0))

    def events(self) -> list[Event]:
        """Return what L1 had said, in the order in which it came. Raise MachineError."""
        try:
            text = os.pread(self._said, os.fstat(self._said).st_size, 0)
            return [Event(*one) for one in json.loads(text)]
        except (TypeError, ValueError):
            raise MachineError(f"{self._name / SAID}: not what was written there") from None

    def fill(self, memory: int) -> None:
        """Copy L1's memory into the file `memory`."""
        os.ftruncate(memory, os.fstat(self._ram).st_size)
        for start, end in _extents(self._ram):
            at = os.lseek(memory, start, os.SEEK_SET)
            while at < end:
                at += os.sendfile(memory, self._ram, at, end - at)


@dataclass(frozen=True)
class SavedState:
    """The place of one state."""

    folder: Path

    @property
    def exists(self) -> bool:
        return (self.folder / SAID).is_file()

    def open(self) -> OpenState | None:
        """Return the state to restore from; None when there is none, or none that is whole."""
        try:
            return OpenState(self.folder)
        except OSError:
            return None

    def request(self) -> bool:
        """Write down that this state was wanted; return whether it had been wanted before."""
        if (self.folder / REFUSED).exists():
            return False
        before = (self.folder / ASKED).exists()
        with contextlib.suppress(OSError):
            self.folder.mkdir(exist_ok=True)
            (self.folder / ASKED).touch()
        return before

    def discard(self) -> None:
        """Remove a state that is no good, or not wanted any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def refuse(self) -> None:
        """Write down that saving went wrong: that is not tried again."""
        self.discard()
        with contextlib.suppress(OSError):
            self.folder.mkdir(exist_ok=True)
            (self.folder / REFUSED).touch()

    def save(self, write: Callable[[Path], None]) -> None:
        """Let `write` fill a folder, which becomes this state when that has gone well.

        Nothing is saved without room, and while another run saves one.
        """
        states = self.folder.parent
        try:
            with FileLock(states / "lock", timeout=0):
                _prune(states)
                with tempfile.TemporaryDirectory(dir=states, prefix=STAGED) as name:
                    staged = Path(name, "state")
                    staged.mkdir()
                    write(staged)
                    self.discard()
                    staged.rename(self.folder)
        except (Timeout, OSError, MachineError):
            pass


def state_of(machine: Sequence[str], guest: Sequence[str], emulator: Path) -> SavedState:
    """Return the place of the state of an L1 with a guest, whether it is there or not.

    `machine` is how QEMU is started and its version, `guest` all that L1 and the guest are made
    of; `emulator` is the program.
    """
    binary = emulator.stat()
    parts = [FORMAT, *machine, *guest, str(binary.st_size), str(binary.st_mtime_ns)]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
    return SavedState(paths.cache_dir("states") / key)


def copy_memory(source: int, target: int, size: int) -> None:
    """Copy what is not zero of `size` bytes to the same place, and leave holes for the rest."""
    zeros = bytes(PIECE)
    for start, end in _extents(source):
        for offset in range(start, end, PIECE):
            data = os.pread(source, min(PIECE, end - offset), offset)
            if data != zeros[: len(data)]:
                os.pwrite(target, data, offset)
    os.ftruncate(target, size)


def _extents(file: int) -> Iterator[tuple[int, int]]:
    """Start and end of each part of a file that is no hole."""
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
    """Make room for one more; what was not finished goes, too. The lock is held."""
    for left in states.glob(f"{STAGED}*"):
        shutil.rmtree(left, ignore_errors=True)
    for mark in [*states.glob(f"*/{ASKED}"), *states.glob(f"*/{REFUSED}")]:
        if time.time() - mark.stat().st_mtime > FORGOTTEN:
            shutil.rmtree(mark.parent, ignore_errors=True)
    last_used = {path.parent: path.stat().st_mtime for path in states.glob(f"*/{SAID}")}
    for folder in sorted(last_used, key=lambda one: last_used[one], reverse=True)[KEPT - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)
