# SPDX-License-Identifier: GPL-2.0-only
"""What a reader must know about a cell, one line each, with reasons. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby

from harness.evaluate.plan.mutants import CAUGHT
from harness.report.view.words import words
from harness.results.records import UNREACHED, Cell, Observation, Status

NAMED = 4  # paths that a line names before it counts the rest
TOLD = 20  # findings of a kind that are told before the rest is counted
BAD = (Status.FAIL, Status.ERROR, Status.MISS)


@dataclass(frozen=True)
class Finding:
    """`expected`: the plan asked for it, or it follows from what the plan asked for."""

    status: Status
    text: str
    expected: bool = False


def findings(cell: Cell) -> list[Finding]:
    """Return what a reader must know: news first, worst first; what was expected last, all once."""
    found = [*_bad(cell), *_unmet(cell), *_skips(cell)]
    found.sort(key=lambda finding: finding.expected)
    return list(_counted(dict.fromkeys(found)))


def _counted(found: Iterable[Finding]) -> Iterator[Finding]:
    """Of each kind as many as somebody may read; the record has all of them."""
    for (expected, status), same in groupby(found, lambda f: (f.expected, f.status)):
        kind = list(same)
        yield from kind[:TOLD]
        if len(kind) > TOLD:
            yield Finding(status, f"{len(kind) - TOLD} more: see run.json", expected)


def as_expected(cell: Cell, item: Observation) -> bool:
    """Tell whether an expectation asked for what this observation saw."""
    met = [e for e in cell.expectations if e.status is Status.PASS]
    # A mutant is meant to fail: what caught it was asked for.
    catches = any(e.path == CAUGHT for e in met)
    return catches or any(fnmatchcase(item.path, e.path) for e in met)


def failed_as_expected(cell: Cell) -> bool:
    """Tell whether the cell has a bad result that a plan asked for, and no other."""
    bad = [item for item in cell.outcomes() if item.status in BAD]
    unmet = any(e.status is not Status.PASS for e in cell.expectations)
    return bool(bad) and not unmet and all(as_expected(cell, item) for item in bad)


def below(cell: Cell, path: str) -> str:
    """Return a path without its suite."""
    return path.removeprefix(cell.suite.name + ".")


def _bad(cell: Cell) -> Iterator[Finding]:
    unmet = {e.path: e for e in cell.expectations if e.status is not Status.PASS}
    told = False
    for status in BAD:
        for item in cell.outcomes():
            if item.status is status:
                expected = as_expected(cell, item)
                note = " (as expected)" if expected else ""
                if item.path in unmet:
                    note = f" ({unmet[item.path].detail.get('reason', '')})"
                told |= "failure" in item.detail
                yield Finding(status, f"{_sentence(cell, item)}{note}", expected)
    if cell.failure and not told:
        inside = cell.failure.where in ("L1", "L2")
        where = f" in {cell.failure.where}" if inside else ""
        yield Finding(cell.status, f"{cell.failure.kind}{where}: {cell.failure.summary}")


def _unmet(cell: Cell) -> Iterator[Finding]:
    """Expectations that are not met, where nothing else has told so already."""
    if cell.failure and not cell.outcomes():
        return
    told = {item.path for item in cell.outcomes() if item.status in BAD}
    for item in cell.expectations:
        if item.status is not Status.PASS and item.path not in told:
            yield Finding(item.status, _sentence(cell, item))


def _sentence(cell: Cell, item: Observation) -> str:
    value = words(item.value) if isinstance(item.value, str) else item.value
    parts = [below(cell, item.path), "" if value is None else str(value)]
    return ": ".join([*filter(None, parts), str(item.detail.get("reason", ""))]).rstrip(": ")


def _skips(cell: Cell) -> Iterator[Finding]:
    """Skipped tests by their reason."""
    reasons: dict[tuple[str, bool], list[str]] = {}
    for item in cell.outcomes():
        if item.status is Status.SKIP:
            reason = str(item.detail.get("reason", "no reason given"))
            reasons.setdefault((reason, _follows(cell, item)), []).append(_skipped(cell, item))
    for (reason, expected), paths in reasons.items():
        more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
        yield Finding(Status.SKIP, f"{', '.join(paths[:NAMED])}{more}: {reason}", expected)


def _follows(cell: Cell, item: Observation) -> bool:
    """Expected, or not reached because of a death that was."""
    deaths = [o for o in cell.observations if "failure" in o.detail]
    unreached = item.path.rpartition(".")[2] == UNREACHED
    died = unreached and bool(deaths) and all(as_expected(cell, o) for o in deaths)
    return died or as_expected(cell, item)


def _skipped(cell: Cell, item: Observation) -> str:
    place, _, name = below(cell, item.path).rpartition(".")
    if name != UNREACHED:
        return below(cell, item.path)
    tests = "1 test" if item.value == 1 else f"{item.value} tests"
    return f"{tests} of {place or cell.suite.name}"
