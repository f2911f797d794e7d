# SPDX-License-Identifier: GPL-2.0-only
"""Progress as plain lines on standard error, for a log or a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from harness.base.text import clean
from harness.evaluate.events import CellDone, Event, Note, PhaseBegan
from harness.evaluate.progress import Snapshot, duration

HEARTBEAT = 30.0  # seconds without a line, after which a line says what still runs


def done_line(event: CellDone) -> str:
    """Return the line of a cell that has ended."""
    text = f"{event.status.value:5} {event.cell} ({event.seconds:.1f} s) {clean(event.summary)}"
    return text.rstrip()


class LineView:
    """A View that prints a line for each event, and a sign of life after HEARTBEAT seconds."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._last_line = clock()

    def start(self, _look: Callable[[], Snapshot]) -> None:
        """Do nothing: lines need no thread that draws them."""

    def stop(self) -> None:
        """Do nothing: no line has to be removed."""

    def event(self, event: Event, now: Snapshot) -> None:
        """Print the line of an event."""
        if isinstance(event, PhaseBegan):
            self._print(f"{event.cell}: {event.phase}")
        elif isinstance(event, Note):
            cell = f"{event.cell}: " if event.cell and len(now.running) > 1 else ""
            self._print(f"  {cell}{clean(event.text)}")
        elif isinstance(event, CellDone):
            self._print(done_line(event))

    def tick(self, now: Snapshot) -> None:
        """Print what still runs, and how far the run is where that is known, after a silence."""
        if self._clock() - self._last_line < HEARTBEAT:
            return
        cells = ", ".join(f"{r.cell}: {r.phase} {duration(r.phase_seconds)}" for r in now.running)
        overall = [f"  {now.words()}"] if now.total else []
        self._print("\n".join([f"  still {cells or 'waiting'}", *overall]))

    def _print(self, line: str) -> None:
        self._last_line = self._clock()
        self._stream.write(line + "\n")
        self._stream.flush()
