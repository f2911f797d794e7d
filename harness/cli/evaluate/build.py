# SPDX-License-Identifier: GPL-2.0-only
"""Build kernels."""

from __future__ import annotations

import click

from harness.cli.options import AS_JSON, QUIET


@click.command(name="build")
@click.argument("kernels", nargs=-1, required=True, metavar="KERNEL...")
@click.option("--update", is_flag=True, help="Take the newest point release of a Debian source.")
@AS_JSON
@QUIET
def command(kernels: tuple[str, ...], update: bool, as_json: bool, quiet: bool) -> None:
    """Build each KERNEL, or find it in the store.

    \b
    s2eval build debian-6.1
    s2eval build debian-6.1+stage2-normal-nc tree:~/linux@v6.12
    """
    from harness.app.build import build_kernels

    for line in build_kernels(list(kernels), update=update, as_json=as_json, quiet=quiet):
        click.echo(line)
