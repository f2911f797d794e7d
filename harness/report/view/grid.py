# SPDX-License-Identifier: GPL-2.0-only
"""A run at a glance: kernels by machines and suites, with the stage-2 types. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.base.text import clean
from harness.report.view.audits import OWN
from harness.report.view.findings import failed_as_expected
from harness.results.records import Cell, MachineRecord, Run, Status, exit_code_of


@dataclass(frozen=True)
class Spot:
    """One cell: its index in the run, status, kind of failure, and its devices' stage-2 types."""

    index: int
    status: Status
    expected: bool
    failure: str
    stage2: str


@dataclass(frozen=True)
class Grid:
    """`spots` by kernel, machine and suite; a cell that was not run has none."""

    kernels: list[str]
    machines: list[str]
    suites: list[str]
    spots: dict[tuple[str, str, str], Spot]

    def columns(self) -> list[tuple[str, str]]:
        """Return machine and suite of every column with a cell."""
        filled = {(machine, suite) for _, machine, suite in self.spots}
        wanted = [(machine, suite) for machine in self.machines for suite in self.suites]
        return [column for column in wanted if column in filled]


def grid(run: Run) -> Grid:
    """Return the grid of all cells, in the order in which they were run."""
    spots = {}
    for index, cell in enumerate(run.cells):
        names = (clean(cell.kernel.name), clean(cell.machine.name), clean(cell.suite.name))
        spots[names] = Spot(
            index=index,
            status=cell.status,
            expected=failed_as_expected(cell),
            failure=clean(cell.failure.kind) if cell.failure else "",
            stage2=_stage2(cell),
        )
    kernels, machines, suites = zip(*spots, strict=True) if spots else ((), (), ())
    return Grid(_once(kernels), _once(machines), _once(suites), spots)


def verdict(run: Run) -> str:
    """Return a line about the run: `2 cells in 7.8 s, 5 of 5 expectations met, exit code 0`.

    `(1 restored)` counts the L1s that did not boot but were restored.
    """
    expectations = [e for cell in run.cells for e in cell.expectations]
    met = sum(e.status is Status.PASS for e in expectations)
    count = "1 cell" if len(run.cells) == 1 else f"{len(run.cells)} cells"
    restored = sum(cell.machine.restored for cell in run.cells)
    parts = [
        f"{count} in {run.run.seconds:.1f} s" + (f" ({restored} restored)" if restored else "")
    ]
    if expectations:
        parts.append(f"{met} of {len(expectations)} expectations met")
    if run.run.interrupted:
        parts.append("interrupted")
    parts.append(f"exit code {int(exit_code_of(run.status))}")
    return ", ".join(parts)


def _once(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


def about(machine: MachineRecord) -> str:
    """Return a machine in one line: `nested, TCG, max, 2 CPUs, QEMU 10.0.2`."""
    cpus = "1 CPU" if machine.smp == 1 else f"{machine.smp} CPUs"
    version = re.search(r"\d+\.\d+[.\d]*", machine.qemu)
    qemu = [f"QEMU {version[0]}"] if version else []
    return clean(", ".join([machine.topology, machine.accel.upper(), machine.cpu, cpus, *qemu]))


def _stage2(cell: Cell) -> str:
    """Return the stage-2 types of the devices' mappings, each once."""
    types = [
        clean(audit.stage2)
        for audit in cell.audits
        if audit.stage2 and not audit.mapping.startswith(OWN)
    ]
    return ", ".join(dict.fromkeys(types))
