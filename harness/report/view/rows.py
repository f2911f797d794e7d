# SPDX-License-Identifier: GPL-2.0-only
"""Cells of one machine and suite side by side: blocks of rows of words. Pure.

Works for any suite: the first component of a path below the suite makes a block (a mapping), the
rest a row. The host's own look at a test joins the test's entry, an audit joins the block of its
mapping. Many rows of one family (`ioremap_wc.accessors.*`) are folded into one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from harness.base.text import clean
from harness.report.view.audits import add_audits, add_census
from harness.report.view.case_rows import add_cases
from harness.report.view.findings import failed_as_expected
from harness.report.view.fold import OK, fold
from harness.report.view.table import Block, Entry, Row
from harness.report.view.words import (
    HOST,
    LABELS,
    MAPPING,
    words,
)
from harness.results.compare import ABSENT, absent
from harness.results.figures import figure, interval, spread
from harness.results.records import UNREACHED, VM_KILLED, Cell, Observation, Status
from harness.results.repeats import boots_of
from harness.results.stats import shown_values

MAX_PARTS = 3  # block, test, figure; deeper paths are only in --json
FOLDED = 4  # a family with more rows is one row, as is one without a row of its own
HIDDEN = (HOST, UNREACHED, MAPPING)  # last components that make no row of their own
# Observations that add_audits() and add_census() show.
ELSEWHERE = ("audit.", "witness.", "census.")


def blocks(cells: Sequence[Cell]) -> list[Block]:
    """Return the table of cells of one machine and suite; each row has an entry for each cell."""
    columns = [_Column(cell) for cell in cells]
    by_title: dict[str, Block] = {}
    order = _row_order(columns)
    families = Counter(parts[:2] for parts in order if len(parts) > 2)
    own = set(order)
    folded = {family for family, count in families.items() if count > FOLDED or family not in own}
    # A folded family stands where its own row does, or its first member would.
    for parts in dict.fromkeys(p[:2] if p[:2] in folded else p for p in order):
        title = parts[0] if len(parts) > 1 else ""
        name = ".".join(parts[1:]) if len(parts) > 1 else parts[0]
        depth = max(0, len(parts) - 2)
        label = LABELS.get(name, name) if depth == 0 else parts[-1]
        entries = [c.family(parts) if parts in folded else c.entry(parts) for c in columns]
        block = by_title.setdefault(title, Block(clean(title)))
        block.rows.append(Row(clean(label), entries, depth))
    add_audits(by_title, cells)
    add_census(by_title, cells)
    add_cases(by_title, cells)
    return [_head(cells), *by_title.values()]


def _head(cells: Sequence[Cell]) -> Block:
    block = Block("")
    if any(cell.kernel.version for cell in cells):
        block.rows.append(Row("version", [Entry(clean(c.kernel.version)) for c in cells]))
    results = []
    for cell in cells:
        kind = f": {clean(cell.failure.kind)}" if cell.failure else ""
        note = ", expected" if failed_as_expected(cell) else ""
        results.append(Entry(f"{cell.status.value}{kind}{note}", cell.status))
    block.rows.append(Row("result", results))
    return block


class _Column:
    """The entries of one cell."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        prefix = cell.suite.name + "."
        own = (o for o in cell.observations if not o.path.startswith(ELSEWHERE))
        self.by_path = {o.path.removeprefix(prefix): o for o in own}
        self._emulated = {  # the paths above a figure that is no machine's
            above
            for path, item in self.by_path.items()
            if item.unit and item.detail.get("representative") is False
            for above in _above(path)
        }

    def paths(self) -> list[tuple[str, ...]]:
        """Return the rows in which this cell has an observation, as paths below the suite."""
        rows = []
        for path in self.by_path:
            parts = tuple(path.split("."))
            if parts[-1] not in HIDDEN and parts != ("device",) and len(parts) <= MAX_PARTS:
                rows.append(parts)
        return rows

    def entry(self, parts: tuple[str, ...]) -> Entry:
        """Return the entry of the row `parts`; `-` or the reason where there is no observation."""
        path = ".".join(parts)
        item = self.by_path.get(path)
        if item is None:
            reason = absent(self.cell, f"{self.cell.suite.name}.{path}")
            if reason == ABSENT or not self.cell.observations:
                return Entry("-")
            return Entry(reason, Status.SKIP)
        text, status = self._text(path, item), item.status
        host = self._host(path)
        if host is not None:
            text += f", host {OK}" if host.status is Status.PASS else ", HOST DIFFERS"
            status = status if host.status is Status.PASS else host.status
        return Entry(text, status)

    def _host(self, path: str) -> Observation | None:
        """Return the host's observation of a test; None where the host did not look."""
        host = self.by_path.get(f"{path}.{HOST}")
        return None if host is None or host.status is Status.SKIP else host

    def family(self, parts: tuple[str, ...]) -> Entry:
        """Return one entry for all rows below `parts`."""
        family = ".".join(parts)
        own = self.by_path.get(family)
        items = {
            path: item
            for path, item in self.by_path.items()
            if path.startswith(family + ".")
            and path.count(".") == len(parts)
            and path.rpartition(".")[2] not in HIDDEN
        }
        judged = own is not None and own.status not in (Status.PASS, Status.DONE)
        if judged or not items:
            return self.entry(parts)
        figures = [o.value for o in items.values() if o.unit and isinstance(o.value, int | float)]
        if len(figures) == len(items):
            units = {o.unit for o in items.values()}
            text = self._not_representative(family) or (
                spread(min(figures), max(figures), units.pop()) if len(units) == 1 else "measured"
            )
            return Entry(text, Status.DONE)
        hosts = {path: self._host(path) for path in items}
        return fold(
            {path.rpartition(".")[2]: (self._text(path, o), o.status) for path, o in items.items()},
            {path.rpartition(".")[2]: host.status for path, host in hosts.items() if host},
        )

    def _text(self, path: str, item: Observation) -> str:
        value, status = item.value, item.status
        if isinstance(value, int | float) and not isinstance(value, bool):
            with_interval = len(item.samples) > 1 and item.detail.get("representative") is True
            values = shown_values(boots_of(item, self.cell.repeats)) if with_interval else []
            text = interval(values, item.unit) if values else figure(value, item.unit)
        else:
            text = words(str(value)) if value is not None else ""
        if status is Status.DONE:
            return text or "done"
        if status is Status.PASS:
            return text or self._not_representative(path) or OK
        if status is Status.SKIP:
            return "skipped"
        if value == VM_KILLED:
            return f"{text}: {clean(str(item.detail.get('reason', '')))}"
        return f"{status.value}: {text}" if text else status.value

    def _not_representative(self, path: str) -> str:
        """Return a note that the figures below `path` are an emulator's; "" where they are not."""
        if path in self._emulated:
            return f"not representative ({self.cell.machine.accel.upper()})"
        return ""


def _above(path: str) -> list[str]:
    """Return the paths above `path`: `a` and `a.b` for `a.b.c`."""
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _row_order(columns: Iterable[_Column]) -> list[tuple[str, ...]]:
    """Return all rows in the order of the cell with the most rows, each block in one piece."""
    longest_first = sorted((c.paths() for c in columns), key=len, reverse=True)
    rows = list(dict.fromkeys(path for paths in longest_first for path in paths))
    order = {path: index for index, path in enumerate(rows)}
    titles = list(dict.fromkeys(path[0] if len(path) > 1 else "" for path in rows))

    def sort_key(path: tuple[str, ...]) -> tuple[int, int, int]:
        title = path[0] if len(path) > 1 else ""
        test = order.get(path[:2], order[path])
        return titles.index(title), test, order[path] if len(path) > 2 else -1

    return sorted(rows, key=sort_key)
