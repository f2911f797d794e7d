# SPDX-License-Identifier: GPL-2.0-only
"""Show observations over time."""

from __future__ import annotations

import json
from contextlib import closing

import click

from harness.cli.options import AS_JSON


def _say(line: str) -> None:
    click.echo(f"s2eval: {line}", err=True)


@click.command(name="history")
@click.argument("path", required=False)
@click.option("--kernel", "-k", help="Only this kernel.")
@click.option("--machine", "-m", help="Only this machine.")
@click.option("--suite", "-s", help="Only this suite.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=30, show_default=True, help="Newest points."
)
@click.option("--flaky", is_flag=True, help="What changed while its inputs did not.")
@click.option("--changes", nargs=2, metavar="RUN_A RUN_B", help="What two runs saw differently.")
@click.option("--rebuild", is_flag=True, help="Store every run that is on disk.")
@click.option("--url", default="", help="Another database (also: S2EVAL_HISTORY).")
@AS_JSON
def command(
    path: str | None,
    *,
    kernel: str | None,
    machine: str | None,
    suite: str | None,
    limit: int,
    flaky: bool,
    changes: tuple[str, str] | None,
    rebuild: bool,
    url: str,
    as_json: bool,
) -> None:
    """Show the observation PATH over time: since when it is bad, and what changed before.

    \b
    s2eval history wcprobe.ioremap_wc.unaligned_load -k debian-6.1
    s2eval history audit.ioremap_wc.stage2 --json | jq .lanes[].bad
    s2eval history --flaky
    s2eval history --changes 20260116-020000-nightly 20260117-020000-nightly
    """
    from harness.app import history as app
    from harness.results.history.history import History

    names = app.LaneFilter(kernel, machine, suite)
    with closing(History(url, say=_say)) as history:
        if rebuild:
            answer = app.rebuild(history)
        elif changes:
            answer = app.ask_changes(history, *changes)
        elif flaky:
            answer = app.ask_flaky(history, path, names)
        else:
            answer = app.ask(history, path, names, limit)
    click.echo(json.dumps(answer.document, indent=2) if as_json else "\n".join(answer.lines))
