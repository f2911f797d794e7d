# SPDX-License-Identifier: GPL-2.0-only
"""The state of each line that a series adds, and what the states come to (docs/reach.md). Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, Field

PLACES = 4  # groups of lines that a summary names


class LineState(StrEnum):
    """What became of a line that a series adds."""

    RAN = "ran"
    NEVER = "never"  # it has code, which was not executed
    NO_CODE = "no-code"  # a comment, a declaration, a macro; or the compiler left nothing of it
    NOT_BUILT = "not-built"  # its file, or the line within it, is not compiled


class AddedLine(BaseModel):
    """A line that a series adds; `where` are the cells whose host (or guest) executed it.

    A cell is `MACHINE/SUITE`, with ` (guest)` behind it for the guest.
    """

    model_config = ConfigDict(extra="forbid")

    file: str
    line: int
    state: LineState
    where: list[str] = Field(default_factory=list)


class PatchReach(BaseModel):
    """All lines that a series adds, in the order of files and lines, and their states.

    `added` counts the lines, `ran` those that were executed.
    """

    model_config = ConfigDict(extra="forbid")

    added: int
    ran: int
    lines: list[AddedLine] = Field(default_factory=list)
    summary: str

    @classmethod
    def of(cls, lines: Sequence[AddedLine]) -> PatchReach:
        """Return the account of `lines`."""
        ran = sum(line.state is LineState.RAN for line in lines)
        return cls(added=len(lines), ran=ran, lines=list(lines), summary=summary(lines))

    def count(self, state: LineState) -> int:
        """Return how many lines are in a state."""
        return sum(line.state is state for line in self.lines)


def summary(lines: Sequence[AddedLine]) -> str:
    """Return the account of `lines` in one line."""
    if not lines:
        return "the series adds no line"
    states = [line.state for line in lines]
    parts = [f"{states.count(LineState.RAN)} of {_count(len(lines))} ran"]
    if no_code := states.count(LineState.NO_CODE):
        parts.append(f"{no_code} {'has' if no_code == 1 else 'have'} no code")
    text = ", ".join(parts)
    for state, words in ((LineState.NEVER, "never"), (LineState.NOT_BUILT, "not built")):
        places = list(_places(line for line in lines if line.state is state))
        if places:
            more = f" and {len(places) - PLACES} more" if len(places) > PLACES else ""
            text += f"; {words}: {', '.join(places[:PLACES])}{more}"
    return text


def _places(lines: Iterable[AddedLine]) -> Iterator[str]:
    """Yield `mmu.c:1402-1404` for lines that follow each other."""
    numbered = enumerate(lines)
    for (file, _), group in itertools.groupby(
        numbered, key=lambda item: (item[1].file, item[1].line - item[0])
    ):
        numbers = [line.line for _, line in group]
        last = f"-{numbers[-1]}" if len(numbers) > 1 else ""
        yield f"{PurePosixPath(file).name}:{numbers[0]}{last}"


def _count(number: int) -> str:
    return f"{number} added line" if number == 1 else f"{number} added lines"
