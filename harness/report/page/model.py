# SPDX-License-Identifier: GPL-2.0-only
"""The contents of the page in their order; the template only lays them out.

Every value is plain text, which the template escapes. Only `Plot.svg` is markup, made here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.base.text import clean
from harness.evaluate.patch.between import documents
from harness.evaluate.patch.verdict.document import VerdictDocument
from harness.report.counted import HEADLINE, census_lines, counted_lines, kernels
from harness.report.page.audits import MachineLimits, Mapped, audits, limits
from harness.report.page.failures import FailedCell, FlakyItem, Skip, failures, flakes, skips
from harness.report.page.figures import Figure, figures
from harness.report.page.plots import Plotter
from harness.report.page.reach import MarkedSeries, marked_series
from harness.report.page.since import Since, since
from harness.report.page.trends import Trends
from harness.report.view import caught, matrix
from harness.report.view.grid import Grid, about, grid, verdict
from harness.report.view.kinds import KindsTable, kinds_tables
from harness.report.view.rows import blocks
from harness.report.view.sentence import sentences
from harness.report.view.table import Block
from harness.results.compare import pairs
from harness.results.records import Cell, KernelRecord, MachineRecord, Run, Status

UNCHANGED = " unchanged"  # ends the clause that counts observations that are the same


@dataclass(frozen=True)
class Group:
    """Cells of one machine and suite side by side; `cells` are their indices in the run."""

    suite: str
    machine: str
    about: str
    cells: list[int]
    kernels: list[str]
    blocks: list[Block]


@dataclass(frozen=True)
class Compared:
    """The kernels and machines (`heads`) whose comparisons give the same changes (`clauses`)."""

    heads: list[str]
    clauses: list[str]


@dataclass(frozen=True)
class Judged:
    """The word on two kernels: what it rests on, and the lines of all that it counts.

    `census` says what became of all of stage 2.
    """

    kernels: str
    word: str
    head: str
    status: str
    lines: list[str]
    census: list[str]


@dataclass(frozen=True)
class Plot:
    """A figure and its drawing."""

    figure: Figure
    svg: str


@dataclass(frozen=True)
class Page:
    """The whole page; `news` counts the cells with bad results that the plan did not ask for."""

    run: Run
    verdict: str
    counts: dict[str, int]
    news: int
    grid: Grid
    kinds: list[KindsTable]
    reach: MarkedSeries | None
    since: Since | None
    comparisons: list[Compared]
    judged: list[Judged]
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
    """Return the contents of the page of `run`, whose logs are in `folder`."""
    failed = failures(run, folder)
    return Page(
        run=run,
        verdict=verdict(run),
        counts=_counts(run),
        news=sum(not failure.expected for failure in failed),
        grid=grid(run),
        kinds=kinds_tables(run.cells),
        reach=marked_series(folder),
        since=since(run, folder) if folder else None,
        comparisons=_compared(run),
        judged=[judged(document) for document in documents(run, folder)],
        caught=caught.lines(run.cells),
        matrix=matrix.matrix(run.cells),
        failures=failed,
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
    """Return the number of cells of each status that a cell has, worst first."""
    counts = {s.value: sum(cell.status is s for cell in run.cells) for s in Status}
    return {name: number for name, number in counts.items() if number}


def judged(document: VerdictDocument) -> Judged:
    """Return the word on the two kernels of a document as the page shows it."""
    return Judged(
        kernels(document),
        document.verdict.value,
        clean(document.headline, HEADLINE),
        document.status.value,
        counted_lines(document),
        census_lines(document),
    )


def _compared(run: Run) -> list[Compared]:
    """Return the comparisons, those with the same changes as one; unchanged counts may differ."""
    heads_of: dict[tuple[str, ...], list[str]] = {}
    for head, *clauses in sentences(pairs(run)):
        stripped = (clause.rstrip(";") for clause in clauses)
        changes = tuple(clause for clause in stripped if not clause.endswith(UNCHANGED))
        heads_of.setdefault(changes, []).append(head.rstrip(":"))
    return [Compared(heads, list(changes)) for changes, heads in heads_of.items()]


def _groups(cells: Iterable[Cell]) -> list[Group]:
    groups: dict[tuple[str, str], list[tuple[int, Cell]]] = {}
    for index, cell in enumerate(cells):
        groups.setdefault((cell.suite.name, cell.machine.name), []).append((index, cell))
    return [
        Group(
            suite,
            machine,
            about(numbered[0][1].machine),
            [index for index, _ in numbered],
            [cell.kernel.name for _, cell in numbered],
            blocks([cell for _, cell in numbered]),
        )
        for (suite, machine), numbered in groups.items()
    ]
