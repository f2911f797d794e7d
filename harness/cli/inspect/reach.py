# SPDX-License-Identifier: GPL-2.0-only
"""Which cells ran a function of the kernel."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.options import AS_JSON


@click.command(name="reach")
@click.argument("function", metavar="[FUNCTION|FILE:LINE]", default="")
@click.option("--gaps", metavar="FOLDER", help="Functions there that no record shows run.")
@click.option(
    "--lcov",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --gaps: write the lines there that ran as a tracefile, for genhtml.",
)
@AS_JSON
def command(function: str, *, gaps: str | None, lcov: Path | None, as_json: bool) -> None:
    """Tell which recorded cells ran FUNCTION, or a line of the kernel's source.

    \b
    s2eval reach kvm_handle_guest_abort
    s2eval reach arch/arm64/kvm/mmu.c:1402
    s2eval reach --gaps arch/arm64/kvm            what no suite has reached
    s2eval reach --gaps arch/arm64/kvm --lcov kvm.info

    'patch' records what each patched kernel executes (docs/reach.md); of the last 20 runs the
    newest record of each cell is looked at. Code of the hypervisor without VHE is told apart.
    Exit code: 0, or 2 where no recorded kernel has such a function, line or folder.
    """
    if bool(function) == (gaps is not None):
        raise click.UsageError("give a function, FILE:LINE, or --gaps FOLDER")
    if lcov and (gaps is None or as_json):
        raise click.UsageError("--lcov goes with --gaps, without --json")
    if gaps is not None and lcov:
        _lcov(gaps, lcov)
    elif gaps is not None:
        _gaps(gaps, as_json=as_json)
    elif ":" in function or "/" in function:
        _line(function, as_json=as_json)
    else:
        _function(function, as_json=as_json)


def _function(name: str, *, as_json: bool) -> None:
    from harness.base.text import clean
    from harness.evaluate.patch.reach.functions import document_of, reach_of_function

    found = reach_of_function(name)
    if as_json:
        click.echo(json.dumps(document_of(found), indent=2))
        return
    for one in found:
        share = f"{one.host} of {one.size} instructions" if one.host else "never"
        guest = f", its guest {one.guest}" if one.guest else ""
        click.echo(f"{clean(one.cell)}: {clean(one.function)}: {share}{guest} ({one.run})")


def _line(place: str, *, as_json: bool) -> None:
    from harness.base.text import clean
    from harness.evaluate.patch.reach.lines import document_of, reach_of_line

    found = reach_of_line(place)
    if as_json:
        click.echo(json.dumps(document_of(found), indent=2))
        return
    for one in found:
        said = f"not known: {one.reason}" if one.reason else one.state
        where = f" in {', '.join(map(clean, one.where))}" if one.where else ""
        click.echo(f"{clean(one.kernel)} ({clean(one.version)}): {clean(said)}{where}")
        if one.text:
            click.echo(f"  {one.text}")


def _gaps(folder: str, *, as_json: bool) -> None:
    import textwrap

    from harness.evaluate.patch.reach.gaps import document_of, gaps

    found = gaps(folder)
    if as_json:
        click.echo(json.dumps(document_of(found), indent=2))
        return
    ran = sum(len(file.ran) for file in found.files)
    every = ran + sum(len(file.never) for file in found.files)
    for file in found.files:
        if file.never:
            count = len(file.never) + len(file.ran)
            click.echo(f"{file.file}: {len(file.never)} of {count} functions never ran")
            click.echo(textwrap.fill(" ".join(file.never), 96, initial_indent="  ",
                                     subsequent_indent="  ", break_on_hyphens=False))  # fmt: skip
    cells = f"{len(found.cells)} cell{'s' * (len(found.cells) != 1)}"
    click.echo(f"{found.folder}: {ran} of {every} functions ran in {cells}")


def _lcov(folder: str, target: Path) -> None:
    from harness.base.text import clean
    from harness.evaluate.patch.reach.lcov import write_lcov

    found = write_lcov(folder, target)
    cells = f"{found.cells} cell{'s' * (found.cells != 1)}"
    click.echo(
        f"{target}: {found.ran} of {found.lines} lines of {found.files} files ran, "
        f"{clean(found.kernel)} in {cells}"
    )
