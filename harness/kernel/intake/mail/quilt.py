# SPDX-License-Identifier: GPL-2.0-only
"""quilt(1): a folder with a file `series` that names the patches in their order."""

from __future__ import annotations

from pathlib import Path

from harness.base.errors import UsageError
from harness.base.text import clean
from harness.kernel.intake.mail.box import read_mails
from harness.kernel.intake.mail.mails import Mail
from harness.kernel.intake.mail.unpack import read_file


def stack(folder: Path) -> Path | None:
    """Return the `series` file of a quilt folder, or of the tree around one; None without any."""
    files = (folder / "series", folder / "patches" / "series")
    return next((file for file in files if file.is_file()), None)


def read(series: Path, source: str) -> list[Mail]:
    """Return the patches in quilt's order; `source` names the folder in messages.

    Raise UsageError: no patch, one missing, one that is not -p1.
    """
    patches: list[Mail] = []
    for number, line in enumerate(series.read_text(errors="replace").splitlines(), start=1):
        name, *options = line.partition("#")[0].split() or [""]
        if not name:
            continue
        line_name = f"{source}/{series.name}:{number}"
        if set(options) - {"-p1", "-pab"}:
            raise UsageError(f"{line_name}: {clean(' '.join(options))}: only -p1 is taken")
        if "\0" in name:
            raise UsageError(f"{line_name}: no name of a file: {clean(name)}")
        file = series.parent / name
        if not file.resolve().is_relative_to(series.parent.resolve()):
            raise UsageError(f"{line_name}: the path {clean(name)} leaves the folder")
        if not file.is_file():
            raise UsageError(f"{line_name}: no such patch: {clean(name)}")
        mails = [
            mail
            for mail in read_mails(read_file(file, f"{source}/{name}"), f"{source}/{name}")
            if mail.text
        ]
        if not mails:
            raise UsageError(f"{source}/{name}: no patch in it")
        patches += mails
    if not patches:
        raise UsageError(f"{source}: an empty series: its file {series.name} names no patch")
    return patches
