# SPDX-License-Identifier: GPL-2.0-only
"""A series in whatever form it comes, as a folder of patches that `git am` takes.

series = take("fix.mbx", tree=Path("~/linux"))
series.folder      cache/series/fix-1f6a03c2/0001-....patch: the same patches, the same folder
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from harness.base.errors import UsageError
from harness.kernel.intake import b4, commits
from harness.kernel.intake.check import check
from harness.kernel.intake.files import in_series, read_bytes, read_path
from harness.kernel.intake.kept import PatchSeries, keep, patch_file
from harness.kernel.intake.mails import read_mails
from harness.kernel.intake.taken import Taken

_MESSAGE_ID = re.compile(r"<?[^\s<>@/{}:]+@[A-Za-z0-9][A-Za-z0-9.-]*>?")
_ARCHIVE = re.compile(r"https?://lore\.kernel\.org/\S+")


def take(given: str, *, tree: Path | None, base: str = "") -> PatchSeries:
    """Return the series that the user named, as patches in the cache.

    `tree` is where ranges and refs are looked up, `base` what the user wants a ref compared to.
    Raise UsageError, one line that names what is wrong, for everything that is no series.
    """
    taken = _taken(given, tree, base)
    for mail in taken.mails:
        check(mail)
    name = "standard input" if given == "-" else given
    folder = keep(name, [patch_file(n, mail) for n, mail in enumerate(taken.mails, start=1)])
    return PatchSeries(
        name=name,
        folder=folder,
        patches=tuple(sorted(folder.glob("*.patch"))),
        subjects=tuple(mail.subject for mail in taken.mails),
        base_commit=taken.base_commit,
        start=taken.start,
        notes=tuple(taken.notes),
    )


def _taken(given: str, tree: Path | None, base: str) -> Taken:
    path = Path(given).expanduser()
    if given == "-":
        return read_bytes(sys.stdin.buffer.read(), "standard input")
    if not given:
        raise UsageError("a series without a name")
    if path.exists():
        return read_path(path, given)
    found = commits.named(given, tree, base) if tree else None
    if found:
        return found
    if _ARCHIVE.fullmatch(given) or _MESSAGE_ID.fullmatch(given):
        with tempfile.TemporaryDirectory(prefix="s2eval-b4-") as scratch:
            return in_series(read_mails(b4.fetch(given, Path(scratch)), given), given)
    no_commits = (
        f"no ref or range in {tree}" if tree else "no ref or range: no kernel tree here (--tree)"
    )
    raise UsageError(f"{given}: no such file or folder, no message id, {no_commits}")
