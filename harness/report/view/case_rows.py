# SPDX-License-Identifier: GPL-2.0-only
"""Rows of tests that only pass or fail: counts by status, and the bad ones by name. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.base.text import clean
from harness.report.view.findings import BAD
from harness.report.view.table import Block, Entry, Row
from harness.results.compare import ABSENT, absent
from harness.results.records import Case, Cell, Status, worst

TITLE = "cases"
SHOWN = 20  # cases by name; the record has all
WORDS = {
    Status.PASS: "passed",
    Status.FAIL: "failed",
    Status.ERROR: "in error",
    Status.MISS: "missed",
    Status.DONE: "known to fail",
    Status.SKIP: "skipped",
}


def add_cases(blocks: dict[str, Block], cells: Sequence[Cell]) -> None:
    """Add a block with the counts of each cell's cases, and a row for each that is bad in one."""
    columns = [{case.name: case for case in cell.cases} for cell in cells]
    if not any(columns):
        return
    block = blocks[TITLE] = Block(TITLE)
    block.rows.append(Row("all", [_counts(cell) for cell in cells]))
    names = dict.fromkeys(name for column in columns for name in column)
    shown = [name for name in names if _worth_a_row([column.get(name) for column in columns])]
    for name in shown[:SHOWN]:
        entries = [
            _entry(cell, name, col.get(name)) for cell, col in zip(cells, columns, strict=True)
        ]
        block.rows.append(Row(clean(name), entries))
    if len(shown) > SHOWN:
        more = Entry(f"{len(shown) - SHOWN} more")
        block.rows.append(Row("", [more, *[Entry("") for _ in cells[1:]]]))


def _worth_a_row(cases: Sequence[Case | None]) -> bool:
    """Tell whether a case is bad in some cell, or differs between the cells where it ran."""
    statuses = {case.status for case in cases if case}
    return bool(statuses & set(BAD)) or len(statuses) > 1


def _counts(cell: Cell) -> Entry:
    if not cell.cases:
        return Entry("-")
    counts = Counter(case.status for case in cell.cases)
    text = ", ".join(f"{counts[status]} {word}" for status, word in WORDS.items() if counts[status])
    return Entry(text, worst(list(counts)))


def _entry(cell: Cell, name: str, case: Case | None) -> Entry:
    if case is None:
        reason = absent(cell, f"{cell.suite.name}.{name}")
        return Entry("-" if reason == ABSENT or not cell.cases else reason, Status.SKIP)
    word = "ok" if case.status is Status.PASS else case.status.value
    return Entry(f"{word} (flaky)" if case.flaky else word, case.status)
