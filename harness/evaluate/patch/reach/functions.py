# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval reach FUNCTION`: which of the recorded cells ran a function of the kernel."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from harness.base.errors import UsageError
from harness.evaluate.patch.reach.recorded import FunctionCounts, counts_of, recorded_cells

SCHEMA = "s2eval-reach-1"


@dataclass(frozen=True)
class FunctionReach(FunctionCounts):
    """What a cell of the run `run` executed of a function; `version` is its kernel's."""

    run: str
    cell: str
    version: str


def reach_of_function(name: str) -> list[FunctionReach]:
    """Return what the newest record of each cell says of the function `name`, best first.

    Raise UsageError when there is no record, or no kernel of them has such a function.
    """
    recorded = recorded_cells()
    found = [
        FunctionReach(**asdict(counts), run=one.folder.name, cell=one.cell.name,
                      version=one.cell.kernel.version)
        for one in recorded
        if (symbols := one.symbols())
        for counts in counts_of(one, symbols, name)
    ]  # fmt: skip
    if not found:
        raise UsageError(
            f"{name}: no function of the {len(recorded)} cells with a record; of one that was "
            "inlined a line tells, FILE:LINE"
        )
    return sorted(found, key=lambda one: (-one.host, -one.guest, one.cell, one.function))


def document_of(found: list[FunctionReach]) -> dict[str, object]:
    """Return `found` as what `--json` prints."""
    return {"schema": SCHEMA, "cells": [asdict(one) for one in found]}
