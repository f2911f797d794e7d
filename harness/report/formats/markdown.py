# SPDX-License-Identifier: GPL-2.0-only
"""A run as Markdown (GitHub's and GitLab's), for a job's summary, a merge request or a mail.

Texts of guests and users are in code spans, where nothing is markup, no `@name` notifies anybody
and no HTML is let through.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from harness.base.text import clean
from harness.evaluate.patch.between import documents
from harness.evaluate.patch.verdict.document import VerdictDocument
from harness.report.counted import census_lines, counted_lines, kernels
from harness.report.formats import Source
from harness.report.view import matrix
from harness.report.view.findings import findings
from harness.report.view.grid import Grid, Spot, grid, verdict
from harness.report.view.rows import blocks
from harness.report.view.sentence import sentences
from harness.results.compare import pairs
from harness.results.records import Cell

Rows = Iterable[Sequence[str]]


def render(source: Source) -> str:
    """Return the document: verdict, comparisons, findings, then all cells side by side."""
    run = source.run
    parts = [
        f"# {run.status.value}: {_code(run.run.plan or run.run.id)}",
        f"{verdict(run)}. Run {_code(run.run.id)}, started {_code(run.run.started)}.",
        *_grid(grid(run)),
        *_comparisons(source),
        *_matrix(run.cells),
        *_findings(run.cells),
        *_tables(run.cells),
    ]
    return "\n\n".join(parts) + "\n"


def _code(text: str) -> str:
    """Return a code span that nothing in `text` ends, also inside a table."""
    inner = clean(text, 2000).replace("`", "'").replace("|", "\\|")
    return f"`{inner}`" if inner else ""


def _table(head: Sequence[str], rows: Rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _grid(cells: Grid) -> Iterator[str]:
    columns = cells.columns()
    if not columns:
        return
    several = len(cells.suites) > 1
    head = ["kernel", *(_code(f"{m} {s}" if several else m) for m, s in columns)]
    yield _table(
        head,
        (
            [_code(kernel), *(_spot(cells.spots.get((kernel, *column))) for column in columns)]
            for kernel in cells.kernels
        ),
    )


def _spot(spot: Spot | None) -> str:
    if spot is None:
        return ""
    note = ", expected" if spot.expected else ""
    stage2 = f"stage 2 {_code(spot.stage2)}" if spot.stage2 else ""
    return "<br>".join(
        filter(None, (f"**{spot.status.value}**{note}", _code(spot.failure), stage2))
    )


def _comparisons(source: Source) -> Iterator[str]:
    run = source.run
    compared = sentences(pairs(run))
    if compared:
        yield "## What differs between kernels"
    for document in documents(run, source.folder):
        yield verdict_of(document)
    for head, *clauses in compared:
        yield "\n".join([f"- {_code(head)}", *(f"  - {_code(c.rstrip(';'))}" for c in clauses)])


def verdict_of(document: VerdictDocument) -> str:
    """Return the word on two kernels and all that it counts."""
    word = f"**{document.verdict.value.upper()}**: {_code(document.headline)}"
    things = [f"- {_code(line)}" for line in counted_lines(document)]
    things += [f"- stage 2: {_code(line)}" for line in census_lines(document)]
    return "\n".join([f"{_code(kernels(document))} {word}", "", *things]).rstrip()


def _matrix(cells: Sequence[Cell]) -> Iterator[str]:
    for table in matrix.matrix(cells):
        yield f"## {table.title}"
        yield _table(
            ["", *(_code(f"{c.memattr:#x} {c.name}") for c in table.columns)],
            (
                [_code(row), *(_entry(column.entries.get(row)) for column in table.columns)]
                for row in matrix.ROWS
            ),
        )


def _entry(entry: matrix.Combination | None) -> str:
    if entry is None:
        return ""
    must = "" if entry.agrees else f" (architecture: {entry.expected})"
    return _code(entry.text + must)


def _findings(cells: Sequence[Cell]) -> Iterator[str]:
    by_cell = [(cell, findings(cell)) for cell in cells]
    if any(lines for _, lines in by_cell):
        yield "## Findings"
    for cell, lines in by_cell:
        if lines:
            yield "\n".join(
                [
                    f"- {_code(cell.name)}",
                    *(f"  - **{line.status.value}** {_code(line.text)}" for line in lines),
                ]
            )


def _tables(cells: Sequence[Cell]) -> Iterator[str]:
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.suite.name, cell.machine.name), []).append(cell)
    for (suite, machine), group in groups.items():
        yield f"## {_code(suite)} on {_code(machine)}"
        rows = [
            [_code(" ".join(filter(None, (block.title, row.label)))), *map(_code, texts)]
            for block in blocks(group)
            for row in block.rows
            for texts in [[entry.text for entry in row.entries]]
        ]
        yield _table(["", *(_code(cell.kernel.name) for cell in group)], rows)
