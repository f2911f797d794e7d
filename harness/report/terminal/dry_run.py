# SPDX-License-Identifier: GPL-2.0-only
"""A dry run of `s2eval patch` for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import click

from harness.base.json_text import json_text
from harness.base.text import clean
from harness.evaluate.patch.dry_run import DryRun, PlannedCell
from harness.evaluate.progress import duration

_STORED = {True: "in the store", False: "to be built", None: "unknown: no compiler here"}


def show(found: DryRun, *, as_json: bool) -> None:
    """Print a dry run."""
    if as_json:
        click.echo(json_text(found, indent=2, by_alias=True))
    else:
        click.echo("\n".join(_lines(found)))


def _lines(found: DryRun) -> Iterator[str]:
    series = found.series
    yield f"series    {clean(series.name)}, {_several(len(series.subjects), 'patch', 'patches')}"
    width = len(str(len(series.subjects)))
    for number, (subject, tree) in enumerate(zip(series.subjects, series.trees, strict=True), 1):
        yield f"          {number:{width}} {clean(subject, 90)}"
        yield f"          {'':{width}} tree {tree}"
    yield f"base      {clean(series.base, 200)}"
    yield f"          commit {series.base_commit}"
    for note in found.notes:
        yield f"note      {clean(note)}"
    yield from ("", "Kernels")
    width = max(len(kernel.name) for kernel in found.kernels)
    for kernel in found.kernels:
        yield f"  {kernel.name:{width}}  {_STORED[kernel.stored]}"
    width = max(len(cell.name) for cell in found.cells)
    yield from ("", f"{'Cells':{width + 2}}  took last time")
    for cell in found.cells:
        yield f"  {cell.name:{width}}  {_took(cell)}"
    yield from ("", f"{_count(found)}: it applies, nothing was built or run")


def _took(cell: PlannedCell) -> str:
    if cell.seconds is None:
        return "never run here"
    return f"{cell.seconds:.1f} s" + ("" if cell.exact else " (with other kernels)")


def _count(found: DryRun) -> str:
    said = [_several(len(found.cells), "cell", "cells"), _several(found.boots, "boot", "boots")]
    builds = sum(kernel.stored is False for kernel in found.kernels)
    if builds:
        said.append(f"{_several(builds, 'build', 'builds')}")
    known = [cell.seconds for cell in found.cells if cell.seconds is not None]
    if len(known) == len(found.cells):
        boots = found.boots // len(found.cells)
        said.append(f"about {duration(sum(known) * boots)} of boots")
    return ", ".join(said)


def _several(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"
