# SPDX-License-Identifier: GPL-2.0-only
"""The sources that external modules are built against, kept apart from the worktree.

The worktree moves on to other commits; a stored build still needs the headers it was built from.
Commits whose headers are the same share one folder: sources/ID/headers/HASH/ (about 60 MB).
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path

from harness.base.errors import MachineError
from harness.kernel.git import git, own_env
from harness.kernel.source import Tree

# What `make M=` reads of the sources, as Debian's linux-headers packages have it.
PATHS = ("Makefile", "Kbuild", "include", "scripts", "arch/arm64/Makefile", "arch/arm64/include")


def tree(source: Tree, commit: str) -> Path:
    """The headers of `commit`, taken out of the repository when they are not there."""
    listing = git(source.work, "ls-tree", commit, *PATHS)
    folder = source.folder / "headers" / hashlib.sha256(listing.encode()).hexdigest()[:20]
    if folder.is_dir():
        return folder
    folder.parent.mkdir(exist_ok=True)
    paths = [line.split("\t", 1)[1] for line in listing.splitlines()]
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".tmp-") as scratch:
        staged = Path(scratch) / "tree"
        staged.mkdir()
        command = ["git", "-C", str(source.work), "archive", commit, *paths]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=own_env()) as archive:
            done = subprocess.run(
                ["tar", "-x", "-C", str(staged)], stdin=archive.stdout, check=False
            )
        if done.returncode or archive.returncode:
            raise MachineError(
                f"the headers of {commit[:12]} cannot be unpacked in {folder.parent}"
            )
        if not folder.is_dir():
            staged.rename(folder)
    return folder
