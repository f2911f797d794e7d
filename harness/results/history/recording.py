# SPDX-License-Identifier: GPL-2.0-only
"""Decides when runs are stored in the history.

A database that `S2EVAL_HISTORY` names is read by others: a run is stored there when it ends. The
file in the results folder gets its runs when it is first read, and before runs are removed: to
store a run, SQLAlchemy included, takes longer than all else that follows a guest.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from harness.base.errors import S2EvalError
from harness.results.history.location import VARIABLE, Say
from harness.results.records import Run

if TYPE_CHECKING:
    from harness.results.history.history import History


def stored_at_once(*, asked: bool) -> bool:
    """Tell whether a run is stored when it ends; `asked`: the user asks the history next."""
    return asked or bool(os.environ.get(VARIABLE))


def record_run(run: Run, folder: Path, say: Say) -> None:
    """Store a finished run; when that fails, `say` gets a warning and the run is not affected."""
    try:
        with contextlib.closing(_history(say)) as history:
            history.record(run, folder)
    except (S2EvalError, OSError) as error:
        say(f"warning: this run is not in the history: {error}")


def before_removal(base: Path, say: Say) -> str:
    """Store the runs below `base` that the history lacks, before they are removed.

    Return "", or a sentence that says why that was not possible.
    """
    try:
        with contextlib.closing(_history(say)) as history:
            history.catch_up(base)
    except (S2EvalError, OSError) as error:
        return f"it may not be in the history yet: {error}"
    return ""


def _history(say: Say) -> History:
    from harness.results.history.history import History  # noqa: PLC0415 - SQLAlchemy takes 0.2 s

    return History(say=say)
