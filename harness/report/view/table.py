# SPDX-License-Identifier: GPL-2.0-only
"""What a table of cells consists of: blocks of rows of entries, one entry a cell."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.results.records import Status


@dataclass(frozen=True)
class Entry:
    """What one cell says in one row."""

    text: str
    status: Status | None = None


@dataclass(frozen=True)
class Row:
    label: str
    entries: list[Entry]
    depth: int = 0


@dataclass
class Block:
    """`title` is empty for what concerns the whole cell."""

    title: str
    rows: list[Row] = field(default_factory=list)
