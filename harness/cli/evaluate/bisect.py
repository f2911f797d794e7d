# SPDX-License-Identifier: GPL-2.0-only
"""Find the commit, or the patch of a series, that broke something."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from harness.cli.options import AS_JSON, QUIET
from harness.cli.patch_options import kernel_and_place
from harness.cli.run_options import JOBS, limits

if TYPE_CHECKING:
    from harness.evaluate.patch.request import Options as Asked


@click.command(name="bisect")
@click.argument("series", required=False, default="")
@click.option("--good", default="", metavar="REF", help="A commit at which the check is met.")
@click.option("--bad", default="", metavar="REF", help="A later one at which it is not.")
@click.option("--check", default="", metavar="PATH", help="What must be observed.")
@kernel_and_place
@click.option("--repeat", type=click.IntRange(1, 100), default=2, help="Boots that must agree.")
@JOBS
@limits
@AS_JSON
@QUIET
@click.pass_context
def command(
    ctx: click.Context,
    /,
    series: str,
    *,
    good: str,
    bad: str,
    check: str,
    asked: Asked,
    repeat: int,
    jobs: int,
    cell_limit: float | None,
    run_limit: float | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find the first commit between two refs, or the first patch of SERIES, that breaks something.

    \b
    s2eval bisect --good v6.1 --bad HEAD --check audit.ioremap_wc.stage2=Normal-NC
    s2eval bisect --good v6.1 --bad my-topic --check 'wcprobe.*' -m nested-tcg-cortex-a72
    s2eval bisect series.mbx --kernel debian-6.1     # what is worse than without the series?

    Without --check a commit is bad when `s2eval patch` would call it regressed or mixed, compared
    with the good end. A check is a path of an observation, or a pattern: all of it must pass.
    PATH=WORD and PATH!=WORD compare the value or status, PATH<NUMBER (<=, >, >=) a figure. Commits
    that do not build, or do not come to the check, are skipped; one that refuses the VMM twice in
    the same words is bad. What boots disagree about is booted again. Killed and started again, it
    goes on.
    Exit code: 0 found, 2 bad input, 125 only skipped commits are left, 130 interrupted.
    """
    from harness.app.bisect import find_first_bad
    from harness.app.surroundings import Options
    from harness.base.errors import ExitCode
    from harness.evaluate.bisect.run import Question, text
    from harness.evaluate.plan.plan import Limits

    limited = Limits(cell=cell_limit, run=run_limit)
    question = Question(check, series, good, bad, repeat, limited)
    done = find_first_bad(question, asked, Options(jobs=jobs, quiet=quiet))
    if as_json:
        click.echo(json.dumps({**asdict(done.result), "run": done.folder.name}, indent=2))
    else:
        click.echo(text(done), nl=False)
    ctx.exit(ExitCode.OK if done.result.found else ExitCode.UNDECIDED)
