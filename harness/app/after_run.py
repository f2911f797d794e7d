# SPDX-License-Identifier: GPL-2.0-only
"""What follows when the record of a run is on disk: its history, its page, what is kept."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.base.errors import S2EvalError
from harness.evaluate.plan.plan import Retention
from harness.results.history.recording import record_run, stored_at_once
from harness.results.records import Run


def say(line: str) -> None:
    """Print a remark on standard error; that nobody reads it is no reason to fail."""
    try:
        print(f"s2eval: {line}", file=sys.stderr)
    except BrokenPipeError:
        return


def afterwards(run: Run, folder: Path, *, retention: Retention, page: bool) -> None:
    """Put a run into the history (or leave that to who looks), write its page, let old runs go.

    Also for a run that was interrupted, but for the last. A page or a retention that fails is a
    line of warning: the record is safe.
    """
    if stored_at_once(asked=page):
        record_run(run, folder, say)
    try:
        if page:
            _page(run, folder)
        if not run.run.interrupted:
            _let_go(run, folder, retention)
    except (S2EvalError, OSError) as error:
        say(f"warning: {error}")


def _page(run: Run, folder: Path) -> None:
    # jinja2, matplotlib
    from harness.report.output import deliver  # noqa: PLC0415
    from harness.report.page import NAME, render  # noqa: PLC0415
    from harness.report.page.past import known_trends  # noqa: PLC0415

    trends = known_trends(run, "", every=False, say=say)
    deliver(render(run, folder, trends), folder / NAME)
    say(f"report: {folder / NAME}")


def _let_go(run: Run, folder: Path, rules: Retention) -> None:
    if rules.keep_runs is None and rules.keep_days is None:
        return
    from harness.app.housekeeping import apply_retention  # noqa: PLC0415 - few runs need it

    for line in apply_retention(rules.keep_runs, rules.keep_days, run.run.plan, folder.parent):
        say(line)
