# SPDX-License-Identifier: GPL-2.0-only
"""From a series to a verdict."""

from __future__ import annotations

import sys
from typing import Any

import click

from harness.cli.options import AS_JSON
from harness.cli.output import reader_may_leave
from harness.cli.patch_options import kernel_and_place


@click.command(name="patch")
@click.argument("series")
@click.option("--base", default="", metavar="REF", help="What the series is applied to.")
@kernel_and_place
@click.option("--each", is_flag=True, help="Look at the kernel after every patch.")
@click.option("--repeat", type=click.IntRange(1, 1000), default=1, help="Boots of each cell.")
@AS_JSON
@click.option("--markdown", is_flag=True, help="To paste into a reply.")
def command(
    series: str,
    *,
    each: bool,
    repeat: int,
    as_json: bool,
    markdown: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Build a kernel without and with SERIES, boot both, say what the series does.

    SERIES is a file of `git format-patch` or `b4 am`, a mailbox, a maildir, a folder of patches or
    of quilt, a range or a commit of the tree, a message id (through b4), or - for standard input.

    \b
    s2eval patch 0001-fix.patch                  # in a kernel tree
    s2eval patch master..my-topic --each
    s2eval patch v3_series.mbx --tree ~/linux --base v6.1 -m nested-tcg-cortex-a72
    git format-patch --stdout -2 | s2eval patch - --kernel debian-6.1 --markdown

    The tree, its index and its branches are not touched.
    Exit code: 0 improved or unchanged, 1 regressed or mixed, 2 bad input, 125 undecided: a kernel
    that does not build, a guest that gives no answer (git bisect run skips), 130 interrupted.
    """
    from harness.evaluate.patch.patch import run_patch
    from harness.evaluate.patch.request import Options, job_of
    from harness.report.terminal.progress import shown_progress
    from harness.report.terminal.verdict import show

    job = job_of(series, Options(**given), each=each)
    done = run_patch(job, repeat=repeat, command=sys.argv, progress=shown_progress(quiet=quiet))
    with reader_may_leave():
        show(done.document, done.folder, as_json=as_json, as_markdown=markdown)
    click.get_current_context().exit(done.document.exit_code)
