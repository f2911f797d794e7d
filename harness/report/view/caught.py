# SPDX-License-Identifier: GPL-2.0-only
"""Which check caught which mutant, on which machine. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.base.text import clean
from harness.evaluate.plan.mutants import CAUGHT
from harness.results.records import Cell, Observation, Status


def lines(cells: Iterable[Cell]) -> list[str]:
    """Return a paragraph a mutant: for each machine what caught it, or that nothing did."""
    told: dict[str, list[str]] = {}
    for cell in cells:
        for record in cell.expectations:
            if record.path == CAUGHT:
                text = clean(f"{cell.machine.name}: {_words(record)}", 500)
                told.setdefault(cell.kernel.name, []).append(f"  {text}")
    return list(_paragraphs(told))


def _paragraphs(told: dict[str, list[str]]) -> Iterator[str]:
    for kernel, machines in told.items():
        yield clean(kernel)
        yield from machines


def _words(record: Observation) -> str:
    if record.status is not Status.PASS:
        return f"{record.status.value}: {record.detail.get('reason', '')}"
    by = record.detail.get("by", [])
    more = [f"{one['path']}" for one in by[1:]]
    also = f" (also {', '.join(more)})" if more else ""
    return f"caught by {by[0]['path']}: {by[0]['reason']}{also}"
