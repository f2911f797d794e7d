# SPDX-License-Identifier: GPL-2.0-only
"""Options of `patch` and `bisect`: which kernel is meant, and where it is run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar, cast

import click

from harness.cli.options import MACHINES, SUITES, complete_plan, plan_file

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
)


def kernel_and_place(function: F) -> F:
    """Add the options, which arrive together as `asked`, a patch.request.Options."""

    @functools.wraps(function)
    def collect(*args: Any, **values: Any) -> Any:
        from harness.evaluate.patch.request import Options  # noqa: PLC0415 - not for `--help`

        names = [field.name for field in fields(Options) if field.name in values]
        asked = Options(**{name: values.pop(name) for name in names})
        return function(*args, asked=asked, **values)

    collected = cast(F, collect)
    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected
