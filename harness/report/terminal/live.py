# SPDX-License-Identifier: GPL-2.0-only
"""The live view of `Progress`; a module of its own because importing rich takes 0.1 s."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.evaluate.progress import Running, Snapshot, duration
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
    """Lines at the bottom of a terminal, drawn again four times a second.

    `look` gives the run as it is now; a thread of rich calls it.
    """

    def __init__(self, stream: TextIO, look: Callable[[], Snapshot]) -> None:
        self._look = look
        self._live = Live(
            get_renderable=self._render,
            console=Console(file=stream, markup=False, highlight=False, emoji=False),
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def stop(self) -> None:
        """Take the lines off the terminal."""
        self._live.stop()

    def above(self, line: str, status: Status) -> None:
        """A line that stays, above the live ones; it begins with its status."""
        text = Text(line)
        text.stylize(_STYLES[status], 0, len(status.value))
        self._live.console.print(text, soft_wrap=True)

    def _render(self) -> Text:
        seen = self._look()
        lines = [_cell(one) for one in seen.running]
        if seen.total > 1:
            lines.append(Text(seen.words(), style="dim"))
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
    yield one.note, "dim"
