# SPDX-License-Identifier: GPL-2.0-only
"""Findings: the facts of a cell that a reader must know, each one line with a reason. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby

from harness.evaluate.plan.mutants import CAUGHT
from harness.report.view.words import words
from harness.results.records import UNREACHED, Cell, Observation, Status

NAMED = 4  # paths that a line names before it counts the rest
LISTED = 20  # findings of a kind that are listed before the rest is counted
BAD = (Status.FAIL, Status.ERROR, Status.MISS)


@dataclass(frozen=True)
class Finding:
    """A line about a cell; `expected`: the plan asked for this, or for its cause."""

    status: Status
    text: str
    expected: bool = False


def findings(cell: Cell) -> list[Finding]:
    """Return the findings of a cell, each once: unexpected ones first, of each kind worst first."""
    ordered = [*_bad(cell), *_unmet(cell), *_skips(cell)]
    ordered.sort(key=lambda finding: finding.expected)
    return list(_limited(dict.fromkeys(ordered)))


def _limited(ordered: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the first LISTED findings of each kind, and the number of others: run.json has all."""
    for (expected, status), same in groupby(ordered, lambda f: (f.expected, f.status)):
        kind = list(same)
        yield from kind[:LISTED]
        if len(kind) > LISTED:
            yield Finding(status, f"{len(kind) - LISTED} more: see run.json", expected)


def as_expected(cell: Cell, item: Observation) -> bool:
    """Tell whether an expectation that was met asked for this observation."""
    met = [e for e in cell.expectations if e.status is Status.PASS]
    # A mutant is meant to fail: a cell that caught it did what the plan asked for.
    catches = any(e.path == CAUGHT for e in met)
    return catches or any(fnmatchcase(item.path, e.path) for e in met)


def failed_as_expected(cell: Cell) -> bool:
    """Tell whether the cell has bad results, and the plan asked for all of them."""
    bad = [item for item in cell.outcomes() if item.status in BAD]
    unmet = any(e.status is not Status.PASS for e in cell.expectations)
    return bool(bad) and not unmet and all(as_expected(cell, item) for item in bad)


def below(cell: Cell, path: str) -> str:
    """Return a path without its suite."""
    return path.removeprefix(cell.suite.name + ".")


def _bad(cell: Cell) -> Iterator[Finding]:
    unmet = {e.path: e for e in cell.expectations if e.status is not Status.PASS}
    has_death = False  # of a guest, which is the cell's failure as well
    for status in BAD:
        for item in cell.outcomes():
            if item.status is status:
                expected = as_expected(cell, item)
                note = " (as expected)" if expected else ""
                if item.path in unmet:
                    note = f" ({unmet[item.path].detail.get('reason', '')})"
                has_death |= "failure" in item.detail
                yield Finding(status, f"{_sentence(cell, item)}{note}", expected)
    if cell.failure and not has_death:
        in_guest = cell.failure.where in ("L1", "L2")
        guest = f" in {cell.failure.where}" if in_guest else ""
        yield Finding(cell.status, f"{cell.failure.kind}{guest}: {cell.failure.summary}")


def _unmet(cell: Cell) -> Iterator[Finding]:
    """Yield the expectations that are not met, unless _bad() has a finding for their path."""
    if cell.failure and not cell.outcomes():
        return
    bad_paths = {item.path for item in cell.outcomes() if item.status in BAD}
    for item in cell.expectations:
        if item.status is not Status.PASS and item.path not in bad_paths:
            yield Finding(item.status, _sentence(cell, item))


def _sentence(cell: Cell, item: Observation) -> str:
    value = words(item.value) if isinstance(item.value, str) else item.value
    parts = [below(cell, item.path), "" if value is None else str(value)]
    return ": ".join([*filter(None, parts), str(item.detail.get("reason", ""))]).rstrip(": ")


def _skips(cell: Cell) -> Iterator[Finding]:
    """Yield a finding for each reason, with the tests that were skipped for it."""
    reasons: dict[tuple[str, bool], list[str]] = {}
    for item in cell.outcomes():
        if item.status is Status.SKIP:
            reason = str(item.detail.get("reason", "no reason given"))
            reasons.setdefault((reason, _follows(cell, item)), []).append(_skipped(cell, item))
    for (reason, expected), paths in reasons.items():
        more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
        yield Finding(Status.SKIP, f"{', '.join(paths[:NAMED])}{more}: {reason}", expected)


def _follows(cell: Cell, item: Observation) -> bool:
    """Tell whether a skip was expected, or the guest died before the test as the plan expected."""
    deaths = [o for o in cell.observations if "failure" in o.detail]
    unreached = item.path.rpartition(".")[2] == UNREACHED
    died = unreached and bool(deaths) and all(as_expected(cell, o) for o in deaths)
    return died or as_expected(cell, item)


def _skipped(cell: Cell, item: Observation) -> str:
    group, _, name = below(cell, item.path).rpartition(".")
    if name != UNREACHED:
        return below(cell, item.path)
    tests = "1 test" if item.value == 1 else f"{item.value} tests"
    return f"{tests} of {group or cell.suite.name}"
