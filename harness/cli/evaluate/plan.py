# SPDX-License-Identifier: GPL-2.0-only
"""Look at plans."""

from __future__ import annotations

from pathlib import Path

import click

from harness.base.errors import ExitCode
from harness.cli.options import AS_JSON, complete_plan, plan_file


@click.group(name="plan")
def command() -> None:
    """Look at a plan without running it.

    \b
    s2eval plan check nightly
    """


@command.command(name="check")
@click.argument("plan", callback=plan_file, shell_complete=complete_plan)
@AS_JSON
@click.pass_context
def check(ctx: click.Context, /, plan: Path, as_json: bool) -> None:
    """Say what PLAN (a name or a file) would run, what is in the store, and how long it will take.

    \b
    s2eval plan check nightly
    s2eval plan check my-plan.toml --json | jq .seconds

    Exit code: 0 a good plan, 2 one with problems, each of which is told with its line. A path that
    the suites have not given so far on these machines is a warning.
    """
    from harness.app.plan import forecast, render

    found = forecast(plan)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    elif found.problems:
        for line in found.problems:
            click.echo(f"s2eval: {line}", err=True)
    else:
        for line in found.warnings:
            click.echo(f"s2eval: {line}", err=True)
        click.echo("\n".join(render(found)))
    ctx.exit(ExitCode.USAGE if found.problems else ExitCode.OK)
