# SPDX-License-Identifier: GPL-2.0-only
"""Saving and restoring L1 with QEMU, while the VMM of its first guest waits.

The boot of L1 and the start of a VMM in it are half of a nested cell. The second time that the
same L1 is to run the same guest, L1 is saved on the way; from then on L1 is restored. The guest
itself always boots.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.host import Job
from harness.hosts.l1 import agent
from harness.hosts.l1.saved import COVERAGE, DEVICE, RAM, SAID, OpenState, SavedState, copy_memory
from harness.hosts.qemu.memory import find_memfd
from harness.hosts.qemu.process import QemuProcess

WAITING = ["-incoming", "defer"]  # QEMU starts without a machine state and waits for one
PAUSE = 0.003  # seconds between looks at a migration
SETTLED = 0.02  # seconds in which the last output of a stopped machine arrives


class Suspendable(Protocol):
    """The methods of an L1 that a snapshot needs (harness/hosts/l1/link.py)."""

    def unmount(self, deadline: Deadline) -> bool:
        """Unmount the shared folder. Return False when it is in use."""

    def wake(self, deadline: Deadline) -> None:
        """Set the timers that QEMU does not save. Raise MachineError when that fails."""

    def adopt(self, stream: str) -> Job:
        """Return a job for the command of `stream` that a restored L1 runs already."""


class L1Snapshot:
    """A Snapshot (harness/hosts/host.py) of L1, whose memory is a memfd of `size` bytes."""

    def __init__(
        self,
        host: Suspendable,
        process: QemuProcess,
        state: SavedState,
        size: int,
        *,
        restored: bool,
    ) -> None:
        self.pending = True
        self.restored = restored
        self._host = host
        self._process = process
        self._state = state
        self._size = size

    def wake(self, stream: str, deadline: Deadline) -> Job:
        """Set the timers of a restored L1; return the job of the VMM that waits in L1.

        Raise MachineError when that fails.
        """
        self.pending = False
        self._host.wake(deadline)
        return self._host.adopt(stream)

    def take(self, deadline: Deadline) -> None:
        """Stop L1, save it if that can be done, and let it go on; `pending` is False afterwards.

        Raise MachineError when L1 cannot go on.
        """
        if self._host.unmount(deadline):
            self._state.save(lambda folder: self._write(folder, deadline))
            self._process.execute("cont")
        self.skip()

    def skip(self) -> None:
        """Do not save L1; `pending` is False afterwards."""
        self.pending = False
        self._process.record(on=False)

    def _write(self, folder: Path, deadline: Deadline) -> None:
        process = self._process
        process.execute("stop")
        time.sleep(SETTLED)
        process.poll()
        # An answer of the agent belongs to a question of this run: a restored L1 must not send it.
        events = [
            (event.source, event.line)
            for event in process.recorded_events or ()
            if event.source != agent.CHANNEL or event.line == agent.READY
        ]
        for log in process.logs.glob("*.log"):
            shutil.copyfile(log, folder / log.name)
        if (record := process.folder / COVERAGE).is_file():
            shutil.copyfile(record, folder / COVERAGE)
        _keep_shared_memory(process)
        process.execute("migrate", uri=f"file:{folder / DEVICE}")
        _wait_migrated(process, deadline)
        memory = find_memfd(process.pid, self._size)
        if memory is None:
            raise MachineError("the machine's memory is not to be found")
        with memory.open("rb") as source, (folder / RAM).open("wb") as target:
            copy_memory(source.fileno(), target.fileno(), self._size)
        (folder / SAID).write_text(json.dumps(events))


def restore(process: QemuProcess, state: OpenState, deadline: Deadline) -> None:
    """Load `state` into a QEMU that was started with WAITING, and let it run.

    QEMU has inherited the descriptor `state.device`. Raise MachineError, with QEMU's own message
    if there is one, when it cannot go on.
    """
    try:
        _keep_shared_memory(process)
        process.execute("migrate-incoming", uri=f"file:/dev/fd/{state.device}")
        _wait_migrated(process, deadline)
        process.execute("cont")
    except MachineError as error:
        raise MachineError("; ".join(process.output() or [str(error)])) from None


@contextlib.contextmanager
def memory_file() -> Iterator[int]:
    """Yield the descriptor of a new, empty file in memory, which is closed at the end.

    QEMU leaves shared memory out of a migration only when its file has a name
    (system/physmem.c, RAM_NAMED_FILE), as /dev/fd/N is one.
    """
    memory = os.memfd_create("s2eval-l1")
    try:
        yield memory
    finally:
        os.close(memory)


def _keep_shared_memory(process: QemuProcess) -> None:
    """Leave memory that is in files out of the migration; _write() and fill() copy it."""
    capability = {"capability": "x-ignore-shared", "state": True}
    process.execute("migrate-set-capabilities", capabilities=[capability])


def _wait_migrated(process: QemuProcess, deadline: Deadline) -> None:
    while not deadline.over:
        migration = process.execute("query-migrate")
        if migration.get("status") == "completed":
            return
        if migration.get("status") in ("failed", "cancelled"):
            reason = migration.get("error-desc", "no reason given")
            raise MachineError(f"QEMU cannot migrate: {reason}")
        time.sleep(PAUSE)
    raise MachineError("QEMU does not come to an end with its migration")
