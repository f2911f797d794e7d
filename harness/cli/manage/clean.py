# SPDX-License-Identifier: GPL-2.0-only
"""Housekeeping."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import click

from harness.cli.options import AS_JSON


@click.command(name="clean")
@click.option("--older-than", metavar="TIME", help="Not used for so long: 12h, 30d, 2w.")
@click.option(
    "--keep-runs", type=click.IntRange(min=0), metavar="N", help="All runs but the newest N."
)
@click.option("--builds", is_flag=True, help="Kernel builds.")
@click.option("--all", "cache", is_flag=True, help="The whole cache: all can be made again.")
@click.option("--compress", is_flag=True, help="Compress the logs of the runs that stay.")
@click.option("--dry-run", "-n", is_flag=True, help="Only say what would go.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@AS_JSON
def command(
    older_than: str | None, dry_run: bool, yes: bool, as_json: bool, **options: Any
) -> None:
    """Show what runs and caches take; remove what is not needed.

    \b
    s2eval clean                                  sizes, and when it was last used
    s2eval clean --older-than 30d                 runs and caches, what is older; asks first
    s2eval clean --keep-runs 50 --compress --yes
    s2eval clean --builds --older-than 2w --dry-run

    Runs go with --keep-runs, or with --older-than alone. What a running s2eval uses stays.
    """
    from harness.app import clean as work
    from harness.app.housekeeping import RemovalRules

    age = None if older_than is None else work.seconds(older_than)
    wanted = RemovalRules(age, options["keep_runs"], options["builds"], options["cache"])
    plan = work.survey(wanted, compress=options["compress"])
    asked = bool(wanted) or options["compress"]
    lines = [*(work.intended(plan) if asked else work.overview(plan))]
    if not as_json:
        click.echo("\n".join(lines))
    told: list[str] = []
    something = plan.doomed or plan.packed
    if something and not dry_run and work.agreed(partial(click.confirm, err=True), yes=yes):
        told = work.carry_out(plan)
    for line in [json.dumps(work.document(plan, told), indent=2)] if as_json else told:
        click.echo(line)
