# SPDX-License-Identifier: GPL-2.0-only
"""From a series to a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.cli.options import AS_JSON, QUIET
from harness.cli.output import reader_may_leave
from harness.cli.patch_options import kernel_and_place
from harness.cli.run_options import JOBS, RESUME, limits

if TYPE_CHECKING:
    from harness.evaluate.patch.request import Options as Asked


@click.command(name="patch")
@click.argument("series", required=False, default="")
@click.option("--base", default="", metavar="REF", help="What the series is applied to.")
@kernel_and_place
@click.option("--dry-run", is_flag=True, help="Apply it and say what would be run; no more.")
@click.option("--each", is_flag=True, help="Look at the kernel after every patch.")
@click.option("--repeat", type=click.IntRange(1, 1000), default=1, help="Boots of each cell.")
@JOBS
@limits
@click.option("--skip-unchanged", is_flag=True, help="Take over records that would be the same.")
@click.option("--allow-unreached", is_flag=True, help="No line of it need run.")
@click.option("--reach-guest", is_flag=True, help="Count lines that only the guest ran.")
@RESUME
@AS_JSON
@click.option("--markdown", is_flag=True, help="To paste into a reply.")
@QUIET
@click.pass_context
def command(
    ctx: click.Context,
    /,
    series: str,
    *,
    asked: Asked,
    dry_run: bool,
    each: bool,
    repeat: int,
    jobs: int,
    cell_limit: float | None,
    run_limit: float | None,
    skip_unchanged: bool,
    allow_unreached: bool,
    reach_guest: bool,
    resume: str | None,
    as_json: bool,
    markdown: bool,
    quiet: bool,
) -> None:
    """Build a kernel without and with SERIES, boot both, say what the series does.

    SERIES is a file of `git format-patch` or `b4 am`, a mailbox, a maildir, a folder of patches or
    of quilt, a range or a commit of the tree, a message id (through b4), or - for standard input.

    \b
    s2eval patch 0001-fix.patch                  # in a kernel tree
    s2eval patch master..my-topic --each
    s2eval patch v3_series.mbx --tree ~/linux --base v6.1 -m nested-tcg-cortex-a72
    git format-patch --stdout -2 | s2eval patch - --kernel debian-6.1 --markdown
    s2eval patch b4/topic --dry-run              # does it apply, and what would be run?
    s2eval patch --resume                        # what was interrupted

    The tree, its index and its branches are not touched.
    Exit code: 0 improved or unchanged, 1 regressed or mixed, 2 bad input, 130 interrupted, 125
    undecided: a kernel that does not build, a guest that gives no answer (git bisect run skips); or
    not exercised: no line that the series adds ran, which --allow-unreached makes 0.
    With --dry-run: 0, 2, or 125 where b4 or the network is missing.
    """
    from harness.base.errors import UsageError
    from harness.evaluate.patch.request import Options as Asked

    if dry_run:
        if resume is not None or markdown:
            raise UsageError("--dry-run goes with neither --resume nor --markdown")
        _show_dry_run(series, asked, each=each, repeat=repeat, quiet=quiet, as_json=as_json)
        return
    from harness.app.patch import resume_patch, try_patch
    from harness.app.surroundings import Options
    from harness.evaluate.patch.patch import Changes, Judging
    from harness.evaluate.plan.plan import Limits
    from harness.report.terminal.verdict import show

    changes = Changes(repeat, skip_unchanged, Limits(cell=cell_limit, run=run_limit))
    options = Options(jobs=jobs, quiet=quiet)
    judging = Judging(guests=reach_guest, allow_unreached=allow_unreached)
    if resume is None:
        done = try_patch(series, asked, changes, options, judging, each=each)
    elif series or each or asked != Asked() or changes != Changes():
        raise UsageError("--resume goes on with a run's own series: give no other, nor changes")
    else:
        done = resume_patch(resume, options, judging)
    with reader_may_leave():
        show(done.document, done.folder, as_json=as_json, as_markdown=markdown)
    ctx.exit(done.document.exit_code)


def _show_dry_run(
    series: str, asked: Asked, *, each: bool, repeat: int, quiet: bool, as_json: bool
) -> None:
    """Without what runs guests: that is a fraction of a second to import."""
    from harness.evaluate.patch.dry_run import dry_run
    from harness.report.terminal.dry_run import show

    def progress(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    found = dry_run(series, asked, each=each, repeat=repeat, progress=progress)
    with reader_may_leave():
        show(found, as_json=as_json)
