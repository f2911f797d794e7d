# SPDX-License-Identifier: GPL-2.0-only
"""A cell as a flat list of results, as the formats of other tools need it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness.base.text import clean
from harness.report.view.findings import BAD, as_expected, below
from harness.report.view.words import words
from harness.results.figures import figure
from harness.results.records import Cell, Observation, Status
from harness.results.shifts import representative

WHOLE = "cell"  # the path of the item for a cell's own end
EXPECT = "expect"  # before the path of an expectation


@dataclass(frozen=True)
class Item:
    """One fact of a cell, or one expectation about it.

    `path` is without the suite; `reason` says why the status is not PASS; `value` is the observed
    word or figure; `expected`: the plan asked for this FAIL, ERROR or MISS; `kind` is the kind of
    failure with which a guest or the cell ended here; `log`: the cell's log shows this item;
    `seconds` is the duration of a case, where it reported one.
    """

    path: str
    status: Status
    reason: str = ""
    value: str = ""
    expected: bool = False
    kind: str = ""
    log: bool = False
    observation: Observation | None = None
    seconds: float | None = None

    @property
    def news(self) -> bool:
        """Tell whether this is a bad result that the plan did not ask for."""
        return self.status in BAD and not self.expected

    @property
    def text(self) -> str:
        """Return value and reason on one line."""
        return ": ".join(filter(None, (self.value, self.reason)))


def items(cell: Cell) -> list[Item]:
    """Return an item for each observation, case and expectation.

    A cell whose observations do not show how it ended has an item for that as well.
    """
    results = [*_observed(cell), *_ending(cell), *_expectations(cell)]
    # The log of a cell is that of the first guest that died.
    first = next((number for number, item in enumerate(results) if item.kind), None)
    if first is not None:
        results[first] = replace(results[first], log=True)
    return results


def value_text(item: Observation) -> str:
    """Return the word or figure of an observation; "" for an observation without a value."""
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
            value=value_text(item),
            expected=item.status in BAD and as_expected(cell, item),
            kind=clean(str(item.detail.get("failure", ""))),
            observation=item,
            seconds=seconds.get(item.path),
        )


def _ending(cell: Cell) -> Iterator[Item]:
    """Yield a failure that no observation has, or that there are no observations at all."""
    if cell.failure and not any("failure" in o.detail for o in cell.observations):
        status = cell.status if cell.status in BAD else Status.MISS
        kind = clean(cell.failure.kind)
        yield Item(WHOLE, status, clean(cell.failure.summary), kind, kind=kind)
    elif not cell.outcomes():
        yield Item(WHOLE, cell.status, "nothing was observed")


def _expectations(cell: Cell) -> Iterator[Item]:
    for item in cell.expectations:
        reason = clean(str(item.detail.get("reason", "")))
        yield Item(f"{EXPECT}.{item.path}", item.status, reason, value_text(item), observation=item)
