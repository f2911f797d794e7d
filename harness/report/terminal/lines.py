# SPDX-License-Identifier: GPL-2.0-only
"""Progress as plain lines on standard error: for a log, or whoever reads a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from harness.base.text import clean
from harness.evaluate.events import CellDone, Event, Note, PhaseBegan
from harness.evaluate.progress import Snapshot, duration

HEARTBEAT = 30.0  # seconds without a line, after which one says that all is well


def done_line(event: CellDone) -> str:
    """Return the line of a cell that is over."""
    text = f"{event.status.value:5} {event.cell} ({event.seconds:.1f} s) {clean(event.summary)}"
    return text.rstrip()


class LineView:
    """A View: a line for each event, and a sign of life when there was none for long."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._last_line = clock()

    def start(self, _look: Callable[[], Snapshot]) -> None:
        """See View."""

    def stop(self) -> None:
        """See View."""

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
        """Print that all is well: a line for what runs, one for the whole where it is known."""
        if self._clock() - self._last_line < HEARTBEAT:
            return
        cells = ", ".join(f"{r.cell}: {r.phase} {duration(r.phase_seconds)}" for r in now.running)
        whole = [f"  {now.words()}"] if now.total else []
        self._print("\n".join([f"  still {cells or 'waiting'}", *whole]))

    def _print(self, line: str) -> None:
        self._last_line = self._clock()
        self._stream.write(line + "\n")
        self._stream.flush()
