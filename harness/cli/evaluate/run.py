# SPDX-License-Identifier: GPL-2.0-only
"""Run a plan or a matrix."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import (
    AS_JSON,
    KERNELS,
    MACHINES,
    QUIET,
    SUITES,
    complete_plan,
    plan_file,
    show_run,
)
from harness.cli.output import reader_may_leave
from harness.cli.run_options import JOBS, RESUME, limits


@click.command(name="run")
@click.argument("plan", required=False, callback=plan_file, shell_complete=complete_plan)
@KERNELS
@MACHINES
@SUITES
@JOBS
@limits
@click.option("--repeat", type=click.IntRange(1, 1000), help="Boot each cell so often.")
@click.option("--retries", type=click.IntRange(0, 10), help="More boots for a MISS.")
@click.option(
    "--skip-unchanged/--again",
    default=None,
    help="Take over records of cells whose inputs have not changed, or run all.",
)
@click.option(
    "--fresh/--restored",
    default=None,
    help="Boot each L1, or restore one that has been saved.",
)
@RESUME
@click.option("--report", "page", is_flag=True, help="Write report.html in the run's folder, too.")
@AS_JSON
@QUIET
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    plan: Path | None,
    kernels: tuple[str, ...],
    machines: tuple[str, ...],
    suites: tuple[str, ...],
    jobs: int,
    cell_limit: float | None,
    run_limit: float | None,
    repeat: int | None,
    retries: int | None,
    skip_unchanged: bool | None,
    fresh: bool | None,
    resume: str | None,
    page: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run PLAN (a name or a file), or the matrix of the kernels, machines and suites given.

    \b
    s2eval run quickstart
    s2eval run nightly --jobs 2 --report
    s2eval run --resume
    s2eval run -k debian-6.1 -k debian-6.1+stage2-vma-flag -m nested-tcg -s wcprobe --repeat 5
    s2eval run -k tree:~/linux@HEAD -m nested-tcg-cortex-a72 -s wcprobe --json > run.json
    s2eval run -k debian-6.1 -m ./my-machine.toml -s ./my-suite

    A machine or a suite with a slash in its name is a file or a folder of yours.
    Exit code: 0 all as expected, 1 a FAIL or an unmet expectation, 2 bad input, 125 a kernel that
    does not build or a fault of the harness or the machine (git bisect run skips), 130 interrupted.
    """
    from harness.app.run import Changes, Named, left_over, start
    from harness.app.surroundings import Options
    from harness.evaluate.plan.plan import Limits

    limited = Limits(cell=cell_limit, run=run_limit)
    changes = Changes(repeat, retries, skip_unchanged, fresh, limited)
    options = Options(jobs=jobs, quiet=quiet, page=page, tables=not as_json)
    outcome = start(plan, Named(kernels, machines, suites), changes, resume, options)
    with reader_may_leave():
        show_run(outcome.run, outcome.folder, as_json=as_json)
    if left := left_over(outcome):
        click.echo(f"s2eval: {left}", err=True)
    ctx.exit(outcome.exit_code)
