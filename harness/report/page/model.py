# SPDX-License-Identifier: GPL-2.0-only
"""All that the page shows, in its order; the template only lays it out.

Texts stay texts: the template escapes each. Only `Plot.svg` is markup, of this project's making.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.report.page.audits import MachineLimits, Mapped, audits, limits
from harness.report.page.failures import FailedCell, FlakyItem, Skip, failures, flakes, skips
from harness.report.page.figures import Figure, figures
from harness.report.page.plots import Plotter
from harness.report.page.since import Since, since
from harness.report.page.trends import Trends
from harness.report.view import caught, matrix
from harness.report.view.grid import Grid, about, grid, verdict
from harness.report.view.rows import blocks
from harness.report.view.sentence import sentences
from harness.report.view.table import Block
from harness.results.compare import pairs
from harness.results.records import Cell, KernelRecord, MachineRecord, Run, Status

UNCHANGED = " unchanged"  # ends the clause that counts what did not change


@dataclass(frozen=True)
class Group:
    """Cells of one machine and suite side by side; `cells` are their places in the run."""

    suite: str
    machine: str
    about: str
    cells: list[int]
    kernels: list[str]
    blocks: list[Block]


@dataclass(frozen=True)
class Compared:
    """The same changes, and between which kernels and on which machines they are."""

    heads: list[str]
    clauses: list[str]


@dataclass(frozen=True)
class Plot:
    figure: Figure
    svg: str


@dataclass(frozen=True)
class Page:
    """`news` counts the cells with bad results that nobody asked for."""

    run: Run
    verdict: str
    counts: dict[str, int]
    news: int
    grid: Grid
    since: Since | None
    comparisons: list[Compared]
    caught: list[str]
    matrix: list[matrix.StagesTable]
    failures: list[FailedCell]
    flakes: list[FlakyItem]
    skips: list[Skip]
    groups: list[Group]
    plots: list[Plot]
    audits: list[Mapped]
    limits: list[MachineLimits]
    kernels: list[KernelRecord]
    machines: list[MachineRecord]
    trends: Trends


def page_of(run: Run, folder: Path | None, trends: Trends) -> Page:
    """Return everything about `run`, whose logs are in `folder`."""
    found = failures(run, folder)
    return Page(
        run=run,
        verdict=verdict(run),
        counts=_counts(run),
        news=sum(not failure.expected for failure in found),
        grid=grid(run),
        since=since(run, folder) if folder else None,
        comparisons=_compared(run),
        caught=caught.lines(run.cells),
        matrix=matrix.matrix(run.cells),
        failures=found,
        flakes=flakes(run),
        skips=skips(run),
        groups=_groups(run.cells),
        plots=_plots(run),
        audits=audits(run),
        limits=limits(run),
        kernels=list({cell.kernel.name: cell.kernel for cell in run.cells}.values()),
        machines=list({cell.machine.name: cell.machine for cell in run.cells}.values()),
        trends=trends,
    )


def _plots(run: Run) -> list[Plot]:
    plotter = Plotter()
    return [Plot(figure, plotter.svg(figure, n)) for n, figure in enumerate(figures(run))]


def _counts(run: Run) -> dict[str, int]:
    """How many cells of each status, worst first, without those that nobody has."""
    counts = {s.value: sum(cell.status is s for cell in run.cells) for s in Status}
    return {name: number for name, number in counts.items() if number}


def _compared(run: Run) -> list[Compared]:
    """Comparisons that come to the same together; how much did not change is no difference."""
    found: dict[tuple[str, ...], list[str]] = {}
    for head, *told in sentences(pairs(run)):
        clauses = (clause.rstrip(";") for clause in told)
        changes = tuple(clause for clause in clauses if not clause.endswith(UNCHANGED))
        found.setdefault(changes, []).append(head.rstrip(":"))
    return [Compared(heads, list(changes)) for changes, heads in found.items()]


def _groups(cells: Iterable[Cell]) -> list[Group]:
    places: dict[tuple[str, str], list[tuple[int, Cell]]] = {}
    for index, cell in enumerate(cells):
        places.setdefault((cell.suite.name, cell.machine.name), []).append((index, cell))
    return [
        Group(
            suite,
            machine,
            about(found[0][1].machine),
            [index for index, _ in found],
            [cell.kernel.name for _, cell in found],
            blocks([cell for _, cell in found]),
        )
        for (suite, machine), found in places.items()
    ]
