# SPDX-License-Identifier: GPL-2.0-only
"""A run as a kernel developer reads it: a table, what the patch changed, findings, the result.

Everything a guest printed is data: it goes to the terminal as plain text without control
sequences (harness/base/text.py), never as markup.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.base.text import clean
from harness.report.terminal.styles import STYLES
from harness.report.view import caught, matrix
from harness.report.view.findings import Finding, findings
from harness.report.view.grid import about, verdict
from harness.report.view.rows import blocks
from harness.report.view.sentence import fill, sentences
from harness.report.view.table import Entry
from harness.results.compare import pairs
from harness.results.records import Cell, Run, Status
from harness.results.store import PATCH, cell_path

LABEL_WIDTH = 20
COLUMN_WIDTH = 26  # at least, for a cell's column


def print_run(
    run: Run, folder: Path | None = None, *, file: TextIO | None = None, width: int | None = None
) -> None:
    """Print the whole run; its logs are in `folder`, a line has `width` characters.

    The default of `width` is that of the terminal, or 80 without a terminal.
    """
    file = file or sys.stdout
    console = Console(file=file, width=width, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        _print(console, run, folder)
    # rich pads tables with spaces, which are in the way in a pipe or a paste.
    file.write("\n".join(line.rstrip() for line in captured.get().split("\n")))


def _print(console: Console, run: Run, folder: Path | None) -> None:
    for group in _groups(run):
        _print_group(console, group)
    for table in matrix.matrix(run.cells):
        _lines(console, matrix.lines(table, console.width))
    _lines(console, caught.lines(run.cells))
    for clauses in sentences(pairs(run)):
        text = Text(fill(clauses, console.width))
        text.stylize("bold", 0, len(clauses[0]))
        console.print(text, soft_wrap=True)
    if len({cell.kernel.name for cell in run.cells}) > 1 or (folder and (folder / PATCH).is_file()):
        from harness.report.terminal.compared import print_compared  # noqa: PLC0415 - takes 60 ms

        print_compared(console, run, folder)
    _print_findings(console, run, folder)
    _line(console, *_result(run))
    records = _short(folder) if folder else clean(run.run.id)
    console.print(Text(f"records: {records}"), soft_wrap=True)


def _lines(console: Console, lines: Sequence[str]) -> None:
    """Print `lines` as they are, and an empty line after them; nothing for no lines."""
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    if lines:
        console.print()


def _line(console: Console, *pieces: str | Text) -> None:
    """Print `pieces` as one line, folded where it does not fit."""
    console.print(Text.assemble(*pieces, overflow="fold"))


def _groups(run: Run) -> list[list[Cell]]:
    """Return the cells in groups of one machine and suite."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in run.cells:
        groups.setdefault((cell.machine.name, cell.suite.name), []).append(cell)
    return list(groups.values())


# -- the table --------------------------------------------------------------------------------


def _print_group(console: Console, cells: Sequence[Cell]) -> None:
    machine, suite = cells[0].machine, cells[0].suite.name
    _line(console, Text(f"{suite} on {machine.name}", style="bold"), f" ({about(machine)})")
    console.print()
    at_once = max(1, (console.width - LABEL_WIDTH) // COLUMN_WIDTH)
    for start in range(0, len(cells), at_once):
        console.print(_table(cells[start : start + at_once], console.width))
        console.print()


def _table(cells: Sequence[Cell], width: int) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", width=LABEL_WIDTH, overflow="fold")
    column = max(8, min(48, (width - LABEL_WIDTH - 2) // len(cells) - 2))
    for cell in cells:
        table.add_column(Text(clean(cell.kernel.name)), width=column, overflow="fold")
    for block in blocks(cells):
        if block.title:
            table.add_row()
            table.add_row(Text(block.title, style="bold"))
        for row in block.rows:
            label = "  " * (bool(block.title) + row.depth) + row.label
            table.add_row(Text(label), *(_entry(entry) for entry in row.entries))
    return table


def _entry(entry: Entry) -> Text:
    style = STYLES[entry.status] if entry.status else ""
    return Text(entry.text, style="" if entry.status is Status.PASS else style)


# -- findings ---------------------------------------------------------------------------------


def _print_findings(console: Console, run: Run, folder: Path | None) -> None:
    by_cell = [(cell, findings(cell)) for cell in run.cells]
    if not any(lines for _, lines in by_cell):
        return
    console.print()
    _line(console, Text("Findings", style="bold"))
    for cell, lines in by_cell:
        if lines:
            _line(console, clean(cell.name))
            _print_lines(console, lines, _log(cell, folder))
    console.print()


def _print_lines(console: Console, lines: Sequence[Finding], log: str) -> None:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=2)
    table.add_column(width=5)
    table.add_column(overflow="fold")
    for line in lines:
        style = "dim" if line.expected else ""
        status = Text(line.status.value, style=style or STYLES[line.status])
        table.add_row("", status, Text(clean(line.text, 2000)), style=style)
    console.print(table)
    if log and not any(log in line.text for line in lines):  # never folded: it is copied
        console.print(Text(f"   log   {log}"), soft_wrap=True)


def _log(cell: Cell, folder: Path | None) -> str:
    """Return the path to read on in: the failure's log, or the cell's folder."""
    if folder is None:
        return ""
    logs = cell_path(folder, cell.name)
    named = cell.failure.log if cell.failure else ""
    return _short(logs / named)


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _result(run: Run) -> tuple[str | Text, ...]:
    return (Text(run.status.value, style=STYLES[run.status]), f": {verdict(run)}")
