# SPDX-License-Identifier: GPL-2.0-only
"""Options of `run`, `patch` and `bisect`: how a run is carried out, whatever it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

JOBS = click.option(
    "--jobs", "-j", type=click.IntRange(1, 64), default=1, help="Cells side by side."
)
RESUME = click.option(
    "--resume",
    metavar="[RUN]",
    is_flag=False,
    flag_value="latest",
    help="Go on with a run that was interrupted, default the newest.",
)
_SECONDS = click.FloatRange(min=0, min_open=True)
_LIMITS = (
    click.option(
        "--cell-limit", type=_SECONDS, metavar="SECONDS", help="A cell that takes longer is a MISS."
    ),
    click.option(
        "--run-limit", type=_SECONDS, metavar="SECONDS", help="No cell is started later than this."
    ),
)


def limits(function: F) -> F:
    """Add the limits that a plan has as [limits]: `cell_limit` and `run_limit`."""
    for option in reversed(_LIMITS):
        function = option(function)
    return function
