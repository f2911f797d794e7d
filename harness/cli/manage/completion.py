# SPDX-License-Identifier: GPL-2.0-only
"""Shell completion."""

from __future__ import annotations

import click

from harness.base.errors import UsageError


@click.command(name="completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    s2eval completion bash > ~/.local/share/bash-completion/completions/s2eval
    """
    from click.shell_completion import get_completion_class

    completion = get_completion_class(shell)
    if completion is None:
        raise UsageError(f"no completion for {shell}")
    click.echo(completion(ctx.find_root().command, {}, "s2eval", "_S2EVAL_COMPLETE").source())
