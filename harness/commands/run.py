# SPDX-License-Identifier: GPL-2.0-only
"""Run a plan or a matrix."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import click

from harness.command import nobody_reads
from harness.options import AS_JSON, KERNELS, MACHINES, QUIET, SUITES, show_run


@click.command(name="run")
@click.argument("plan", required=False, type=click.Path(path_type=Path))
@KERNELS
@MACHINES
@SUITES
@AS_JSON
@QUIET
@click.pass_context
def command(
    ctx: click.Context,
    plan: Path | None,
    kernels: tuple[str, ...],
    machines: tuple[str, ...],
    suites: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Run PLAN, or the matrix of the kernels, machines and suites given.

    \b
    s2eval run plans/quickstart.toml
    s2eval run -k debian-6.1 -k debian-6.1+stage2-vma-flag -m nested-tcg -s wcprobe
    s2eval run -k tree:~/linux@HEAD -m nested-tcg-cortex-a72 -s wcprobe --json > run.json
    s2eval run -k debian-6.1 -m ./my-machine.toml -s ./my-suite

    A machine or a suite with a slash in its name is a file or a folder of yours.
    Exit code: 0 all as expected, 1 a FAIL or an unmet expectation, 2 bad input, 125 a kernel that
    does not build or a fault of the harness or the machine (git bisect run skips), 130 interrupted.
    """
    from harness.run import plan_of, run_plan

    wanted = plan_of(plan, list(kernels), list(machines), list(suites))
    ready = "harness.report.terminal" if not as_json else "json"
    outcome = run_plan(
        wanted, str(plan or ""), sys.argv, quiet=quiet, idle=lambda: import_module(ready)
    )
    try:
        show_run(outcome.run, outcome.folder, as_json=as_json)
    except BrokenPipeError:
        nobody_reads()
    ctx.exit(outcome.exit_code)
