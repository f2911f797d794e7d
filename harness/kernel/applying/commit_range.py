# SPDX-License-Identifier: GPL-2.0-only
"""The commits that a series in the cache was taken from: commits.json beside its patches.

    objects      the folder of the objects of the repository that they are in
    parent       what the first of them stands on, and its tree
    commits      each with its tree, and whether it changes anything: then it has a patch

The patches are for readers and for the hash in the records. What is built are the commits.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "commits.json"


@dataclass(frozen=True)
class RangeCommit:
    """A commit and its tree. One that changes nothing has no patch."""

    commit: str
    tree: str
    patch: bool


@dataclass(frozen=True)
class CommitRange:
    """A linear range of commits, the oldest first."""

    objects: str
    parent: str
    parent_tree: str
    commits: tuple[RangeCommit, ...]

    @property
    def last(self) -> RangeCommit:
        """Return the newest commit."""
        return self.commits[-1]

    @property
    def changing(self) -> list[RangeCommit]:
        """Return the commits that have a patch."""
        return [one for one in self.commits if one.patch]

    @property
    def identity(self) -> str:
        """Return a hash over what the commits do: the trees from the first to the last."""
        trees = [self.parent_tree, *(one.tree for one in self.commits)]
        return hashlib.sha256("\n".join(trees).encode()).hexdigest()

    def first(self, count: int) -> CommitRange:
        """Return the range up to its `count`th patch; all of it when that is the last one."""
        if count >= len(self.changing):
            return self
        end = self.commits.index(self.changing[count - 1]) + 1
        return CommitRange(self.objects, self.parent, self.parent_tree, self.commits[:end])

    def text(self) -> str:
        """Return the content of commits.json."""
        return json.dumps(asdict(self), indent=2) + "\n"


def read(folder: Path) -> CommitRange | None:
    """Return the commits of a series in the cache, None when it was made of mails or files."""
    try:
        values = json.loads((folder / FILE).read_text())
    except FileNotFoundError:
        return None
    commits = tuple(RangeCommit(**one) for one in values.pop("commits"))
    return CommitRange(**values, commits=commits)
