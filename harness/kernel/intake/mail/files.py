# SPDX-License-Identifier: GPL-2.0-only
"""Mails and diffs in a file, a pipe or a folder."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from harness.base.errors import UsageError
from harness.base.text import clean
from harness.kernel.intake.mail import mime, order, quilt
from harness.kernel.intake.mail.box import read_mails
from harness.kernel.intake.mail.mails import Mail
from harness.kernel.intake.mail.unpack import LIMIT, PACKED, read_file, unpacked
from harness.kernel.intake.taken import Taken

_MOST = 9_999  # files of a folder


def read_path(path: Path, source: str, number: int = 0) -> Taken:
    """Return the series in a file or a folder; of a mailbox only mail `number`, when given.

    Raise UsageError when there is none.
    """
    try:
        if not path.is_dir():
            return read_bytes(read_file(path, source), source, str(path), number)
        if number:
            raise UsageError(f"{source}: a folder has no mail {number}: name its file")
        stack = quilt.stack(path)
        if stack:
            patches = quilt.read(stack, source)
            return Taken(list(patches), notes=[note for one in patches for note in one.notes])
        return order.series(_folder(path, source), source)
    except OSError as error:
        raise UsageError(f"{error.filename or source}: {error.strerror or error}") from None


def read_stdin() -> Taken:
    """Return the series that standard input holds. Raise UsageError when there is none."""
    source = "standard input"
    if sys.stdin is None:
        raise UsageError(f"{source} is closed")
    try:
        return read_bytes(sys.stdin.buffer.read(LIMIT + 1), source)
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror or error}") from None


def read_bytes(data: bytes, source: str, place: str = "", number: int = 0) -> Taken:
    """Return the series in the bytes of a file or a pipe; one patch of a series may be alone."""
    mails = read_mails(unpacked(data, source), source, place)
    if number:
        name = f"{place}#{number}"
        mails = [mail for mail in mails if mail.place in {name, place}]
        if not mails:
            raise UsageError(f"{source}: it has no mail {number}")
    return order.series(mails, source, alone=True)


def _folder(folder: Path, source: str) -> list[Mail]:
    """The mails of a maildir, an MH folder, or of the files with patches' names."""
    files = _maildir(folder) or _patch_files(folder)
    if not files:
        kinds = ", ".join(f"*{kind}" for kind in mime.MAILS)
        raise UsageError(f"{source}: an empty series: no {kinds}, maildir or quilt series in it")
    if len(files) > _MOST:
        raise UsageError(f"{source}: {len(files)} files: give the series' own")
    named = ((file, f"{source}/{clean(str(file.relative_to(folder)))}") for file in files)
    return [
        mail for file, name in named for mail in read_mails(read_file(file, name), name, str(file))
    ]


def _maildir(folder: Path) -> list[Path]:
    inside = [folder / name for name in ("cur", "new") if (folder / name).is_dir()]
    return _in_natural_order(
        path for one in inside for path in one.iterdir()
        if path.is_file() and not path.name.startswith(".")
    )  # fmt: skip


def _patch_files(folder: Path) -> list[Path]:
    """The files with names of patches; of an MH folder those that are numbers."""
    files = [path for path in folder.iterdir() if path.is_file()]
    named = [path for path in files if _has_name_of_a_patch(path.name.lower())]
    return _in_natural_order(named or [path for path in files if path.name.isdecimal()])


def _has_name_of_a_patch(name: str) -> bool:
    for more in (*PACKED, ".txt"):
        name = name.removesuffix(more)
    return name.endswith(mime.MAILS) and not name.startswith(".")


def _in_natural_order(files: Iterable[Path]) -> list[Path]:
    """By name, with 2 before 10."""
    return sorted(files, key=lambda path: (_natural(path.name), path))


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", name)
    # A number's value is the count of its digits, then these: int() refuses thousands of them.
    return [
        (len(part.lstrip("0")), part.lstrip("0")) if n % 2 else (0, part)
        for n, part in enumerate(parts)
    ]
