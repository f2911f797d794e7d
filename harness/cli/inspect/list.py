# SPDX-License-Identifier: GPL-2.0-only
"""List what can be run."""

from __future__ import annotations

import click

from harness.cli.options import AS_JSON


@click.command(name="list")
@click.option("--all", "every", is_flag=True, help="Name each series, mutants too.")
@AS_JSON
def command(*, every: bool, as_json: bool) -> None:
    """List the kernels, series, machines, suites and plans there are.

    \b
    s2eval list
    s2eval list --json | jq -r .machines[].name
    """
    from harness.app.list import listing, render

    entries = listing()
    click.echo(entries.model_dump_json(indent=2) if as_json else render(entries, every=every))
