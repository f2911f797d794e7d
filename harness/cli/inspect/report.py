# SPDX-License-Identifier: GPL-2.0-only
"""Write a run as a page."""

from __future__ import annotations

from pathlib import Path

import click


def _say(line: str) -> None:
    click.echo(f"s2eval: {line}", err=True)


@click.command(name="report")
@click.argument("run_name", metavar="[RUN]", default="latest")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Another file than report.html in the run's folder.",
)
@click.option("--history", "every", is_flag=True, help="All trends, not only of what is bad.")
@click.option("--url", default="", help="Another history (also: S2EVAL_HISTORY).")
def command(run_name: str, output: Path | None, *, every: bool, url: str) -> None:
    """Write RUN (a folder, a name in results/, default the newest) as one HTML file.

    \b
    s2eval report
    s2eval report --history
    s2eval report 20260117-101530-quickstart --output ~/public_html/nightly.html

    The file needs no network and no other file.
    """
    from harness.report.logs import shown_path
    from harness.report.output import deliver
    from harness.report.page import NAME, render
    from harness.report.page.past import known_trends
    from harness.results.store import load_run, run_folder

    folder = run_folder(run_name)
    run, target = load_run(folder), output or folder / NAME
    trends = known_trends(run, url, every=every, say=_say)
    deliver(render(run, folder, trends), target)
    click.echo(f"report: {shown_path(target)}")
