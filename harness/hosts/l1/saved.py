# SPDX-License-Identifier: GPL-2.0-only
"""Hosts under test that wait on disk: L1 with L2's VMM in it, before L2's first instruction.

The boot of L1 and the start of QEMU in it are half of a nested cell. The second time that the same
L1 is to run the same guest it is saved on the way, from then on it is restored. L2 always boots.

    states/KEY/ram          L1's memory, with holes where it is zero
    states/KEY/device       the rest of the machine, as QEMU migrates it
    states/KEY/said.json    what L1 and the VMM had said: [source, line] each
    states/KEY/*.log        the same as it came
    states/KEY/asked        somebody wanted it once
    states/KEY/refused      it cannot be saved
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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from harness.base import paths
from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.guests.launch import GuestFiles, command_line, l2_script
from harness.hosts.qemu.channel import Event
from harness.hosts.qemu.memory import find_memfd

if TYPE_CHECKING:
    from harness.hosts.machines.machine import Machine
    from harness.hosts.qemu.binary import QemuBinary
    from harness.hosts.qemu.process import QemuProcess

FORMAT = "1"  # of a state; one of another is not found
WAITING = ["-incoming", "defer"]  # QEMU waits for the machine that it is to be
KEPT = 6  # states; each takes some 110 MB
FORGOTTEN = 14 * 24 * 3600.0  # seconds after which nobody knows that a state was asked for
STAGED = ".new-"
PIECE = 64 * 1024  # bytes; a hole in the memory's file is no smaller
PAUSE = 0.003  # seconds between looks at a migration
SETTLED = 0.02  # seconds for what a stopped machine has said to arrive
RAM, DEVICE, SAID, ASKED, REFUSED = "ram", "device", "said.json", "asked", "refused"


@dataclass(frozen=True)
class SavedHost:
    """The place of one state."""

    folder: Path

    @property
    def exists(self) -> bool:
        return (self.folder / SAID).is_file()

    def asked_before(self) -> bool:
        """Whether somebody wanted it before; from now on somebody did."""
        if (self.folder / REFUSED).exists():
            return False
        before = (self.folder / ASKED).exists()
        with contextlib.suppress(OSError):
            self.folder.mkdir(exist_ok=True)
            (self.folder / ASKED).touch()
        return before

    def discard(self) -> None:
        """It is no good, or not wanted any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def refuse(self) -> None:
        """Something went wrong when it was saved: that is not tried again."""
        self.discard()
        with contextlib.suppress(OSError):
            self.folder.mkdir(exist_ok=True)
            (self.folder / REFUSED).touch()

    def logs(self, folder: Path) -> None:
        """Put what L1 had said into a cell's folder; its channels go on behind it."""
        for log in self.folder.glob("*.log"):
            shutil.copyfile(log, folder / log.name)

    def said(self) -> list[Event]:
        """What L1 had said, in the order in which it came."""
        os.utime(self.folder / SAID)  # the one used last goes last
        try:
            return [Event(*one) for one in json.loads((self.folder / SAID).read_bytes())]
        except (TypeError, ValueError):
            raise MachineError(f"{self.folder / SAID}: not what was written there") from None

    def fill(self, memory: int) -> None:
        """Copy L1's memory into the file."""
        with (self.folder / RAM).open("rb") as saved:
            os.ftruncate(memory, os.fstat(saved.fileno()).st_size)
            for start, end in _extents(saved.fileno()):
                at = os.lseek(memory, start, os.SEEK_SET)
                while at < end:
                    at += os.sendfile(memory, saved.fileno(), at, end - at)

    def restore(self, process: QemuProcess, deadline: Deadline) -> None:
        """Let a QEMU that waits for a machine have this one, and run it. MachineError."""
        try:
            _share(process)
            process.execute("migrate-incoming", uri=f"file:{self.folder / DEVICE}")
            _migrated(process, deadline)
            process.execute("cont")
        except MachineError as error:
            raise MachineError("; ".join(process.words() or [str(error)])) from None

    def save(self, process: QemuProcess, size: int, deadline: Deadline) -> None:
        """Save the machine, which is stopped meanwhile, if that can be done.

        MachineError when it cannot go on.
        """
        states = self.folder.parent
        try:
            with FileLock(states / "lock", timeout=0):
                _prune(states)
                with tempfile.TemporaryDirectory(dir=states, prefix=STAGED) as name:
                    staged = Path(name, "state")
                    staged.mkdir()
                    _write(process, size, staged, deadline)
                    self.discard()
                    staged.rename(self.folder)
        except (Timeout, OSError, MachineError):  # no room; another run saves one
            pass
        process.execute("cont")


@contextlib.contextmanager
def memory_file() -> Iterator[int]:
    """A new, empty file in memory: its descriptor.

    QEMU leaves shared memory out of a migration only when its file has a name
    (system/physmem.c, RAM_NAMED_FILE), as /dev/fd/N is one.
    """
    memory = os.memfd_create("s2eval-l1")
    try:
        yield memory
    finally:
        os.close(memory)


def state_of(machine: Machine, qemu: QemuBinary, image: Path, archive: Path) -> SavedHost | None:
    """Where the state of this L1 with this L2 is, or would be; None for what cannot be saved."""
    if machine.accel != "tcg" or machine.icount or not machine.device.saved:
        return None
    files = GuestFiles(Path("/"), image, archive)
    command = command_line(machine, qemu, files, str, gdb_socket=Path("gdb"), monitor=True)
    binary = qemu.path.stat()
    guest = [archive.name, l2_script(machine, monitor=True)]
    parts = [FORMAT, *command, *guest, qemu.version, str(binary.st_size), str(binary.st_mtime_ns)]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
    return SavedHost(paths.cache_dir("states") / key)


def _write(process: QemuProcess, size: int, folder: Path, deadline: Deadline) -> None:
    process.execute("stop")
    time.sleep(SETTLED)
    process.hear()
    # An answer of the agent's belongs to a question of its own run.
    said = [
        (event.source, event.line)
        for event in process.heard or ()
        if event.source != "agent" or event.line == "ready"
    ]
    for log in process.logs.glob("*.log"):
        shutil.copyfile(log, folder / log.name)
    _share(process)
    process.execute("migrate", uri=f"file:{folder / DEVICE}")
    _migrated(process, deadline)
    memory = find_memfd(process.pid, size)
    if memory is None:
        raise MachineError("the machine's memory is not to be found")
    with memory.open("rb") as source, (folder / RAM).open("wb") as target:
        _copy_data(source.fileno(), target.fileno())
        target.truncate(size)
    (folder / SAID).write_text(json.dumps(said))


def _share(process: QemuProcess) -> None:
    """Memory in files is not migrated: it stays, or is copied."""
    capability = {"capability": "x-ignore-shared", "state": True}
    process.execute("migrate-set-capabilities", capabilities=[capability])


def _migrated(process: QemuProcess, deadline: Deadline) -> None:
    while not deadline.over:
        found = process.execute("query-migrate")
        if found.get("status") == "completed":
            return
        if found.get("status") in ("failed", "cancelled"):
            raise MachineError(f"QEMU cannot migrate: {found.get('error-desc', 'no reason given')}")
        time.sleep(PAUSE)
    raise MachineError("QEMU does not come to an end with its migration")


def _copy_data(source: int, target: int) -> None:
    """What is not zero, to the same place."""
    zeros = bytes(PIECE)
    for start, end in _extents(source):
        for offset in range(start, end, PIECE):
            data = os.pread(source, min(PIECE, end - offset), offset)
            if data != zeros[: len(data)]:
                os.pwrite(target, data, offset)


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
    found = {path.parent: path.stat().st_mtime for path in states.glob(f"*/{SAID}")}
    for folder in sorted(found, key=lambda one: found[one], reverse=True)[KEPT - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)
