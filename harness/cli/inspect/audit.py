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
@click.option("--va", required=True, metavar="0x…", help="Virtual address in the guest.")
@click.option("--vcpu", type=int, help="This vCPU; default: the first seen in a guest.")
@click.option("--memory", type=click.Path(path_type=Path), help="File behind the VM's RAM.")
@AS_JSON
@click.pass_context
def command(
    ctx: click.Context, *, gdb: str, va: str, vcpu: int | None, memory: Path | None, as_json: bool
) -> None:
    """Walk stage 1 and stage 2 of an address in any running QEMU arm64 VM.

    The VM is stopped for milliseconds and always left running (docs/audit.md).

    \b
    qemu-system-aarch64 … -gdb unix:/tmp/gdb,server=on,wait=off
    s2eval audit --gdb /tmp/gdb --va 0xffff800008920000
    """
    from harness.app.audit import audit, parse_address

    answer = audit(gdb, parse_address(va), vcpu=vcpu, memory=memory)
    click.echo(json.dumps(answer.document, indent=2) if as_json else "\n".join(answer.lines))
    if answer.problem:
        click.echo(f"s2eval: {answer.problem}", err=True)
        ctx.exit(ExitCode.UNDECIDED)
