# SPDX-License-Identifier: GPL-2.0-only
"""Compare two runs, or two kernels of one."""

from __future__ import annotations

import click

from harness.cli.options import AS_JSON
from harness.cli.output import reader_may_leave


@click.command(name="compare")
@click.argument("base", metavar="A")
@click.argument("patched", metavar="B")
@AS_JSON
@click.option("--markdown", is_flag=True, help="To paste into a reply.")
@click.pass_context
def command(ctx: click.Context, base: str, patched: str, *, as_json: bool, markdown: bool) -> None:
    """What B does that A did not. Each is a RUN, or RUN:KERNEL where a run has several kernels.

    \b
    s2eval compare 20260117-101530-run 20260118-093012-run
    s2eval compare latest:debian-6.1 latest:debian-6.1+stage2-normal-nc

    Figures are compared only between cells of the same machine, QEMU and fidelity.
    Exit code: 0 improved or unchanged, 1 regressed or mixed, 2 bad input, 125 undecided.
    """
    from harness.evaluate.patch.between import compare
    from harness.report.terminal.verdict import show

    document = compare(base, patched)
    with reader_may_leave():
        show(document, None, as_json=as_json, as_markdown=markdown)
    ctx.exit(document.exit_code)
