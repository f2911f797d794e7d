# SPDX-License-Identifier: GPL-2.0-only
"""What the guests of this process take: memory and CPU time of their VMMs, read from /proc."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.evaluate.events import Event, GuestStarted
from harness.results.records import Usage

PERIOD = 0.2  # seconds between looks; the kernel itself keeps the peak of the memory
Process = tuple[int, str]  # process id and start time: ids come round again


@dataclass(frozen=True)
class Sample:
    """One process: its peak memory in MiB (resident, shared pages included), seconds of CPU."""

    memory_mib: float
    cpu_seconds: float


class Meter:
    """A listener of GuestStarted, and a context manager that watches those guests' processes.

    All that a VMM's process has started counts as its, whatever it is called.
    """

    def __init__(self) -> None:
        self._guests: set[int] = set()
        self._seen: dict[Process, Sample] = {}
        self._taken: dict[Process, float] = {}  # seconds of CPU that were told already
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="meter", daemon=True)

    def __enter__(self) -> Meter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def __call__(self, event: Event) -> None:
        """Watch the process of a guest that has started."""
        if isinstance(event, GuestStarted) and event.pid:
            with self._lock:
                self._guests.add(event.pid)

    def take(self) -> Usage | None:
        """Return the peak, and the CPU time since the last take(); None when there was no guest."""
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
            with self._lock:
                guests = list(self._guests)
            for pid in guests:
                found = tree(pid)
                self.add(found)
                if not found:  # it has ended
                    with self._lock:
                        self._guests.discard(pid)

    def add(self, found: Mapping[Process, Sample]) -> None:
        """Keep what processes have taken since they were started."""
        with self._lock:
            self._seen.update(found)


def tree(pid: int, proc: Path = Path("/proc")) -> dict[Process, Sample]:
    """Return the process `pid` and all that it has started and that is still there."""
    found: dict[Process, Sample] = {}
    left = [pid]
    while left:
        one = left.pop()
        with contextlib.suppress(OSError, KeyError, ValueError):  # one that has ended
            start, sample = _sample(proc / str(one))
            found[one, start] = sample
        for task in (proc / str(one) / "task").glob("*/children"):
            with contextlib.suppress(OSError):  # a thread that has ended
                left += [int(child) for child in task.read_text().split()]
    return found


def _sample(folder: Path) -> tuple[str, Sample]:
    """Return start time and figures of one process (proc(5)); KeyError when it has no memory."""
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])  # the third field of stat(5) is the first here
    status = dict(
        line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line
    )
    memory = int(status["VmHWM"].split()[0]) / 1024
    return fields[19], Sample(memory, ticks / os.sysconf("SC_CLK_TCK"))
