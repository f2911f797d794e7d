# SPDX-License-Identifier: GPL-2.0-only
"""The time in which a process could not run, though it wanted to: it waits for a CPU or is stopped.

A QEMU that other processes keep from running is slow; its guest is not silent.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

STOPPED = ("T", "t")  # proc_pid_stat(5): by a signal, by a tracer


class HeldTime:
    """Measures how long the process `pid` is kept from running, from the first take() on."""

    def __init__(self, pid: int, proc: Path = Path("/proc")) -> None:
        self._folder = proc / str(pid)
        self._delays: dict[str, int] = {}
        self._taken: float | None = None

    def take(self) -> float:
        """Return the seconds since the last call in which the process could not run; 0.0 at first.

        Of several threads the one that waited longest counts, for the others wait for that one.
        A process that is stopped now counts as stopped since the last call.
        """
        now, last = time.monotonic(), self._taken
        before, self._delays, self._taken = self._delays, self._read(), now
        if last is None:
            return 0.0
        if self._stopped():
            return now - last
        waited = max((d - before.get(t, d) for t, d in self._delays.items()), default=0)
        return min(waited / 1e9, now - last)

    def _read(self) -> dict[str, int]:
        """Return the nanoseconds that each thread has waited on a run queue.

        The second field of schedstat (Documentation/scheduler/sched-stats.rst). Kernels without
        CONFIG_SCHED_INFO have zeros there, or no such file.
        """
        delays = {}
        try:
            threads = os.listdir(self._folder / "task")  # noqa: PTH208 - names, often
        except OSError:
            return {}
        for thread in threads:
            try:
                fields = (self._folder / "task" / thread / "schedstat").read_text().split()
                delays[thread] = int(fields[1])
            except (OSError, IndexError, ValueError):  # a thread that has ended
                continue
        return delays

    def _stopped(self) -> bool:
        try:
            stat = (self._folder / "stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] in STOPPED
