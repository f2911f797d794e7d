# SPDX-License-Identifier: GPL-2.0-only
"""Options that several commands have, spelled the same everywhere, and how a run is printed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.results.records import Run

KERNELS = click.option("--kernel", "-k", "kernels", multiple=True, help="Kernel, repeatable.")
MACHINES = click.option("--machine", "-m", "machines", multiple=True, help="Machine, repeatable.")
SUITES = click.option("--suite", "-s", "suites", multiple=True, help="Suite, repeatable.")
AS_JSON = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document on standard output."
)
QUIET = click.option("--quiet", "-q", is_flag=True, help="No progress on standard error.")


def show_run(record: Run, folder: Path, *, as_json: bool) -> None:
    """Print a run's tables, or its record."""
    if as_json:
        click.echo(record.model_dump_json(indent=2, by_alias=True))
    else:
        from harness.report.terminal.run import print_run  # noqa: PLC0415 - rich takes 100 ms

        print_run(record, folder)
    sys.stdout.flush()  # a reader that has left is told here, not at Python's own end
