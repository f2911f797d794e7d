# SPDX-License-Identifier: GPL-2.0-only
"""What runs saw over time."""

from __future__ import annotations

import json
from contextlib import closing
from functools import partial
from typing import Any

import click

from harness.cli.options import AS_JSON


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
def command(path: str | None, limit: int, url: str, as_json: bool, **options: Any) -> None:
    """Show the observation PATH over time: since when it is bad, and what changed before.

    \b
    s2eval history wcprobe.ioremap_wc.unaligned_load -k debian-6.1
    s2eval history audit.ioremap_wc.stage2 --json | jq .lanes[].bad
    s2eval history --flaky
    s2eval history --changes 20260116-020000-nightly 20260117-020000-nightly
    """
    from harness.app import history as asked
    from harness.results.history.history import History

    names = asked.LaneFilter(options["kernel"], options["machine"], options["suite"])
    say = partial(click.echo, err=True)
    with closing(History(url, say=lambda line: say(f"s2eval: {line}"))) as history:
        if options["rebuild"]:
            answer = asked.rebuild(history)
        elif options["changes"]:
            answer = asked.ask_changes(history, *options["changes"])
        elif options["flaky"]:
            answer = asked.ask_flaky(history, path, names)
        else:
            answer = asked.ask(history, path, names, limit)
    click.echo(json.dumps(answer.document, indent=2) if as_json else "\n".join(answer.lines))
