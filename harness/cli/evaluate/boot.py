# SPDX-License-Identifier: GPL-2.0-only
"""A shell in a booted kernel."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import QUIET


@click.command(name="boot")
@click.argument("kernel")
@click.argument("machine", default="nested-tcg")
@click.option("--suite", "-s", default="wcprobe", show_default=True, help="Suite that L2 gets.")
@click.option(
    "--level",
    type=click.Choice(["l1", "l2"]),
    default="l1",
    show_default=True,
    help="Where the shell is: the host under test, or its guest with the device.",
)
@click.option("--cpu", metavar="MODEL", help="Another CPU model, as QEMU names it.")
@click.option(
    "--share",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of yours that the guest has as /host.",
)
@click.option("--gdb", is_flag=True, help="Wait for gdb before the first instruction.")
@QUIET
def command(
    kernel: str,
    machine: str,
    suite: str,
    level: str,
    cpu: str | None,
    share: Path | None,
    gdb: bool,
    quiet: bool,
) -> None:
    """Boot KERNEL on MACHINE with a shell; Ctrl-A X leaves.

    \b
    s2eval boot debian-6.1
    s2eval boot debian-6.12 nested-tcg-cortex-a72
    s2eval boot debian-6.1+./fix.patch --level l2     with the device, behind the patched KVM
    s2eval boot tree:~/linux --gdb                    prints what to type in another terminal
    s2eval boot debian-6.1 flat-tcg --share ~/probes
    """
    from harness.app.boot import BootRequest
    from harness.app.boot import boot as boot_shell

    boot_shell(kernel, machine, suite, BootRequest(level, cpu, share, gdb), quiet=quiet)
