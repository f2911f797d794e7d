# SPDX-License-Identifier: GPL-2.0-only
"""Remove old runs and caches."""

from __future__ import annotations

import json
from functools import partial

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
    *,
    older_than: str | None,
    keep_runs: int | None,
    builds: bool,
    cache: bool,
    compress: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Show what runs and caches take; remove what is not needed.

    \b
    s2eval clean                                  sizes, and when it was last used
    s2eval clean --older-than 30d                 runs and caches, what is older; asks first
    s2eval clean --keep-runs 50 --compress --yes
    s2eval clean --builds --older-than 2w --dry-run

    Runs go with --keep-runs, or with --older-than alone. What a running s2eval uses stays.
    """
    from harness.app import clean as app
    from harness.app.housekeeping import RemovalRules

    age = None if older_than is None else app.seconds(older_than)
    rules = RemovalRules(age, keep_runs, builds, cache)
    plan = app.survey(rules, compress=compress)
    lines = [*(app.intended(plan) if rules or compress else app.overview(plan))]
    if not as_json:
        click.echo("\n".join(lines))
    done: list[str] = []
    has_work = plan.doomed or plan.packed
    if has_work and not dry_run and app.agreed(partial(click.confirm, err=True), yes=yes):
        done = app.carry_out(plan)
    for line in [json.dumps(app.document(plan, done), indent=2)] if as_json else done:
        click.echo(line)
