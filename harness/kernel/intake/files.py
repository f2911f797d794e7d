# SPDX-License-Identifier: GPL-2.0-only
"""Mails and diffs in a file, a pipe or a folder."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.base.errors import UsageError
from harness.kernel.intake import quilt
from harness.kernel.intake.mails import Mail, in_order, read_mails
from harness.kernel.intake.taken import Taken

MAILS = (".patch", ".diff", ".mbox", ".mbx", ".eml")


def read_path(path: Path, given: str) -> Taken:
    """Return what a file or a folder holds. Raise UsageError when it is no series."""
    try:
        if not path.is_dir():
            return read_bytes(path.read_bytes(), given)
        if (path / "cur").is_dir() or (path / "new").is_dir():
            return in_series(read_mails(path, given), given)
        stack = quilt.stack(path)
        if stack:
            return Taken(quilt.read(stack, given))
        files = sorted(p for p in path.iterdir() if p.suffix in MAILS and p.is_file())
        if not files:
            kinds = ", ".join(f"*{kind}" for kind in MAILS)
            raise UsageError(f"{given}: an empty series: no {kinds}, maildir or quilt series in it")
        return in_series(
            [m for file in files for m in read_mails(file, f"{given}/{file.name}")], given
        )
    except PermissionError as error:
        raise UsageError(f"{error.filename or given}: {error.strerror}") from None


def read_bytes(data: bytes, source: str) -> Taken:
    """Return what a file, a pipe or standard input holds; one patch of a series may be alone."""
    with tempfile.TemporaryDirectory(prefix="s2eval-series-") as scratch:
        file = Path(scratch) / "mails"
        file.write_bytes(data)
        mails = read_mails(file, source)
    if len(mails) == 1 and mails[0].text and mails[0].total > 1:
        note = f"patch {mails[0].number} of {mails[0].total}, alone"
        return Taken(list(mails), mails[0].base_commit, notes=[note])
    return in_series(mails, source)


def in_series(mails: Sequence[Mail], source: str) -> Taken:
    """Return the one series among `mails`, in order. Raise UsageError as in_order() does."""
    patches, notes = in_order(mails, source)
    based = next((m for m in mails if m.base_commit and (m.cover or m in patches)), None)
    if based and based.needs:
        count = "1 patch" if based.needs == 1 else f"{based.needs} patches"
        notes.append(f"it builds on {count} that it does not hold (prerequisite-patch-id): "
                     "not applied")  # fmt: skip
    return Taken(patches, based.base_commit if based else "", notes=notes)
