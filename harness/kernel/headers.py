# SPDX-License-Identifier: GPL-2.0-only
"""The sources that external modules are built against, kept apart from the worktree.

The worktree moves on to other commits; a stored build still needs the headers it was built from.
Commits whose headers are the same share one folder: sources/ID/headers/HASH/ (about 60 MB).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.base.process import run_tool
from harness.kernel.git import git
from harness.kernel.source import Tree

# What `make M=` reads of the sources, as Debian's linux-headers packages have it.
PATHS = ("Makefile", "Kbuild", "include", "scripts", "arch/arm64/Makefile", "arch/arm64/include")


def tree(source: Tree, commit: str) -> Path:
    """Return the folder with the headers of `commit`, taken out of the repository when missing.

    Raise GitError or MachineError when they cannot be.
    """
    listing = git(source.work, "ls-tree", commit, *PATHS)
    folder = source.folder / "headers" / hashlib.sha256(listing.encode()).hexdigest()[:20]
    if folder.is_dir():
        return folder
    folder.parent.mkdir(exist_ok=True)
    paths = [line.split("\t", 1)[1] for line in listing.splitlines()]
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".tmp-") as scratch:
        staged = Path(scratch) / "tree"
        unpack(source.work, commit, paths, staged)
        try:
            staged.rename(folder)
        except OSError:
            if not folder.is_dir():  # by another process, in between
                raise
    return folder


def unpack(repository: Path, commit: str, paths: Sequence[str], folder: Path) -> None:
    """Make `folder` with `paths` of a commit in it. Raise GitError or MachineError."""
    folder.mkdir()
    archive = folder.with_name(f"{folder.name}.tar")
    git(repository, "archive", "-o", str(archive), commit, *paths)
    run_tool(["tar", "-x", "-C", str(folder), "-f", str(archive)], f"unpack {commit[:12]}")
    archive.unlink()
