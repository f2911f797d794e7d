# SPDX-License-Identifier: GPL-2.0-only
"""Lab hosts: arm64 machines reached by SSH."""

from __future__ import annotations

import json
import sys

import click

from harness.base.errors import ExitCode
from harness.cli.options import AS_JSON


def complete_host(_ctx: click.Context, _param: click.Parameter, word: str) -> list[str]:
    """Return the hosts whose names begin with `word`."""
    from harness.hosts.lab.hostfile import list_hosts

    return [name for name in list_hosts() if name.startswith(word)]


NAME = click.argument("name", shell_complete=complete_host)


def _note(text: str) -> None:
    click.echo(f"s2eval: {text}", err=True)


@click.group(name="host")
def command() -> None:
    """Write down, look at and use lab hosts: arm64 machines reached by SSH.

    \b
    s2eval host add grace --address root@grace.example --device 0000:01:00.0
    s2eval host check grace
    s2eval run -k debian-6.12 -m lab:grace -s wcprobe

    docs/lab.md leads from an unpacked server to the first verdict.
    """


@command.command()
@click.argument("name")
@click.option("--address", required=True, metavar="[USER@]HOST[:PORT]", help="How SSH reaches it.")
@click.option("--device", default="", metavar="BDF", help="PCI device under test: 0000:01:00.0.")
@click.option("--jump", default="", metavar="[USER@]HOST[:PORT]", help="Jump host before it.")
@click.option("--key", default="", metavar="FILE", help="Private key, if not the usual ones.")
@click.option("--console", metavar="COMMAND", help="Command that shows its serial console.")
@click.option("--power-on", default="", metavar="COMMAND", help="Command that switches it on.")
@click.option("--power-off", default="", metavar="COMMAND", help="Command that switches it off.")
@click.option("--power-cycle", default="", metavar="COMMAND", help="Command that does both.")
@click.option(
    "--power-status", default="", metavar="COMMAND", help="Command that prints on or off."
)
@click.option("--description", default="", help="For s2eval host list.")
@click.option("--force", is_flag=True, help="Replace the file of a host that is there.")
@click.option("--yes", "-y", is_flag=True, help="Ask nothing; take the host key as it is.")
def add(
    *,
    name: str,
    address: str,
    device: str,
    jump: str,
    key: str,
    console: str | None,
    power_on: str,
    power_off: str,
    power_cycle: str,
    power_status: str,
    description: str,
    force: bool,
    yes: bool,
) -> None:
    """Write the file of the host NAME, after asking the machine, and you what it cannot know.

    \b
    s2eval host add grace --address root@grace.example --device 0000:01:00.0
    s2eval host add board --address root@10.0.0.7:2222 --jump me@gateway.example --key ~/.ssh/lab

    The file is hosts/NAME.toml in your configuration folder; edit it as you like.
    """
    from harness.app.lab.add import AddRequest, Questions
    from harness.app.lab.add import add as add_host

    power = {"on": power_on, "off": power_off, "cycle": power_cycle, "status": power_status}
    request = AddRequest(name, address, device, jump, key, console, power, description, force)
    terminal = sys.stdin.isatty() and not yes

    def ask(text: str) -> str:
        answer: str = click.prompt(text, default="", show_default=False, err=True)
        return answer

    def agree(text: str) -> bool:
        if yes:
            _note(text.replace(" Is it the machine's?", " Taken, as --yes says."))
        return yes or (terminal and click.confirm(text, err=True))

    file = add_host(request, Questions(ask, agree, silent=not terminal), click.echo)
    click.echo(f"written: {file}")
    click.echo(f"next: s2eval host check {name}")


@command.command(name="list")
@AS_JSON
def list_(*, as_json: bool) -> None:
    """Show all hosts: name, address, device, description."""
    from harness.app.lab.use import entries, render

    hosts = entries()
    if as_json:
        click.echo(json.dumps([entry.model_dump() for entry in hosts], indent=2))
    else:
        click.echo("\n".join(render(hosts)))


@command.command()
@NAME
@AS_JSON
@click.pass_context
def check(ctx: click.Context, *, name: str, as_json: bool) -> None:
    """Show whether NAME has all that a run needs, and what brings what it lacks.

    The exit code is 125 when it lacks something. A machine that an ended run has left in the kernel
    under test is brought back to its own; nothing else on it is changed.
    """
    from harness.app.lab.check import check as check_host
    from harness.app.lab.check import render

    report = check_host(name)
    click.echo(report.model_dump_json(indent=2) if as_json else "\n".join(render(report)))
    ctx.exit(ExitCode.OK if report.ok else ExitCode.UNDECIDED)


@command.command()
@NAME
def config(*, name: str) -> None:
    """Keep the configuration of NAME's own kernel, for kernels that fit the machine.

    \b
    s2eval host config grace
    s2eval run -k tree:~/linux@topic+host=grace -m lab:grace -s wcprobe

    Such a kernel has the options of the machine's own, with the modules that are
    loaded there built in and the others left out, and s2eval's fragments on top.
    """
    from harness.app.lab.config import keep_config

    file = keep_config(name, _note)
    click.echo(f"a kernel for {file.stem}: -k KERNEL+host={file.stem}")


@command.command(context_settings={"ignore_unknown_options": True})
@NAME
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND…]")
@click.pass_context
def shell(ctx: click.Context, *, name: str, words: tuple[str, ...]) -> None:
    """Open a shell on NAME, or run COMMAND there.

    \b
    s2eval host shell grace
    s2eval host shell grace -- dmesg --follow
    """
    from harness.app.lab.use import shell as open_shell

    ctx.exit(open_shell(name, words))


@command.command()
@NAME
@click.pass_context
def console(ctx: click.Context, *, name: str) -> None:
    """Show the serial console of NAME on this terminal, by the command in its file.

    How to leave is that command's own: `~.` for ipmitool, Ctrl-] for telnet.
    """
    from harness.app.lab.use import console as open_console

    ctx.exit(open_console(name))


@command.command()
@NAME
@click.argument("action", type=click.Choice(["on", "off", "cycle", "status"]), default="status")
@click.option("--force", is_flag=True, help="Also when somebody else has the lease.")
def power(*, name: str, action: str, force: bool) -> None:
    """Switch the power of NAME, or show its state; refuse while somebody else has the lease.

    \b
    s2eval host power grace
    s2eval host power grace cycle
    """
    from typing import cast

    from harness.app.lab.use import power as switch
    from harness.hosts.lab.power import Action

    wanted = None if action == "status" else cast("Action", action)
    state = switch(name, wanted, force=force, say=_note)
    if state == "unknown":
        click.echo(
            f"{name}: the command for '{action}' has run; no status command tells its effect"
        )
    else:
        click.echo(f"{name} is {state}")


@command.command()
@NAME
@click.option("--force", is_flag=True, help="Also when it is somebody else's.")
def release(*, name: str, force: bool) -> None:
    """Give back the lease of NAME that a run of yours has left; with --force anybody's.

    A run that still goes on there ends with MISS.
    """
    from harness.app.lab.use import release as give_back

    had = give_back(name, force=force)
    click.echo(f"{name} is free" if had is None else f"{name} is free; it was held by {had.owner}")
