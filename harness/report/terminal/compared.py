# SPDX-License-Identifier: GPL-2.0-only
"""The words on a run's kernels, two by two, below its table.

In a module of its own, because what judges two kernels takes long to import and most runs have
one kernel.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from rich.console import Console
from rich.text import Text

from harness.evaluate.patch.between import documents
from harness.evaluate.patch.verdict.document import VerdictDocument
from harness.report.counted import counted_lines, kernels, word_line
from harness.report.terminal.styles import STYLES
from harness.report.view.sentence import fill
from harness.results.records import Run


def print_compared(console: Console, run: Run, folder: Path | None) -> None:
    """Print the word on each two kernels that are compared, and all that it counts."""
    for document in documents(run, folder):
        _print_verdict(console, document)


def _print_verdict(console: Console, document: VerdictDocument) -> None:
    text = Text(fill([f"{kernels(document)}:", word_line(document)], console.width))
    text.stylize(STYLES[document.status], len(kernels(document)) + 1)
    console.print(text, soft_wrap=True)
    for line in counted_lines(document):
        folded = textwrap.wrap(
            line, console.width, initial_indent="  ", subsequent_indent="    ",
            break_on_hyphens=False,
        )  # fmt: skip
        console.print(Text("\n".join(folded)), soft_wrap=True)
