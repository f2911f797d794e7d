# SPDX-License-Identifier: GPL-2.0-only
"""Which database is the history: the one that `S2EVAL_HISTORY` names, or the results folder's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from harness.base import paths

VARIABLE = "S2EVAL_HISTORY"
FILE = "results.sqlite"
Say = Callable[[str], object]


def own_file() -> Path:
    """Return the SQLite file of the results folder, absolute."""
    return (paths.results_dir() / FILE).absolute()


def default_url() -> str:
    """Return `S2EVAL_HISTORY`, else the URL of the results folder's own file."""
    return os.environ.get(VARIABLE) or f"sqlite:///{own_file()}"


def is_own_file(file: Path | None) -> bool:
    """Tell whether `file` (None: no SQLite) is the results folder's own history.

    Its first read stores the runs that it lacks.
    """
    return file == own_file()
