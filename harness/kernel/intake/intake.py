# SPDX-License-Identifier: GPL-2.0-only
"""A series in whatever form it comes, as a folder of patches that `git am` takes.

series = take("fix.mbx", tree=Path("~/linux"))
series.folder      cache/series/fix-1f6a03c2/0001-....patch: the same patches, the same folder
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from harness.base.errors import UsageError
from harness.base.paths import file_and_mail
from harness.base.text import clean
from harness.kernel.intake import commits
from harness.kernel.intake.kept import PatchSeries, keep, patch_file
from harness.kernel.intake.mail import b4, files
from harness.kernel.intake.taken import Taken
from harness.kernel.repository import commit_of


def take(given: str, *, tree: Path | None, base: str = "") -> PatchSeries:
    """Return the series that the user named, as patches in the cache.

    `tree` is where ranges and refs are looked up, `base` what the user wants a ref compared to.
    Raise UsageError, one line that names what is wrong, for everything that is no series.
    """
    name = "standard input" if given == "-" else given
    return _kept(name, _taken(given, tree, base))


def take_file(given: str) -> PatchSeries:
    """Return the series in a file or a folder, as patches in the cache.

    `given` may be FILE#N, one mail of a mailbox. Raise UsageError when there is none.
    """
    found = file_and_mail(given)
    if found is None:
        raise UsageError(f"{given}: no such file or folder")
    return _kept(given, files.read_path(found[0], given, found[1]))


def _kept(name: str, taken: Taken) -> PatchSeries:
    files = [patch_file(n, patch) for n, patch in enumerate(taken.patches, start=1)]
    folder = keep(name, files, taken.commits)
    return PatchSeries(
        name=name,
        folder=folder,
        patches=tuple(sorted(folder.glob("*.patch"))),
        subjects=tuple(patch.subject for patch in taken.patches),
        base_commit=taken.base_commit,
        start=taken.start,
        notes=tuple(taken.notes),
    )


def _taken(given: str, tree: Path | None, base: str) -> Taken:
    if given == "-":
        return files.read_stdin()
    if not given:
        raise UsageError("a series without a name")
    found = file_and_mail(given)
    if found:
        return _path_or_branch(given, found, tree, base)
    message = b4.message_of(given)
    try:
        named = commits.named(given, tree, base) if tree else None
    except UsageError:
        if not message:
            raise
        named = None  # two dots in a message id are no range
    if named:
        return named
    if message:
        with tempfile.TemporaryDirectory(prefix="s2eval-b4-") as scratch:
            mailbox = b4.fetch(message, Path(scratch))
            return files.read_bytes(mailbox.read_bytes(), given)
    no_commits = (
        f"no ref or range in {tree}" if tree else "no ref or range: no kernel tree here (--tree)"
    )
    raise UsageError(f"{clean(given)}: no such file or folder, no message id, {no_commits}")


def _path_or_branch(given: str, found: tuple[Path, int], tree: Path | None, base: str) -> Taken:
    """A file or a folder, or, when it is no series, the branch of that name."""
    try:
        taken = files.read_path(found[0], given, found[1])
    except UsageError as error:
        named = None
        with contextlib.suppress(UsageError):  # what is wrong with the file is said
            named = commits.named(given, tree, base) if tree else None
        if named is None:
            raise error from None
        named.notes.append(f"there is a {_kind(found[0])} {given}, which is no series: the commits")
        return named
    if tree and commit_of(tree, given):
        taken.notes.append(f"{tree} has commits named {given} as well: they are not meant")
    return taken


def _kind(path: Path) -> str:
    return "folder" if path.is_dir() else "file"
