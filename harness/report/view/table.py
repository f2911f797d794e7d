# SPDX-License-Identifier: GPL-2.0-only
"""A table of cells: blocks of rows, each with an entry for each cell."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.results.records import Status


@dataclass(frozen=True)
class Entry:
    """The text of one cell in one row; `status` sets its colour."""

    text: str
    status: Status | None = None


@dataclass(frozen=True)
class Row:
    """A line of the table; `depth` is how far its label is indented."""

    label: str
    entries: list[Entry]
    depth: int = 0


@dataclass
class Block:
    """Rows of one mapping, named by `title`; it is empty for rows about the whole cell."""

    title: str
    rows: list[Row] = field(default_factory=list)
