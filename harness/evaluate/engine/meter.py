# SPDX-License-Identifier: GPL-2.0-only
"""What the guests of this process take: memory and CPU time of its QEMUs, read from /proc."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.results.records import Usage

PERIOD = 0.2  # seconds between looks; the kernel itself keeps the peak of the memory
NAME = "qemu-system"


@dataclass(frozen=True)
class Sample:
    """One process: its peak memory in MiB (resident, shared pages included), seconds of CPU."""

    memory_mib: float
    cpu_seconds: float


class Meter:
    """A context manager that watches the QEMUs this process has started."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, str], Sample] = {}
        self._taken: dict[tuple[int, str], float] = {}  # seconds of CPU that were told already
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="meter", daemon=True)

    def __enter__(self) -> Meter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def take(self) -> Usage | None:
        """The peak, and the CPU time since the last take(); None when no QEMU was seen."""
        with self._lock:
            seen, self._seen = self._seen, {}
        if not seen:
            return None
        memory = max(sample.memory_mib for sample in seen.values())
        cpu = sum(s.cpu_seconds - self._taken.get(key, 0.0) for key, s in seen.items())
        self._taken.update((key, s.cpu_seconds) for key, s in seen.items())
        return Usage(memory_mib=round(memory, 1), cpu_seconds=round(cpu, 2))

    def _watch(self) -> None:
        while not self._end.wait(PERIOD):
            self.saw(children(os.getpid()))

    def saw(self, found: Mapping[tuple[int, str], Sample]) -> None:
        """Keep what the processes have taken since they were started."""
        with self._lock:
            self._seen.update(found)


def children(pid: int, proc: Path = Path("/proc")) -> dict[tuple[int, str], Sample]:
    """The QEMUs among the children of `pid`, by process id and start time."""
    found = {}
    for task in (proc / str(pid) / "task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that has ended
            for child in task.read_text().split():
                with contextlib.suppress(OSError, KeyError, ValueError):  # one that has ended
                    start, sample = _sample(proc / child)
                    found[int(child), start] = sample
    return found


def _sample(folder: Path) -> tuple[str, Sample]:
    """Start time and figures of one process (proc(5)); KeyError when it is no QEMU."""
    name, _, rest = (folder / "stat").read_text().rpartition(")")
    if NAME not in name:
        raise KeyError(name)
    fields = rest.split()  # the third field of stat(5) is the first here
    ticks = int(fields[11]) + int(fields[12])
    status = dict(
        line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line
    )
    memory = int(status["VmHWM"].split()[0]) / 1024
    return fields[19], Sample(memory, ticks / os.sysconf("SC_CLK_TCK"))
