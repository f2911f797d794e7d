# SPDX-License-Identifier: GPL-2.0-only
"""Which cells ran a function of the kernel."""

from __future__ import annotations

import json

import click

from harness.cli.options import AS_JSON


@click.command(name="reach")
@click.argument("function")
@AS_JSON
def command(function: str, *, as_json: bool) -> None:
    """Tell which recorded cells ran FUNCTION, and how much of it.

    \b
    s2eval reach kvm_handle_guest_abort
    s2eval reach user_mem_abort --json

    'patch' records what each patched kernel executes (docs/reach.md); of the last 20 runs the
    newest record of each cell is looked at. Code of the hypervisor without VHE is told apart.
    Exit code: 0, or 2 where no recorded kernel has such a function.
    """
    from harness.base.text import clean
    from harness.evaluate.patch.reach.functions import document_of, reach_of_function

    found = reach_of_function(function)
    if as_json:
        click.echo(json.dumps(document_of(found), indent=2))
        return
    for one in found:
        share = f"{one.host} of {one.size} instructions" if one.host else "never"
        guest = f", its guest {one.guest}" if one.guest else ""
        click.echo(f"{clean(one.cell)}: {clean(one.function)}: {share}{guest} ({one.run})")
