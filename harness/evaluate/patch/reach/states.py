# SPDX-License-Identifier: GPL-2.0-only
"""The states of added lines, from the code that they have and the records of cells. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.evaluate.patch.reach.statements import Statement, statements
from harness.evaluate.patch.verdict.lines import AddedLine, LineState
from harness.hosts.coverage.record import Executed

GUEST = " (guest)"
C_FILES = (".c", ".h")


@dataclass(frozen=True)
class AddedFile:
    """A file with the lines that a series adds to it.

    `text` is the whole file. `addresses` are those of the code of each line, offsets in the Image.
    `built`: an object of the kernel is made of the file, or its lines shape the build. `active()`
    gives the lines that the preprocessor leaves for a compiler.
    """

    path: str
    text: str
    added: frozenset[int]
    built: bool
    addresses: Mapping[int, frozenset[int]] = field(default_factory=dict)
    active: Callable[[], frozenset[int]] = frozenset


@dataclass(frozen=True)
class Witness:
    """The records of a cell, `name` is `MACHINE/SUITE`."""

    name: str
    records: Sequence[Executed]


def states_of(
    file: AddedFile, witnesses: Iterable[Witness], *, guests: bool = False
) -> list[AddedLine]:
    """Return the state of each added line of a file; the lines of a statement have the same.

    With `guests` what only a guest executed has run as well.
    """
    if not file.built:
        return [_line(file, number, LineState.NOT_BUILT) for number in sorted(file.added)]
    by_line = statements(file.text) if file.path.endswith(C_FILES) else {}
    known: dict[Statement, tuple[LineState, list[str]]] = {}
    every = list(witnesses)
    found = []
    for number in sorted(file.added):
        statement = by_line.get(number)
        if statement is None and by_line:
            found.append(_line(file, number, LineState.NO_CODE))
            continue
        whole = statement or Statement(number, number)
        if whole not in known:
            known[whole] = _state(file, whole, every, guests=guests)
        state, where = known[whole]
        found.append(_line(file, number, state, where))
    return found


def _state(
    file: AddedFile, statement: Statement, witnesses: Sequence[Witness], *, guests: bool
) -> tuple[LineState, list[str]]:
    offsets = {at for line in statement.lines for at in file.addresses.get(line, ())}
    if not offsets:
        return _without_code(file, statement), []
    where = [w.name for w in witnesses if any(record.on_host(offsets) for record in w.records)]
    if guests:
        where += [
            f"{w.name}{GUEST}"
            for w in witnesses
            if any(record.in_guest(offsets) for record in w.records)
        ]
    return (LineState.RAN if where else LineState.NEVER), where


def _without_code(file: AddedFile, statement: Statement) -> LineState:
    """The preprocessor drops what an #ifdef leaves out, and the directives themselves."""
    if statement.directive or not file.path.endswith(C_FILES):
        return LineState.NO_CODE
    active = file.active()
    left = not active or any(line in active for line in statement.lines)
    return LineState.NO_CODE if left else LineState.NOT_BUILT


def _line(file: AddedFile, number: int, state: LineState, where: Sequence[str] = ()) -> AddedLine:
    return AddedLine(file=file.path, line=number, state=state, where=list(where))
