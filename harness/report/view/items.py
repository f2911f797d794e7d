# SPDX-License-Identifier: GPL-2.0-only
"""A cell as a list of results, for formats that know nothing else (report/formats). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness.base.text import clean
from harness.report.view.findings import BAD, as_expected, below
from harness.report.view.words import words
from harness.results.figures import figure
from harness.results.records import Cell, Observation, Status
from harness.results.shifts import representative

WHOLE = "cell"  # the item of a cell whose observations do not say what became of it
EXPECT = "expect"  # before the path of an expectation


@dataclass(frozen=True)
class Item:
    """One fact of a cell, or one expectation about it.

    `path` is without the suite; `reason` says why the status is not PASS; `said` is the word or
    figure that was seen; `expected`: the plan asked for this FAIL, ERROR or MISS; `kind`: the class
    of failure that a guest or the cell ended with here, `log`: the cell's log is about this one;
    `seconds` is how long a case took, where it said so.
    """

    path: str
    status: Status
    reason: str = ""
    said: str = ""
    expected: bool = False
    kind: str = ""
    log: bool = False
    observation: Observation | None = None
    seconds: float | None = None

    @property
    def news(self) -> bool:
        """Tell whether this is bad and nobody asked for it."""
        return self.status in BAD and not self.expected

    @property
    def text(self) -> str:
        """Return what was seen and why, on one line."""
        return ": ".join(filter(None, (self.said, self.reason)))


def items(cell: Cell) -> list[Item]:
    """Return what each observation and case came to, the cell's end where none tells it, and
    every expectation.
    """
    results = [*_observed(cell), *_ending(cell), *_expectations(cell)]
    # Of several guests that died the log of the first is kept.
    first = next((number for number, item in enumerate(results) if item.kind), None)
    if first is not None:
        results[first] = replace(results[first], log=True)
    return results


def said(item: Observation) -> str:
    """Return the word or figure that was seen; empty for none."""
    value = item.value
    if value is None:
        return ""
    if isinstance(value, bool | str):
        return words(str(value))
    if (value, item.unit) == (1, "tests"):
        return "1 test"
    note = "" if representative(item) else " (not representative)"
    return figure(value, item.unit) + note


def _observed(cell: Cell) -> Iterator[Item]:
    seconds = {f"{cell.suite.name}.{case.name}": case.seconds for case in cell.cases}
    for item in cell.outcomes():
        yield Item(
            below(cell, item.path),
            item.status,
            reason=clean(str(item.detail.get("reason", ""))),
            said=said(item),
            expected=item.status in BAD and as_expected(cell, item),
            kind=clean(str(item.detail.get("failure", ""))),
            observation=item,
            seconds=seconds.get(item.path),
        )


def _ending(cell: Cell) -> Iterator[Item]:
    """A failure before the guest said anything, or a cell without a word."""
    if cell.failure and not any("failure" in o.detail for o in cell.observations):
        status = cell.status if cell.status in BAD else Status.MISS
        kind = clean(cell.failure.kind)
        yield Item(WHOLE, status, clean(cell.failure.summary), kind, kind=kind)
    elif not cell.outcomes():
        yield Item(WHOLE, cell.status, "nothing was observed")


def _expectations(cell: Cell) -> Iterator[Item]:
    for item in cell.expectations:
        reason = clean(str(item.detail.get("reason", "")))
        yield Item(f"{EXPECT}.{item.path}", item.status, reason, said(item), observation=item)
