# SPDX-License-Identifier: GPL-2.0-only
"""What happens to cells, as values that are told to listeners and can be sent to a process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.results.phases import PhaseName
from harness.results.records import Status


@dataclass(frozen=True)
class PhaseBegan:
    """`cell` (or a kernel that is built by itself) enters a phase."""

    cell: str
    phase: PhaseName


@dataclass(frozen=True)
class Note:
    """What a phase is at, e.g. the package that it downloads. `cell` is "" for the newest one."""

    text: str
    cell: str = ""


@dataclass(frozen=True)
class GuestStarted:
    """The VMM of a cell runs as process `pid` of this machine, or went on from another cell."""

    cell: str
    pid: int


@dataclass(frozen=True)
class CellDone:
    """A cell is over; `seconds` is what it took, where that is known."""

    cell: str
    status: Status
    summary: str
    seconds: float = 0.0


Event = PhaseBegan | Note | GuestStarted | CellDone
Listener = Callable[[Event], None]  # any thread may call it


def notes(listener: Listener, cell: str = "") -> Callable[[str], None]:
    """Return a function that tells `listener` a text as a note about `cell`."""
    return lambda text: listener(Note(text, cell))


def to_all(*listeners: Listener) -> Listener:
    """Return a listener that tells all of `listeners`, in their order."""

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return tell


def to_nobody(_event: Event) -> None:
    """Listen to nothing."""
