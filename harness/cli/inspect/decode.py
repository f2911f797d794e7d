# SPDX-License-Identifier: GPL-2.0-only
"""Decode descriptors and registers."""

from __future__ import annotations

import click


@click.command(name="decode")
@click.argument("kind", metavar="KIND")
@click.argument("values", nargs=-1, required=True)
@click.option("--fwb/--no-fwb", default=None, help="With or without FEAT_S2FWB.")
@click.option("--level", type=int, help="Level of a descriptor.")
@click.option("--granule", default="4k", show_default=True, help="4k, 16k or 64k.")
@click.option("--mair", help="MAIR_EL1, to name the type of a stage-1 descriptor.")
@click.option("--lpa", is_flag=True, help="52-bit output addresses.")
def command(
    kind: str,
    values: tuple[str, ...],
    *,
    fwb: bool | None,
    level: int | None,
    granule: str,
    mair: str | None,
    lpa: bool,
) -> None:
    """Say what a descriptor, a MAIR, an ESR or a MemAttr means.

    \b
    s2eval decode esr 0x92000061
    s2eval decode mair 0x40044ffff
    s2eval decode memattr 0x5 --fwb
    s2eval decode s1 0x68008000020f0f --mair 0x40044ffff
    s2eval decode s2 0x400080000007c7
    s2eval decode combine Normal-NC 0x1
    """
    from harness.arm.decode import decode

    lines = decode(kind, values, fwb=fwb, level=level, granule=granule, mair=mair, lpa=lpa)
    click.echo("\n".join(lines))
