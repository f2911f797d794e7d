# SPDX-License-Identifier: GPL-2.0-only
"""Tasks of an idle machine that are blocked, with their stacks: read in its memory.

The kernel's own hung-task detector takes twice its time-out to tell of them, and is not in every
kernel. The few offsets that are needed come with the build (asm-offsets.h), but for that of the
list of tasks, which is found by what it links.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from harness.base.deadline import Deadline
from harness.hosts.qemu.gdbstub import GdbStub
from harness.kernel.addresses.symbols import FIRST_TASK, Symbols

OFFSETS = "kbuild/include/generated/asm-offsets.h"  # beside the Image of a stored build
SIZE = 8192  # bytes of a task_struct, at most
LIMIT = 2000  # tasks
COMM = 16  # TASK_COMM_LEN
NAME = b"swapper"  # how the first task's comm begins (init/init_task.c)
UNINTERRUPTIBLE, NOLOAD = 0x2, 0x400  # include/linux/sched.h: __state, and TASK_IDLE's other bit
SAVED = 80  # fp, sp and pc in struct cpu_context, behind x19 to x28 (asm/processor.h)
_DEFINE = re.compile(r"^#define (TSK_STACK|THREAD_CPU_CONTEXT) (\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Sleeper:
    """A task that sleeps where no signal reaches it: its name, and where it will go on."""

    name: str
    pc: int
    frame: int


class Tasks:
    """The tasks of the stopped machine that runs the kernel `image`.

    Its methods raise MachineError like the stub.
    """

    def __init__(
        self, stub: GdbStub, symbols: Symbols, image: Path, ram: int, deadline: Deadline
    ) -> None:
        self._stub = stub
        self._deadline = deadline
        self._first = symbols.physical(FIRST_TASK, ram)
        try:
            text = (image.parent / OFFSETS).read_text(encoding="ascii", errors="replace")
        except OSError:
            text = ""
        self._offsets = {match[1]: int(match[2]) for match in _DEFINE.finditer(text)}

    def blocked(self) -> list[Sleeper]:
        """Return the tasks in uninterruptible sleep, the oldest first.

        Return none where the kernel's offsets are unknown.
        """
        if self._first is None or len(self._offsets) < 2:
            return []
        with self._stub.physical(self._deadline):
            first = self._stub.read_memory(self._first, SIZE, self._deadline) or b""
        comm = first.find(NAME)
        if comm < 0:
            return []
        for offset in range(0, len(first) - 16, 8):
            tasks = self._linked(struct.unpack_from("<Q", first, offset)[0], offset, comm)
            if len(tasks) > 1:
                return [
                    Sleeper(name, *saved)
                    for task, name in tasks.items()
                    if (saved := self._sleeps(task))
                ]
        return []

    def _linked(self, link: int, offset: int, comm: int) -> dict[int, str]:
        """Return the names of the tasks that the list at `offset` holds, by address.

        `link` is the first task's link to the next one. Return none where there is no such list.
        """
        head = None
        tasks: dict[int, str] = {}
        while link != head:
            task = link - offset
            if link % 8 or link >> 48 != 0xFFFF or task in tasks or len(tasks) == LIMIT:
                return {}
            name = self._stub.read_memory(task + comm, COMM, self._deadline)
            links = self._stub.read_memory(link, 16, self._deadline) if _is_name(name) else None
            if name is None or links is None:
                return {}
            tasks[task] = name.partition(b"\0")[0].decode("ascii")
            link, before = struct.unpack("<QQ", links)
            head = before if head is None else head
        return tasks

    def _sleeps(self, task: int) -> tuple[int, int] | None:
        """Return the pc and the frame of a task in uninterruptible sleep, None for any other."""
        # __state is the word before `stack`; in 6.12 saved_state stands between the two.
        at = task + self._offsets["TSK_STACK"] - 8
        state = int.from_bytes(self._stub.read_memory(at, 4, self._deadline) or b"", "little")
        if not state & UNINTERRUPTIBLE or state & NOLOAD:
            return None
        at = task + self._offsets["THREAD_CPU_CONTEXT"] + SAVED
        saved = self._stub.read_memory(at, 24, self._deadline)
        if saved is None:
            return None
        frame, _, pc = struct.unpack("<QQQ", saved)
        return pc, frame


def _is_name(data: bytes | None) -> bool:
    """Return whether `data` can be a task's comm."""
    name, zero, _ = (data or b"").partition(b"\0")
    return bool(zero and name) and all(0x20 <= byte < 0x7F for byte in name)
