# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval patch --suite auto`: the machines and suites whose records reach a series' functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import UsageError
from harness.evaluate.patch.reach.gaps import functions_in
from harness.evaluate.patch.reach.recorded import Recorded, counts_of, recorded_cells
from harness.evaluate.patch.source.objects import NVHE
from harness.kernel.addresses.symbols import Symbols
from harness.results.phases import BUILDING

_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@(?P<context>.*)")
# A line of C that begins in the first column, where a function's definition does.
_DEFINITION = re.compile(r"[A-Za-z_][^;=]*?\b(?P<name>[A-Za-z_]\w*)\((?![^)]*\)\s*;)")
_LABEL = re.compile(r"\w+:\s*")
_NONE = {"if", "for", "while", "switch", "return", "sizeof", "defined", "__attribute__"}


@dataclass(frozen=True)
class Place:
    """A machine and a suite on it."""

    machine: str
    suite: str


@dataclass(frozen=True)
class Chosen:
    """The `places` to run, and the functions that no record reaches."""

    places: tuple[Place, ...]
    functions: tuple[str, ...]
    unreached: tuple[str, ...]

    def told(self) -> str:
        """Return what was chosen and why, for a user."""
        reached = len(self.functions) - len(self.unreached)
        where = ", ".join(f"{place.suite} on {place.machine}" for place in self.places)
        text = f"--suite auto: {where}: {reached} of {len(self.functions)} functions of the series"
        return f"{text}; no record reaches {', '.join(self.unreached)}" if self.unreached else text


def choose(patches: Iterable[Path], is_known: Callable[[str, str], bool]) -> Chosen:
    """Return the cheapest places that reach the functions which `patches` touch.

    They are found by the newest record of each cell of the last runs, at the cost of the seconds
    that the cell took. `is_known` tells whether a machine and a suite can be named. Raise
    UsageError when no function is touched or none is reached.
    """
    text = "".join(path.read_text(errors="replace") for path in patches)
    files = touched(text)
    if not files:
        raise UsageError("--suite auto: the series touches no function: name a suite")
    reached: dict[Place, set[str]] = {}
    seconds: dict[Place, float] = {}
    for one in recorded_cells():
        symbols = one.symbols()
        if symbols is None:
            continue
        place = Place(one.cell.machine.name, one.cell.suite.name)
        if not is_known(place.machine, place.suite):
            continue
        took = sum(p.seconds for p in one.cell.phases if p.name not in BUILDING)
        names = {name for name, file in files.items() if _reaches(one, symbols, name, file)}
        reached.setdefault(place, set()).update(names)
        seconds[place] = min(seconds.get(place, took), took)
    places = cheapest(reached, seconds)
    if not places:
        listed = ", ".join(files)
        raise UsageError(f"--suite auto: no record of the last runs reaches {listed}: name a suite")
    covered = set().union(*(reached[place] for place in places))
    return Chosen(places, tuple(files), tuple(name for name in files if name not in covered))


def _reaches(recorded: Recorded, symbols: Symbols, name: str, file: str) -> bool:
    """Return whether a cell ran a function; of one that was inlined, whether it ran its file."""
    if known := list(counts_of(recorded, symbols, name)):
        return any(counts.host for counts in known)
    build = recorded.build()
    others = functions_in(file, build, symbols) if build else {}
    plain = {other.removeprefix(NVHE) for found in others.values() for other in found}
    return any(counts.host for other in plain for counts in counts_of(recorded, symbols, other))


def touched(text: str) -> dict[str, str]:
    """Return the functions of C that a diff changes, in its order, with the file of each.

    git names the function of a hunk behind its `@@`; one that begins within the hunk has its name
    in the first column.
    """
    found: dict[str, str] = {}
    current, file = "", ""
    for line in text.splitlines():
        if line.startswith("+++ "):
            name = line.removeprefix("+++ ").split("\t")[0].partition("/")[2]
            current, file = "", name if name.endswith((".c", ".h")) else ""
        elif hunk := _HUNK.match(line):
            current = _defined(hunk["context"].strip())
        elif file and line[:1] in ("+", "-", " ") and not line.startswith("--- "):
            current = _function_at(line[1:], current)
            if line[0] != " " and line[1:].strip() and current:
                found.setdefault(current, file)
    return found


def _function_at(line: str, current: str) -> str:
    """Return the function that a line is in, behind the lines of `current`; "" for none."""
    if not line[:1].strip() or line[0] == "{" or _LABEL.fullmatch(line):
        return current
    return _defined(line)  # what else is in the first column ends a function


def _defined(line: str) -> str:
    match = _DEFINITION.match(line)
    return match["name"] if match and match["name"] not in _NONE else ""


def cheapest(
    reached: Mapping[Place, set[str]], seconds: Mapping[Place, float]
) -> tuple[Place, ...]:
    """Return places that together reach all that is reached, by the most functions per second."""
    left = set().union(*reached.values()) if reached else set()
    found: list[Place] = []
    while left:
        best = max(reached, key=lambda place: len(reached[place] & left) / max(seconds[place], 0.1))
        found.append(best)
        left -= reached[best]
    return tuple(_without_needless(found, reached))


def _without_needless(found: Sequence[Place], reached: Mapping[Place, set[str]]) -> list[Place]:
    """Leave out a place whose functions the others reach as well."""
    kept = list(found)
    for place in found:
        others = [reached[one] for one in kept if one != place]
        if others and reached[place] <= set().union(*others):
            kept.remove(place)
    return kept
