# SPDX-License-Identifier: GPL-2.0-only
"""quilt(1): a folder with a file `series` that names the patches in their order."""

from __future__ import annotations

from pathlib import Path

from harness.base.errors import UsageError
from harness.base.text import clean
from harness.evaluate.patch.intake.mails import Mail, read_mails


def stack(folder: Path) -> Path | None:
    """The `series` file of a quilt folder, or of the tree that has one; None: not quilt's."""
    places = (folder / "series", folder / "patches" / "series")
    return next((place for place in places if place.is_file()), None)


def read(series: Path, place: str) -> list[Mail]:
    """The patches, in quilt's order. UsageError: none, one missing, one that is not -p1."""
    found: list[Mail] = []
    for number, line in enumerate(series.read_text(errors="replace").splitlines(), start=1):
        name, *options = line.partition("#")[0].split() or [""]
        if not name:
            continue
        where = f"{place}/{series.name}:{number}"
        if set(options) - {"-p1", "-pab"}:
            raise UsageError(f"{where}: {clean(' '.join(options))}: only -p1 is taken")
        file = series.parent / name
        if not file.resolve().is_relative_to(series.parent.resolve()):
            raise UsageError(f"{where}: the path {clean(name)} leaves the folder")
        if not file.is_file():
            raise UsageError(f"{where}: no such patch: {clean(name)}")
        mails = [mail for mail in read_mails(file, f"{place}/{name}") if mail.text]
        if not mails:
            raise UsageError(f"{place}/{name}: no patch in it")
        found += mails
    if not found:
        raise UsageError(f"{place}: an empty series: its file {series.name} names no patch")
    return found
