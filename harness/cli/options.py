# SPDX-License-Identifier: GPL-2.0-only
"""Options that several commands have, spelled the same everywhere, and how a run is printed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from harness.results.records import Run


def plan_file(_ctx: click.Context, _param: click.Parameter, name: str | None) -> Path | None:
    """Return the file of the plan that an option or argument names. UsageError without one."""
    from harness.evaluate.plan.plan import find_plan  # noqa: PLC0415 - pydantic takes 50 ms

    return None if name is None else find_plan(name)


def complete_plan(
    _ctx: click.Context, _param: click.Parameter, word: str
) -> list[CompletionItem] | list[str]:
    """Return the plans whose names begin with `word`, or have the shell look for files."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - only for a shell

    from harness.base.paths import PLANS  # noqa: PLC0415 - not for `--help`

    names = [name for name in PLANS.files() if name.startswith(word)]
    return names or [CompletionItem(word, type="file")]


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
        from harness.base.json_text import json_text  # noqa: PLC0415 - not for `--help`

        click.echo(json_text(record, indent=2, by_alias=True))
    else:
        from harness.report.terminal.run import print_run  # noqa: PLC0415 - rich takes 100 ms

        print_run(record, folder)
    sys.stdout.flush()  # a reader that has left is told here, not at Python's own end
