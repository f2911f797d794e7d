# SPDX-License-Identifier: GPL-2.0-only
"""The trends of a run from the history's database; none where there is no database."""

from __future__ import annotations

from collections.abc import Callable

from harness.base.errors import S2EvalError, UsageError
from harness.report.page.trends import Trends, trends
from harness.results.history.location import default_url, is_own_file
from harness.results.records import Run
from harness.results.store import run_names


def known_trends(run: Run, url: str, *, every: bool, say: Callable[[str], object]) -> Trends:
    """Return the trends of `run` from the history at `url` (empty: the default).

    Without a usable history, return no trends and give `say` a warning; with `every`, which asks
    for all trends, raise UsageError or MachineError.
    """
    try:
        return _trends(run, url, every=every, say=say)
    except S2EvalError as error:
        if every:
            raise
        say(f"warning: a page without history: {error}")
        return Trends([])


def _trends(run: Run, url: str, *, every: bool, say: Callable[[str], object]) -> Trends:
    from harness.results.history.db import Database  # noqa: PLC0415
    from harness.results.history.history import History  # noqa: PLC0415 - sqlalchemy takes 200 ms

    url = url or default_url()
    file = Database(url).file
    can_be_made = is_own_file(file) and run_names()  # its first read stores these runs
    if file is not None and not file.is_file() and not can_be_made:
        if every:
            raise UsageError(f"no history in {file}: s2eval history --rebuild")
        return Trends([])
    history = History(url, say=say)
    try:
        return trends(run, history, every=every)
    finally:
        history.close()
