# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval reach`: which of the recorded cells ran a function of the kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.base import paths
from harness.base.errors import S2EvalError, UsageError
from harness.evaluate.patch.source.objects import NVHE
from harness.hosts.coverage import record
from harness.hosts.coverage.record import INSTRUCTION, Executed
from harness.kernel import store
from harness.kernel.addresses.symbols import TEXT, Symbols
from harness.results.records import Cell
from harness.results.store import cell_path, load_run, run_names

LOOKED_AT = 20  # runs, newest first
SCHEMA = "s2eval-reach-1"


@dataclass(frozen=True)
class FunctionReach:
    """How many of the `size` instructions of a function the host of a cell executed.

    `guest` counts those that the guest executed. `function` has the prefix of the hypervisor
    without VHE where it is that one's.
    """

    function: str
    run: str
    cell: str
    version: str
    size: int
    host: int
    guest: int


def reach_of_function(name: str) -> list[FunctionReach]:
    """Return what the newest record of each cell says of the function `name`, best first.

    Raise UsageError when none of the last LOOKED_AT runs has a record, or no kernel of them has
    such a function.
    """
    if ":" in name or "/" in name:
        raise UsageError(
            f"{name}: name a function; the lines of a series are told by 's2eval patch'"
        )
    recorded = list(_recorded())
    if not recorded:
        raise UsageError(
            f"none of the last {LOOKED_AT} runs has a record of what ran: "
            "'s2eval patch' makes one of each patched kernel"
        )
    found = [one for folder, cell in recorded for one in _in_cell(name, folder, cell)]
    if not found:
        raise UsageError(f"{name}: no function of the {len(recorded)} cells with a record")
    return sorted(found, key=lambda one: (-one.host, -one.guest, one.cell, one.function))


def document_of(found: list[FunctionReach]) -> dict[str, object]:
    """Return `found` as what `--json` prints."""
    return {"schema": SCHEMA, "cells": [asdict(one) for one in found]}


def _recorded() -> Iterator[tuple[Path, Cell]]:
    """Yield the newest record of each cell of the last runs, and the folder of its run."""
    base, seen = paths.results_dir(), set[str]()
    for name in list(reversed(run_names(base)))[:LOOKED_AT]:
        try:
            cells = load_run(base / name).cells
        except S2EvalError:  # a run whose record cannot be read
            continue
        for cell in cells:
            folder = cell_path(base / name, cell.name)
            if cell.name not in seen and record.kept(folder):
                seen.add(cell.name)
                yield base / name, cell


def _in_cell(name: str, folder: Path, cell: Cell) -> Iterator[FunctionReach]:
    build = store.find(cell.kernel.build_key, cell.kernel.name) if cell.kernel.build_key else None
    symbols = Symbols.beside(build.image) if build else None
    if symbols is None or TEXT not in symbols.named:
        return
    records = record.kept(cell_path(folder, cell.name))
    for function in (name, f"{NVHE}{name}"):
        address = symbols.named.get(function)
        place = symbols.find(address) if address is not None else None
        if address is None or place is None:
            continue
        begin = (address - symbols.named[TEXT]) // INSTRUCTION
        size = place.size // INSTRUCTION
        host, guest = _counts(records, begin, begin + size)
        yield FunctionReach(
            function, folder.name, cell.name, cell.kernel.version, size, host, guest
        )


def _counts(records: list[Executed], begin: int, end: int) -> tuple[int, int]:
    """Return how many instructions from `begin` to `end` any of the records has, host and guest."""
    host = [any(column) for column in zip(*(one.host[begin:end] for one in records), strict=True)]
    guest = [any(column) for column in zip(*(one.guest[begin:end] for one in records), strict=True)]
    return sum(host), sum(guest)
