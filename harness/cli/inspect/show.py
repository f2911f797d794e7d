# SPDX-License-Identifier: GPL-2.0-only
"""Show a run again."""

from __future__ import annotations

import click

from harness.cli.options import AS_JSON, show_run


@click.command(name="show")
@click.argument("run_name", metavar="[RUN]", default="latest")
@AS_JSON
@click.option("--reproduce", metavar="CELL", help="A shell script that runs CELL again by itself.")
def command(run_name: str, *, as_json: bool, reproduce: str | None) -> None:
    """Show RUN (a folder, a name in results/, default the newest) again.

    \b
    s2eval show
    s2eval show 20260117-101530-quickstart --json | jq .cells[0].observations
    s2eval show --reproduce debian-6.1/nested-tcg/wcprobe > again.sh && sh again.sh
    """
    from harness.results.store import load_run, run_folder

    folder = run_folder(run_name)
    record = load_run(folder)
    if reproduce:
        from harness.evaluate.cell.reproduce import stored_script

        click.echo(stored_script(record, folder, reproduce), nl=False)
        return
    show_run(record, folder, as_json=as_json)
