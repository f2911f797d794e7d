# SPDX-License-Identifier: GPL-2.0-only
"""Write a run in the format of another tool."""

from __future__ import annotations

from pathlib import Path

import click

from harness.report.formats import FORMATS, ORIGIN


@click.command(name="export")
@click.argument("run_name", metavar="[RUN]", default="latest")
@click.option(
    "--format", "-f", "name", type=click.Choice(FORMATS), required=True, help="Of the document."
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file instead of standard output.",
)
@click.option(
    "--origin", default=ORIGIN, show_default=True, help="kcidb: the name of your CI system."
)
def command(run_name: str, name: str, output: Path | None, origin: str) -> None:
    """Write RUN (a folder, a name in results/, default the newest) for another tool.

    \b
    s2eval export --format junit --output junit.xml
    s2eval export --format markdown >> "$GITHUB_STEP_SUMMARY"
    s2eval export -f ktap | ./tools/testing/kunit/kunit.py parse
    s2eval export -f kcidb --origin my_lab > kcidb.json

    What the plan expects to fail is no failure in KTAP and JUnit: they come to the run's verdict.
    """
    from harness.report.formats import Source, export
    from harness.report.output import deliver
    from harness.results.store import load_run, run_folder

    folder = run_folder(run_name)
    deliver(export(Source(load_run(folder), folder, origin), name), output)
