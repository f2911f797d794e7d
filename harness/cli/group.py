# SPDX-License-Identifier: GPL-2.0-only
"""The group of all commands: finds them, and ends each with an exit code, errors as one line."""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from pathlib import Path

import click

from harness.base.errors import ExitCode, S2EvalError
from harness.cli.output import discard_stdout

COMMANDS = {path.stem: path.parent.name for path in Path(__file__).parent.glob("*/[a-z]*.py")}
# The commands that read or fill the cache.
USING_CACHE = frozenset({"bisect", "boot", "build", "clean", "doctor", "patch", "plan", "run"})


class Command(click.Group):
    """The group whose commands are the modules in the folders beside this file.

    An error becomes one line on standard error and an exit code.
    """

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command `cmd_name`; return None when there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"harness.cli.{COMMANDS[cmd_name]}.{cmd_name}")
        command: click.Command = module.command
        return command

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: object,
    ) -> click.Context:
        """Return click's context, with the options before a command.

        An unknown option ends the process with a line on standard error and exit code 2.
        """
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.NoSuchOption as error:
            _say(error)
            sys.exit(ExitCode.USAGE)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that `args` begin with and its arguments; prepare its work.

        Raise UsageError for an unknown command, and the errors of check_installation().
        """
        if args[0] not in self.list_commands(ctx):
            from harness.base.toml import unknown  # noqa: PLC0415 - pydantic takes 50 ms

            raise unknown("command", args[0], self.list_commands(ctx))
        name, command, rest = super().resolve_command(ctx, args)
        if name and not ctx.resilient_parsing and not set(ctx.help_option_names) & set(rest):
            _prepare(name)
        return name, command, rest

    def invoke(self, ctx: click.Context) -> object:
        """Run a command and return its result.

        Exit with a line on standard error and an exit code for an error that is no fault of
        s2eval: any S2EvalError, OSError, wrong option, signal or closed pipe.
        """
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            _say(error)
            ctx.exit(ExitCode.USAGE)
        except S2EvalError as error:
            click.echo(f"s2eval: {error}", err=True)
            if error.log:
                click.echo(f"s2eval: full log: {error.log}", err=True)
            ctx.exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            click.echo("s2eval: interrupted", err=True)
            ctx.exit(ExitCode.INTERRUPTED)
        except BrokenPipeError:
            discard_stdout()
            ctx.exit(128 + signal.SIGPIPE)  # what a shell returns for a filter that SIGPIPE ends
        except OSError as error:  # no space, a read-only cache: file and reason are enough
            file = f"{error.filename}: " if error.filename else ""
            click.echo(f"s2eval: {file}{error.strerror or error}", err=True)
            ctx.exit(ExitCode.UNDECIDED)


def _prepare(name: str) -> None:
    """Check the installation and lock the cache for command `name`; `--help` needs neither."""
    from harness.base import paths  # noqa: PLC0415 - its imports take 5 ms

    paths.make_environment_absolute()
    paths.check_installation()
    if name in USING_CACHE:
        paths.hold_cache()


def _say(error: click.UsageError) -> None:
    """Print the error of a command line as one line."""
    command = error.ctx.command_path if error.ctx else "s2eval"
    message = " ".join(error.format_message().split())
    click.echo(f"s2eval: {message} ({command} --help)", err=True)
