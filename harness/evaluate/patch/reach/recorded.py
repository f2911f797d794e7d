# SPDX-License-Identifier: GPL-2.0-only
"""The newest record of each cell of the last runs: what its kernel executed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.base import paths
from harness.base.errors import S2EvalError, UsageError
from harness.evaluate.patch.source.objects import NVHE
from harness.hosts.coverage import record
from harness.hosts.coverage.record import INSTRUCTION, Executed
from harness.kernel import store
from harness.kernel.addresses.symbols import TEXT, Symbols
from harness.kernel.store import Build
from harness.results.records import Cell
from harness.results.store import cell_path, load_run, run_names

LOOKED_AT = 20  # runs, newest first


@dataclass(frozen=True)
class Recorded:
    """A cell of the run in `folder`, with the records of its boots."""

    folder: Path
    cell: Cell
    records: list[Executed]

    @property
    def place(self) -> str:
        """Return MACHINE/SUITE."""
        return f"{self.cell.machine.name}/{self.cell.suite.name}"

    def build(self) -> Build | None:
        """Return the build of its kernel, None where the store has it no more."""
        kernel = self.cell.kernel
        return store.find(kernel.build_key, kernel.name) if kernel.build_key else None

    def symbols(self) -> Symbols | None:
        """Return the functions of its kernel, None where they are not known."""
        build = self.build()
        symbols = Symbols.beside(build.image) if build else None
        return symbols if symbols and TEXT in symbols.named else None

    def counts(self, begin: int, end: int) -> tuple[int, int]:
        """Return how many of the instructions from `begin` to `end` host and guest executed.

        They are offsets in the Image divided by INSTRUCTION.
        """
        host, guest = (
            sum(any(column) for column in zip(*parts, strict=True))
            for parts in (
                [one.host[begin:end] for one in self.records],
                [one.guest[begin:end] for one in self.records],
            )
        )
        return host, guest


def recorded_cells() -> list[Recorded]:
    """Return the cells, newest run first.

    Raise UsageError when none of the last LOOKED_AT runs has a record.
    """
    found = list(_recorded())
    if not found:
        raise UsageError(
            f"none of the last {LOOKED_AT} runs has a record of what ran: "
            "'s2eval patch' makes one of each patched kernel"
        )
    return found


def _recorded() -> Iterator[Recorded]:
    base, seen = paths.results_dir(), set[str]()
    for name in list(reversed(run_names(base)))[:LOOKED_AT]:
        try:
            cells = load_run(base / name).cells
        except S2EvalError:  # a run whose record cannot be read
            continue
        for cell in cells:
            folder = cell_path(base / name, cell.name)
            if cell.name not in seen and (records := record.kept(folder)):
                seen.add(cell.name)
                yield Recorded(base / name, cell, records)


@dataclass(frozen=True)
class FunctionCounts:
    """How many of the `size` instructions of a function host and guest of a cell executed.

    `function` has the prefix of the hypervisor without VHE where it is that one's.
    """

    function: str
    size: int
    host: int
    guest: int


def counts_of(recorded: Recorded, symbols: Symbols, name: str) -> Iterator[FunctionCounts]:
    """Yield the counts of the function `name`, and those of the hypervisor's without VHE."""
    for function in (name, f"{NVHE}{name}"):
        address = symbols.named.get(function)
        place = symbols.find(address) if address is not None else None
        if address is None or place is None:
            continue
        begin = (address - symbols.named[TEXT]) // INSTRUCTION
        size = place.size // INSTRUCTION
        yield FunctionCounts(function, size, *recorded.counts(begin, begin + size))
