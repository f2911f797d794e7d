# SPDX-License-Identifier: GPL-2.0-only
"""Progress on a terminal; a module of its own because importing rich takes 0.1 s."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.base.text import clean
from harness.evaluate.events import CellDone, Event
from harness.evaluate.progress import Running, Snapshot, duration
from harness.report.terminal.lines import done_line
from harness.results.records import Status

_STYLES = {
    Status.PASS: "green",
    Status.DONE: "green",
    Status.SKIP: "yellow",
    Status.FAIL: "bold red",
    Status.ERROR: "bold magenta",
    Status.MISS: "bold magenta",
}


class LiveView:
    """A View: lines at the bottom of a terminal, drawn again four times a second."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, markup=False, highlight=False, emoji=False)
        self._look: Callable[[], Snapshot] = Snapshot
        self._live: Live | None = None

    def start(self, look: Callable[[], Snapshot]) -> None:
        """Draw the lines from now on; a thread of rich calls `look`."""
        self._look = look
        self._live = Live(
            get_renderable=self._render,
            console=self._console,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def stop(self) -> None:
        """Take the lines off the terminal."""
        if self._live:
            self._live.stop()

    def event(self, event: Event, _now: Snapshot) -> None:
        """Leave a line of a cell that is over above the live ones."""
        if isinstance(event, CellDone):
            text = Text(done_line(event))
            text.stylize(_STYLES[event.status], 0, len(event.status.value))
            self._console.print(text, soft_wrap=True)

    def tick(self, now: Snapshot) -> None:
        """See View: rich has a clock of its own."""

    def _render(self) -> Text:
        now = self._look()
        lines = [_cell(one) for one in now.running]
        if now.total > 1:
            lines.append(Text(now.words(), style="dim"))
        text = Text("\n", no_wrap=True, overflow="ellipsis").join(lines)
        text.no_wrap, text.overflow = True, "ellipsis"
        return text


def _cell(one: Running) -> Text:
    text = Text()
    for piece, style in _pieces(one):
        text.append(f"{piece}  ", style=style)
    return text


def _pieces(one: Running) -> Iterator[tuple[str, str]]:
    """The cell, its phase, the time in all beside what it took last time, the note."""
    yield one.cell, "bold"
    yield f"{one.phase} {duration(one.phase_seconds)}", "cyan"
    last = f" (last time {duration(one.expected)})" if one.expected else ""
    yield f"{duration(one.seconds)} in all{last}", "dim"
    yield clean(one.note), "dim"
