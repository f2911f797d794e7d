# SPDX-License-Identifier: GPL-2.0-only
"""Saving and restoring L1 with QEMU, while the VMM of its first guest waits.

The boot of L1 and the start of a VMM in it are half of a nested cell. The second time that the
same L1 is to run the same guest it is saved on the way, from then on it is restored. The guest
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
from harness.hosts.l1.saved import DEVICE, RAM, SAID, OpenState, SavedState, copy_memory
from harness.hosts.qemu.memory import find_memfd
from harness.hosts.qemu.process import QemuProcess

WAITING = ["-incoming", "defer"]  # QEMU waits for the machine that it is to be
PAUSE = 0.003  # seconds between looks at a migration
SETTLED = 0.02  # seconds for what a stopped machine has said to arrive


class Restful(Protocol):
    """An L1 that can be brought to rest, and back."""

    def unmount(self, deadline: Deadline) -> bool: ...

    def wake(self, deadline: Deadline) -> None: ...

    def adopt(self, stream: str) -> Job: ...


class L1Snapshot:
    """A Snapshot (harness/hosts/host.py) of L1, whose memory is a memfd of `size` bytes."""

    def __init__(
        self, host: Restful, process: QemuProcess, state: SavedState, size: int, *, restored: bool
    ) -> None:
        self.pending = True
        self.restored = restored
        self._host = host
        self._process = process
        self._state = state
        self._size = size

    def wake(self, stream: str, deadline: Deadline) -> Job:
        """Set the timers of a restored L1 going; return the VMM that waits in it."""
        self.pending = False
        self._host.wake(deadline)
        return self._host.adopt(stream)

    def take(self, deadline: Deadline) -> None:
        """Save L1, which is stopped meanwhile, if that can be done.

        Raise MachineError when L1 cannot go on.
        """
        if self._host.unmount(deadline):
            self._state.save(lambda folder: self._write(folder, deadline))
            self._process.execute("cont")
        self.skip()

    def skip(self) -> None:
        """Do not save L1."""
        self.pending = False
        self._process.record(on=False)

    def _write(self, folder: Path, deadline: Deadline) -> None:
        process = self._process
        process.execute("stop")
        time.sleep(SETTLED)
        process.poll()
        # An answer of the agent's belongs to a question of its own run.
        said = [
            (event.source, event.line)
            for event in process.recorded_events or ()
            if event.source != agent.CHANNEL or event.line == agent.READY
        ]
        for log in process.logs.glob("*.log"):
            shutil.copyfile(log, folder / log.name)
        _keep_shared_memory(process)
        process.execute("migrate", uri=f"file:{folder / DEVICE}")
        _wait_migrated(process, deadline)
        memory = find_memfd(process.pid, self._size)
        if memory is None:
            raise MachineError("the machine's memory is not to be found")
        with memory.open("rb") as source, (folder / RAM).open("wb") as target:
            copy_memory(source.fileno(), target.fileno(), self._size)
        (folder / SAID).write_text(json.dumps(said))


def restore(process: QemuProcess, state: OpenState, deadline: Deadline) -> None:
    """Let a QEMU that waits for a machine have this one, and run it.

    QEMU has inherited `state.device`. Raise MachineError when it cannot go on.
    """
    try:
        _keep_shared_memory(process)
        process.execute("migrate-incoming", uri=f"file:/dev/fd/{state.device}")
        _wait_migrated(process, deadline)
        process.execute("cont")
    except MachineError as error:
        raise MachineError("; ".join(process.words() or [str(error)])) from None


@contextlib.contextmanager
def memory_file() -> Iterator[int]:
    """Make a new, empty file in memory: its descriptor.

    QEMU leaves shared memory out of a migration only when its file has a name
    (system/physmem.c, RAM_NAMED_FILE), as /dev/fd/N is one.
    """
    memory = os.memfd_create("s2eval-l1")
    try:
        yield memory
    finally:
        os.close(memory)


def _keep_shared_memory(process: QemuProcess) -> None:
    """Memory in files is not migrated: it stays, or is copied."""
    capability = {"capability": "x-ignore-shared", "state": True}
    process.execute("migrate-set-capabilities", capabilities=[capability])


def _wait_migrated(process: QemuProcess, deadline: Deadline) -> None:
    while not deadline.over:
        found = process.execute("query-migrate")
        if found.get("status") == "completed":
            return
        if found.get("status") in ("failed", "cancelled"):
            raise MachineError(f"QEMU cannot migrate: {found.get('error-desc', 'no reason given')}")
        time.sleep(PAUSE)
    raise MachineError("QEMU does not come to an end with its migration")
