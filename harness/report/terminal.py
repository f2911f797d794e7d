# SPDX-License-Identifier: GPL-2.0-only
"""A run as a kernel developer reads it: a table, what the patch changed, findings, the result.

Everything a guest printed is data: it goes to the terminal as plain text without control
sequences (harness/text.py), never as markup.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.report.rows import UNREACHED, Entry, blocks, words
from harness.results.compare import Pair, difference, pairs
from harness.results.records import Cell, Observation, Run, Status, exit_code_of
from harness.results.store import cell_path
from harness.text import clean

LABEL_WIDTH = 20
COLUMN_WIDTH = 26  # at least, for a cell's column
CHANGES = 12  # that a comparison names before it counts the rest
NAMED = 4  # paths that a line names before it counts the rest

STYLES = {
    Status.PASS: "green",
    Status.FAIL: "bold red",
    Status.ERROR: "bold magenta",
    Status.MISS: "bold magenta",
    Status.SKIP: "yellow",
    Status.DONE: "",
}


def print_run(
    run: Run, folder: Path | None = None, *, file: TextIO | None = None, width: int | None = None
) -> None:
    """Print the whole run; `folder` is where its logs are, `width` in characters.

    Without `width` the terminal's, or 80 where there is none.
    """
    file = file or sys.stdout
    console = Console(file=file, width=width, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        _print(console, run, folder)
    # Tables are padded to their width: nobody wants that in a pipe or a paste.
    file.write("\n".join(line.rstrip() for line in captured.get().split("\n")))


def _print(console: Console, run: Run, folder: Path | None) -> None:
    for group in _groups(run):
        _print_group(console, group)
    for pair in pairs(run):
        _line(console, _comparison(pair))
    _print_findings(console, run, folder)
    _line(console, *_result(run))
    if folder:
        console.print(Text(f"records: {_short(folder)}"), soft_wrap=True)


def _line(console: Console, *pieces: str | Text) -> None:
    """A line; what does not fit goes on in the next one."""
    console.print(Text.assemble(*pieces, overflow="fold"))


def _groups(run: Run) -> list[list[Cell]]:
    """The cells of one machine and suite together."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in run.cells:
        groups.setdefault((cell.machine.name, cell.suite.name), []).append(cell)
    return list(groups.values())


# -- the table --------------------------------------------------------------------------------


def _print_group(console: Console, cells: Sequence[Cell]) -> None:
    machine, suite = cells[0].machine, cells[0].suite.name
    cpus = "1 CPU" if machine.smp == 1 else f"{machine.smp} CPUs"
    about = f"{machine.topology}, {machine.accel.upper()}, {machine.cpu}, {cpus}"
    version = re.search(r"\d+\.\d+[.\d]*", machine.qemu)
    qemu = f", QEMU {version[0]}" if version else ""
    _line(console, Text(f"{suite} on {machine.name}", style="bold"), f" ({about}{qemu})")
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


# -- what changed -----------------------------------------------------------------------------


def _comparison(pair: Pair) -> str:
    base, patched = pair.base, pair.patched
    what = f"{base.kernel.name} -> {patched.kernel.name} on {base.machine.name}: "
    if not base.observations or not patched.observations:
        return what + "nothing to compare"
    found = difference(pair)
    told = [f"{_below(base, c.path)}: {words(c.before)} -> {words(c.after)}" for c in found.changes]
    if len(told) > CHANGES:
        told = [*told[:CHANGES], f"{len(told) - CHANGES} more changes"]
    told = [*told, f"{found.unchanged} others unchanged"] if told else ["nothing changed"]
    return what + clean("; ".join(told), 4000)


def _below(cell: Cell, path: str) -> str:
    return path.removeprefix(cell.suite.name + ".")


# -- findings ---------------------------------------------------------------------------------


def _print_findings(console: Console, run: Run, folder: Path | None) -> None:
    found = [(cell, list(_findings(cell))) for cell in run.cells]
    if not any(lines for _, lines in found):
        return
    console.print()
    _line(console, Text("Findings", style="bold"))
    for cell, lines in found:
        if lines:
            _line(console, clean(cell.name))
            _print_lines(console, lines, _log(cell, folder))
    console.print()


def _print_lines(console: Console, lines: Sequence[tuple[Status, str]], log: str) -> None:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=2)
    table.add_column(width=5)
    table.add_column(overflow="fold")
    for status, text in lines:
        table.add_row("", Text(status.value, style=STYLES[status]), Text(clean(text, 2000)))
    console.print(table)
    if log:  # in one piece, to be copied
        console.print(Text(f"   log   {log}"), soft_wrap=True)


def _findings(cell: Cell) -> Iterator[tuple[Status, str]]:
    """What a reader must know about a cell, worst first: status and sentence."""
    expected = {e.path for e in cell.expectations if e.status is Status.PASS}
    told = False
    for status in (Status.FAIL, Status.ERROR, Status.MISS):
        for item in cell.observations:
            if item.status is status:
                note = " (as expected)" if item.path in expected else ""
                told |= "failure" in item.detail
                yield status, f"{_sentence(cell, item)}{note}"
    if cell.failure and not told:
        where = f" in {cell.failure.where}" if cell.failure.where else ""
        yield cell.status, f"{cell.failure.kind}{where}: {cell.failure.summary}"
    for audit in cell.audits:
        if audit.get("status") in (Status.FAIL, Status.ERROR, Status.MISS):
            reason = (audit.get("detail") or {}).get("reason", "")
            yield Status(audit["status"]), f"audit of {audit.get('mapping')}: {reason}"
    for item in cell.expectations:
        if item.status is not Status.PASS:
            yield item.status, f"{_sentence(cell, item)}"
    yield from _skips(cell)


def _sentence(cell: Cell, item: Observation) -> str:
    value = words(item.value) if isinstance(item.value, str) else item.value
    parts = [_below(cell, item.path), "" if value is None else str(value)]
    return ": ".join([*filter(None, parts), str(item.detail.get("reason", ""))]).rstrip(": ")


def _skips(cell: Cell) -> Iterator[tuple[Status, str]]:
    """Skipped tests by their reason."""
    reasons: dict[str, list[str]] = {}
    for item in cell.observations:
        if item.status is Status.SKIP:
            paths = reasons.setdefault(str(item.detail.get("reason", "no reason given")), [])
            paths.append(_skipped(cell, item))
    for reason, paths in reasons.items():
        more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
        yield Status.SKIP, f"{', '.join(paths[:NAMED])}{more}: {reason}"


def _skipped(cell: Cell, item: Observation) -> str:
    place, _, name = _below(cell, item.path).rpartition(".")
    if name != UNREACHED:
        return _below(cell, item.path)
    tests = "1 test" if item.value == 1 else f"{item.value} tests"
    return f"{tests} of {place or cell.suite.name}"


def _log(cell: Cell, folder: Path | None) -> str:
    """The file to read on in: the failure's, or the cell's folder."""
    if folder is None:
        return ""
    place = cell_path(folder, cell.name)
    path = place / cell.failure.log if cell.failure and cell.failure.log else place
    return _short(path)


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _result(run: Run) -> tuple[str | Text, ...]:
    expectations = [e for cell in run.cells for e in cell.expectations]
    met = sum(e.status is Status.PASS for e in expectations)
    count = "1 cell" if len(run.cells) == 1 else f"{len(run.cells)} cells"
    parts = [f"{count} in {run.run.seconds:.1f} s"]
    if expectations:
        parts.append(f"{met} of {len(expectations)} expectations met")
    if run.run.interrupted:
        parts.append("interrupted")
    parts.append(f"exit code {int(exit_code_of(run.status))}")
    return (
        Text(run.status.value, style=STYLES[run.status]),
        f" {clean(run.run.id)}: {', '.join(parts)}",
    )
