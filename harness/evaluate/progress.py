# SPDX-License-Identifier: GPL-2.0-only
"""What is being done right now, on standard error.

A live view on a terminal, plain lines with a heartbeat elsewhere, nothing when quiet.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from harness.base.text import clean
from harness.results.records import Status

if TYPE_CHECKING:
    from harness.report.terminal.live import LiveView

TICK = 1.0  # seconds between looks at the clock
HEARTBEAT = 30.0  # seconds without a line, after which one says that all is well


@dataclass
class Running:
    """A cell that is being run: seconds since it and its phase began, and what it should take."""

    cell: str
    phase: str
    seconds: float
    phase_seconds: float
    expected: float | None
    note: str


@dataclass
class Snapshot:
    """A run as it is now. `left` is a guess of the seconds to go, None when there is none."""

    total: int = 0
    done: int = 0
    counts: dict[Status, int] = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)
    seconds: float = 0.0
    left: float | None = None

    def words(self) -> str:
        """`3 of 20 cells done (2 PASS, 1 FAIL), 65 s, about 120 s to go`."""
        counts = ", ".join(f"{n} {status.value}" for status, n in self.counts.items())
        done = f"{self.done} of {self.total} cells done" + (f" ({counts})" if counts else "")
        left = "" if self.left is None else f", about {duration(self.left)} to go"
        return f"{done}, {duration(self.seconds)}{left}"


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@dataclass
class _Cell:
    phase: str
    start: float
    phase_start: float
    note: str = ""


class Progress:
    """A context manager: `phase` as a cell goes on, `note` in between, `done` when it ends.

    Any thread may call. `clock` gives seconds, monotonic.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._clock = clock
        self._live: LiveView | None = None
        self._lock = threading.Lock()  # of the fields below: the live view reads them
        self._cells: dict[str, _Cell] = {}
        self._counts: Counter[Status] = Counter()
        self._expected: dict[str, float] = {}
        self._total = 0
        self._jobs = 1
        self._start = self._last_line = clock()
        self._watch: Callable[[Snapshot], None] = lambda _: None
        self._end = threading.Event()
        self._ticker: threading.Thread | None = None

    def plan(
        self,
        total: int,
        expected: Mapping[str, float],
        *,
        done: Counter[Status] | None = None,
        jobs: int = 1,
        watch: Callable[[Snapshot], None] = lambda _: None,
    ) -> None:
        """What is ahead: of `total` cells those that are not `done`, `jobs` of them at once.

        `expected` are the seconds of those that are known. `watch` is given a snapshot at each
        change and once a second.
        """
        with self._lock:
            self._total, self._expected, self._jobs = total, dict(expected), jobs
            self._counts = Counter(done)
        self._watch = watch

    def __enter__(self) -> Progress:
        if not self._quiet and self._stream.isatty() and os.environ.get("TERM") != "dumb":
            from harness.report.terminal.live import LiveView  # noqa: PLC0415 - rich takes 0.1 s

            self._live = LiveView(self._stream, self.snapshot)
        self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
        self._ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()
        self._end.set()
        if self._ticker:
            self._ticker.join()

    def phase(self, cell: str, name: str) -> None:
        """`cell` enters phase `name`."""
        now = self._clock()
        with self._lock:
            started = self._cells[cell].start if cell in self._cells else now
            self._cells[cell] = _Cell(name, started, now)
        self._watch(self.snapshot())
        if self._live is None:
            self._print(f"{cell}: {name}")

    def note(self, text: str, cell: str = "") -> None:
        """What a phase is at, e.g. the package it downloads; of the last cell, if none is named."""
        text = clean(text)
        with self._lock:
            mine = self._cells.get(cell or next(reversed(self._cells), ""))
            if mine:
                mine.note = text
            several = len(self._cells) > 1 and cell
        if self._live is None:
            self._print(f"  {cell}: {text}" if several else f"  {text}")

    def done(self, cell: str, status: Status, summary: str) -> None:
        """`cell` is over."""
        with self._lock:
            mine = self._cells.pop(cell, None)
            took = self._clock() - mine.start if mine else 0.0
            self._counts[status] += 1
        self._watch(self.snapshot())
        line = f"{status.value:5} {cell} ({took:.1f} s) {clean(summary)}".rstrip()
        if self._live is None:
            self._print(line)
        else:
            self._live.above(line, status)

    def snapshot(self) -> Snapshot:
        """How far the run is."""
        now = self._clock()
        with self._lock:
            running = [
                Running(
                    name,
                    cell.phase,
                    now - cell.start,
                    now - cell.phase_start,
                    self._expected.get(name),
                    cell.note,
                )
                for name, cell in self._cells.items()
            ]
            done = self._counts.total()
            seen = Snapshot(self._total, done, dict(self._counts), running, now - self._start)
            seen.left = self._left(seen)
        return seen

    def _left(self, seen: Snapshot) -> float | None:
        """The seconds to go, from what cells took last time, and their mean for the others."""
        if not self._expected or not seen.total:
            return None
        mean = sum(self._expected.values()) / len(self._expected)
        waiting = max(0, seen.total - seen.done - len(seen.running))
        rest = [max(0.0, (one.expected or mean) - one.seconds) for one in seen.running]
        whole = (waiting * mean + sum(rest)) / min(self._jobs, max(1, waiting + len(rest)))
        return max(whole, *rest, 0.0) or None

    def _tick(self) -> None:
        while not self._end.wait(TICK):
            seen = self.snapshot()
            self._watch(seen)
            if self._live is None and self._clock() - self._last_line >= HEARTBEAT:
                self._print("\n".join(self._beat(seen)))

    def _beat(self, seen: Snapshot) -> list[str]:
        """That all is well: a line for what runs, one for the whole where there is a plan."""
        where = ", ".join(f"{r.cell}: {r.phase} {duration(r.phase_seconds)}" for r in seen.running)
        return [f"  still {where or 'waiting'}", *([f"  {seen.words()}"] if seen.total else [])]

    def _print(self, line: str) -> None:
        if not self._quiet:
            self._last_line = self._clock()
            self._stream.write(line + "\n")
            self._stream.flush()
