# SPDX-License-Identifier: GPL-2.0-only
"""The live line of `Progress`; a module of its own because importing rich takes 0.1 s."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.results.records import Status

_STYLES = {
    Status.PASS: "green",
    Status.DONE: "green",
    Status.SKIP: "yellow",
    Status.FAIL: "bold red",
    Status.ERROR: "bold magenta",
    Status.MISS: "bold magenta",
}
# How the pieces of the line look: the cell, the phase, the time in all, the note.
_PIECES = ("bold", "cyan", "dim", "dim")


class LiveLine:
    """One line at the bottom of a terminal, drawn again four times a second.

    `pieces` gives the line's text as it is now; a thread of rich calls it.
    """

    def __init__(self, stream: TextIO, pieces: Callable[[], list[str]]) -> None:
        self._pieces = pieces
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
        """Take the line off the terminal."""
        self._live.stop()

    def above(self, line: str, status: Status) -> None:
        """A line that stays, above the live one; it begins with its status."""
        text = Text(line)
        text.stylize(_STYLES[status], 0, len(status.value))
        self._live.console.print(text, soft_wrap=True)

    def _render(self) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        for piece, style in zip(self._pieces(), _PIECES, strict=False):
            text.append(piece + "  ", style=style)
        return text
