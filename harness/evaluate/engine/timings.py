# SPDX-License-Identifier: GPL-2.0-only
"""What each cell took last time on this machine: for the order, the budget and the clock.

`timings/cells.json` in the cache; forgetting it costs a worse guess, nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.base.deadline import Deadline
from harness.base.files import write_atomic
from harness.base.locks import locked
from harness.base.paths import cache_dir
from harness.results.phases import BUILDING
from harness.results.records import Cell

WAIT_SECONDS = 60.0  # for another run that writes them
KEPT = 5000  # cells; those that were not run for longest are forgotten


@dataclass(frozen=True)
class Took:
    """Seconds of wall time without what had to be built; QEMU's peak memory; busy CPUs."""

    seconds: float
    memory_mib: float
    cpus: float


def file() -> Path:
    """Return where the timings are kept."""
    return cache_dir("timings") / "cells.json"


def load() -> dict[str, Took]:
    """Return what is known, by the cell's name."""
    try:
        stored: dict[str, Any] = json.loads(file().read_text())
        return {name: Took(**values) for name, values in stored.items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):  # none, or a broken one
        return {}


def remember(cells: Iterable[Cell]) -> None:
    """Keep what the cells took that were really run."""
    found = {cell.name: took for cell in cells if (took := measured(cell))}
    if not found:
        return
    path = file()
    with locked(path.with_suffix(".lock"), "the cells' timings", Deadline(WAIT_SECONDS)):
        known = load()
        for name in found:
            known.pop(name, None)
        known.update(found)
        kept = dict(list(known.items())[-KEPT:])
        write_atomic(path, json.dumps({name: vars(took) for name, took in kept.items()}))


def measured(cell: Cell) -> Took | None:
    """Return what a record says of its own cost; None when no guest ran."""
    if cell.carried or cell.usage is None:
        return None
    boots = cell.repeats + len(cell.retried)
    seconds = sum(p.seconds for p in cell.phases if p.name not in BUILDING)
    cpus = cell.usage.cpu_seconds / seconds if seconds else 1.0
    return Took(round(seconds / boots, 3), cell.usage.memory_mib, round(cpus, 2))


def guess(name: str, known: Mapping[str, Took]) -> Took | None:
    """Return what a cell will take: as last time, or as its like did with other kernels."""
    if name in known:
        return known[name]
    _, machine, suite = name.rsplit("/", 2)
    like = [took for other, took in known.items() if other.endswith(f"/{machine}/{suite}")]
    return _largest(like)


def _largest(like: Sequence[Took]) -> Took | None:
    if not like:
        return None
    return Took(*(max(getattr(t, key) for t in like) for key in ("seconds", "memory_mib", "cpus")))
