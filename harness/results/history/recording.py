# SPDX-License-Identifier: GPL-2.0-only
"""Which history there is, and when runs come into it.

A database that `S2EVAL_HISTORY` names is there for others to look at: it has a run as soon as that
has ended. The file in the results folder is caught up by whoever looks, and before runs are
removed: to store a run, SQLAlchemy included, takes longer than all else that follows a guest.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from harness.base import paths
from harness.base.errors import S2EvalError

VARIABLE = "S2EVAL_HISTORY"
FILE = "results.sqlite"
Say = Callable[[str], object]


def own_file() -> Path:
    """The history of the results folder."""
    return (paths.results_dir() / FILE).absolute()


def default_url() -> str:
    """`S2EVAL_HISTORY`, else results.sqlite in the results folder."""
    return os.environ.get(VARIABLE) or f"sqlite:///{own_file()}"


def stored_at_once(*, asked: bool) -> bool:
    """Whether a run that ends is stored then; `asked`: the history is looked at next."""
    return asked or bool(os.environ.get(VARIABLE))


def caught_up_by_a_look(file: Path | None) -> bool:
    """Whether whoever looks at a database, SQLite's `file`, is to catch it up before."""
    return file == own_file()


def before_removal(base: Path, say: Say) -> str:
    """Store the runs below `base` that the history lacks; why that was not possible, or ""."""
    from harness.results.history.history import History  # noqa: PLC0415 - SQLAlchemy takes 0.2 s

    try:
        with contextlib.closing(History(say=say)) as history:
            history.catch_up(base)
    except (S2EvalError, OSError) as error:
        return f"it may not be in the history yet: {error}"
    return ""
