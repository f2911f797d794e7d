# SPDX-License-Identifier: GPL-2.0-only
"""A shell in a booted kernel."""

from __future__ import annotations

import click

from harness.options import QUIET


@click.command(name="boot")
@click.argument("kernel")
@click.argument("machine", default="nested-tcg")
@click.option("--suite", "-s", default="wcprobe", show_default=True, help="Suite that L2 gets.")
@QUIET
def command(kernel: str, machine: str, suite: str, quiet: bool) -> None:
    """Boot KERNEL on MACHINE with a shell in L1; Ctrl-A X leaves.

    \b
    s2eval boot debian-6.1
    s2eval boot debian-6.12 nested-tcg-cortex-a72
    """
    from harness.boot import boot as boot_shell

    boot_shell(kernel, machine, suite, quiet=quiet)
