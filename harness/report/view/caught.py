# SPDX-License-Identifier: GPL-2.0-only
"""Lines that tell which check caught which mutant, on which machine. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.base.text import clean
from harness.evaluate.plan.mutants import CAUGHT
from harness.results.records import Cell, Observation, Status


def lines(cells: Iterable[Cell]) -> list[str]:
    """Return a paragraph for each mutant: on each machine, the check that caught it, if any did."""
    by_mutant: dict[str, list[str]] = {}
    for cell in cells:
        for record in cell.expectations:
            if record.path == CAUGHT:
                text = clean(f"{cell.machine.name}: {_catch(record)}", 500)
                by_mutant.setdefault(cell.kernel.name, []).append(f"  {text}")
    return list(_paragraphs(by_mutant))


def _paragraphs(by_mutant: dict[str, list[str]]) -> Iterator[str]:
    for kernel, machines in by_mutant.items():
        yield clean(kernel)
        yield from machines


def _catch(record: Observation) -> str:
    if record.status is not Status.PASS:
        return f"{record.status.value}: {record.detail.get('reason', '')}"
    first, *others = record.detail.get("by", [])
    paths = [str(other["path"]) for other in others]
    also = f" (also {', '.join(paths)})" if paths else ""
    return f"caught by {first['path']}: {first['reason']}{also}"
