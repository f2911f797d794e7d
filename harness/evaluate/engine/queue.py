# SPDX-License-Identifier: GPL-2.0-only
"""Which batch is next: longest first, within a budget of memory and CPUs.

What a batch takes is what its cells took last time; of one that never ran, the memory of its
machine is taken to be used up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.base.deadline import Deadline
from harness.evaluate.cell.batch import Batch
from harness.evaluate.engine.timings import Took, guess

# A guest waits for its virtual clock at times, and what waits can share a CPU.
OVERCOMMIT = 2.0
SHARE = 0.8  # of the memory that is available
QEMU_MIB = 150  # QEMU itself, beside its guest's memory
UNKNOWN_SECONDS = 3600.0  # longest first: what was never seen may be the longest


@dataclass(frozen=True)
class Budget:
    """What all batches together may take."""

    memory_mib: float
    cpus: float

    @classmethod
    def here(cls) -> Budget:
        """Return this machine's, as it is now, or what is left of this container's limit."""
        return cls(SHARE * available() / 2**20, OVERCOMMIT * len(os.sched_getaffinity(0)))


def available(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes of memory that are free: proc(5), and no more than a cgroup (v2) grants."""
    lines = (proc / "meminfo").read_text().splitlines()
    free = next(int(n.split()[1]) for n in lines if n.startswith("MemAvailable:")) * 1024
    try:
        limit, used = (int((cgroup / f"memory.{n}").read_text()) for n in ("max", "current"))
    except (OSError, ValueError):  # no such file, or `max`: no limit
        return free
    return min(free, max(0, limit - used))


def takes(batch: Batch, known: Mapping[str, Took]) -> Took:
    """Return what a batch will take: the seconds of its cells together, of the rest the most."""
    guesses = [guess(request.name, known) for request in batch]
    machine = batch[0].machine
    return Took(
        seconds=sum(took.seconds if took else UNKNOWN_SECONDS for took in guesses),
        memory_mib=max(
            took.memory_mib if took else machine.memory_mib + QEMU_MIB for took in guesses
        ),
        cpus=max(took.cpus if took else float(machine.smp) for took in guesses),
    )


def fits(wanted: Took, running: Iterable[Took], budget: Budget) -> bool:
    """Whether a batch may be started beside those that run; alone it always may."""
    others = list(running)
    memory = sum(took.memory_mib for took in others) + wanted.memory_mib
    cpus = sum(took.cpus for took in others) + wanted.cpus
    return not others or (memory <= budget.memory_mib and cpus <= budget.cpus)


class RunLimit:
    """The seconds after which a run starts no other cell; None: any."""

    def __init__(self, seconds: float | None) -> None:
        self.reason = (
            "" if seconds is None else (f"the plan's limit of {seconds:g} s for the run is reached")
        )
        self._deadline = Deadline(seconds) if seconds is not None else None

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self._deadline is not None and self._deadline.over


class Order:
    """Says which batch is to be started next, until it is told to `stop`.

    With a `budget`, longest first; without, one after the other in the plan's order. `built`
    tells whether a batch's kernel is in the store: of two that are not, in one source tree, the
    second would only wait for the first.
    """

    def __init__(
        self,
        batches: Sequence[Batch],
        known: Mapping[str, Took],
        budget: Budget | None,
        *,
        limit: RunLimit | None = None,
        built: Callable[[Batch], bool] = lambda _: True,
    ) -> None:
        self.stopped = ""
        self._batches = batches
        self._built = built
        self._budget = budget
        self._takes = [takes(batch, known) for batch in batches]
        self._waiting = list(range(len(batches)))
        if budget:
            self._waiting.sort(key=lambda n: -self._takes[n].seconds)
        self._limit = limit or RunLimit(None)

    def stop(self, reason: str) -> None:
        """Let no more batches be started; the first reason counts."""
        self.stopped = self.stopped or reason

    def over(self) -> bool:
        """Whether the run is to end before its last cell; `stopped` says why."""
        if self._limit.over:
            self.stop(self._limit.reason)
        return bool(self.stopped)

    @property
    def left(self) -> bool:
        """Whether there are batches that were not started."""
        return bool(self._waiting)

    def next(self, running: Sequence[int]) -> int | None:
        """Return the batch to be started beside those that run, None for none now."""
        if self.over():
            return None
        for number in self._waiting:
            if self._may(number, running):
                self._waiting.remove(number)
                return number
        return None

    def _may(self, number: int, running: Sequence[int]) -> bool:
        if not running or self._budget is None:
            return not running
        if not fits(self._takes[number], [self._takes[n] for n in running], self._budget):
            return False
        source = self._batches[number][0].kernel.source
        same = [n for n in running if self._batches[n][0].kernel.source == source]
        return not same or all(self._built(self._batches[n]) for n in (number, *same))
