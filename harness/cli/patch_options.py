# SPDX-License-Identifier: GPL-2.0-only
"""Options of `patch` and `bisect`: which kernel is meant, and where it is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from harness.cli.options import MACHINES, QUIET, SUITES, complete_plan, plan_file

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--tree", default="", help="Kernel tree; default: the one you stand in."),
    click.option("--kernel", "-k", default="", help="A kernel of `s2eval list`, not a tree."),
    click.option(
        "--plan",
        callback=plan_file,
        shell_complete=complete_plan,
        help="Machines and suites of a plan.",
    ),
    MACHINES,
    SUITES,
    click.option("--cpu", help="Another CPU model for the machines."),
    click.option("--config", multiple=True, metavar="FRAGMENT", help="More config, repeatable."),
    click.option("--llvm", is_flag=True, help="Build with clang and lld."),
    QUIET,
)


def kernel_and_place(function: F) -> F:
    """Add the options; their values arrive by name, as request.Options has them, and `quiet`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function
