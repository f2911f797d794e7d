# SPDX-License-Identifier: GPL-2.0-only
"""Audit any running VM."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.base.errors import ExitCode
from harness.cli.options import AS_JSON


@click.command(name="audit")
@click.option("--gdb", required=True, metavar="SOCKET", help="QEMU's gdb stub: path or host:port.")
@click.option("--va", default="", metavar="0x…", help="Virtual address in the guest.")
@click.option("--all", "whole", is_flag=True, help="All leaves of stage 2, not one address.")
@click.option("--vcpu", type=int, help="This vCPU; default: the first seen in a guest.")
@click.option("--memory", type=click.Path(path_type=Path), help="File behind the VM's RAM.")
@AS_JSON
@click.pass_context
def command(
    ctx: click.Context,
    *,
    gdb: str,
    va: str,
    whole: bool,
    vcpu: int | None,
    memory: Path | None,
    as_json: bool,
) -> None:
    """Walk stage 1 and stage 2 of an address in any running QEMU arm64 VM, or list all of stage 2.

    The VM is stopped for milliseconds and always left running (docs/audit.md).

    \b
    qemu-system-aarch64 … -gdb unix:/tmp/gdb,server=on,wait=off
    s2eval audit --gdb /tmp/gdb --va 0xffff800008920000
    s2eval audit --gdb /tmp/gdb --all
    """
    from harness.app.audit import audit, audit_all, parse_address
    from harness.base.errors import UsageError

    if bool(va) == whole:
        raise UsageError("name an address (--va 0x…), or ask for all of stage 2 (--all)")
    if whole:
        answer = audit_all(gdb, vcpu=vcpu, memory=memory)
    else:
        answer = audit(gdb, parse_address(va), vcpu=vcpu, memory=memory)
    click.echo(json.dumps(answer.document, indent=2) if as_json else "\n".join(answer.lines))
    if answer.problem:
        click.echo(f"s2eval: {answer.problem}", err=True)
        ctx.exit(ExitCode.UNDECIDED)
