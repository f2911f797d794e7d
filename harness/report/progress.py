# SPDX-License-Identifier: GPL-2.0-only
"""What is being done right now, on standard error.

A live line on a terminal, plain lines elsewhere, nothing when quiet.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from harness.results.records import Status
from harness.text import clean

if TYPE_CHECKING:
    from harness.report.live import LiveLine


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
        self._live: LiveLine | None = None
        self._lock = threading.Lock()  # of the fields below: the live line reads them
        self._cell = self._phase = self._note = ""
        self._cell_start = self._phase_start = clock()

    def __enter__(self) -> Progress:
        if not self._quiet and self._stream.isatty() and os.environ.get("TERM") != "dumb":
            from harness.report.live import LiveLine  # noqa: PLC0415 - rich takes 0.1 s

            self._live = LiveLine(self._stream, self._pieces)
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

    def phase(self, cell: str, name: str) -> None:
        """`cell` enters phase `name`."""
        now = self._clock()
        with self._lock:
            if cell != self._cell:
                self._cell_start = now
            self._cell, self._phase, self._note, self._phase_start = cell, name, "", now
        if self._live is None:
            self._print(f"{cell}: {name}")

    def note(self, text: str) -> None:
        """What a phase is at, e.g. the package it downloads."""
        text = clean(text)
        with self._lock:
            self._note = text
        if self._live is None:
            self._print(f"  {text}")

    def done(self, cell: str, status: Status, summary: str) -> None:
        """`cell` is over."""
        with self._lock:
            took = self._clock() - self._cell_start if cell == self._cell else 0.0
            self._cell = ""
        line = f"{status.value:5} {cell} ({took:.1f} s) {clean(summary)}".rstrip()
        if self._live is None:
            self._print(line)
        else:
            self._live.above(line, status)

    def _print(self, line: str) -> None:
        if not self._quiet:
            self._stream.write(line + "\n")
            self._stream.flush()

    def _pieces(self) -> list[str]:
        """Cell, phase, time in all, note."""
        now = self._clock()
        with self._lock:
            if not self._cell:
                return []
            phase = f"{self._phase} {now - self._phase_start:.0f} s"
            return [self._cell, phase, f"{now - self._cell_start:.0f} s in all", self._note]
