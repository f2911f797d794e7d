# SPDX-License-Identifier: GPL-2.0-only
"""Examine this machine."""

from __future__ import annotations

import click

from harness.base.errors import ExitCode
from harness.cli.options import AS_JSON


@click.command(name="doctor")
@AS_JSON
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Show what this machine has, what is missing, and what its emulator can show.

    \b
    s2eval doctor
    s2eval doctor --json | jq .machines
    """
    from harness.app.doctor import doctor as examine
    from harness.app.doctor import render

    report = examine()
    click.echo(report.model_dump_json(indent=2) if as_json else "\n".join(render(report)))
    ctx.exit(ExitCode.OK if report.ok else ExitCode.UNDECIDED)
