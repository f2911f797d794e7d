# SPDX-License-Identifier: GPL-2.0-only
"""The commits that a bisection looks at: of a user's tree, or the patches of a series."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import UsageError
from harness.evaluate.patch.request import (
    Options,
    at_commit,
    job_of,
    tree_of,
    with_config,
    with_patches,
)
from harness.kernel import repository, source
from harness.kernel import series as applied
from harness.kernel.git import git
from harness.kernel.intake import kept
from harness.kernel.spec import KernelSpec

Make = Callable[[str], KernelSpec]


@dataclass(frozen=True)
class History:
    """`repository` has the commits from `good` to `bad`; `kernel(commit)` is one of them."""

    repository: Path
    good: str
    bad: str
    kernel: Make

    @property
    def objects(self) -> Path:
        """Return the folder of the repository's objects."""
        return repository.git_path(self.repository, "objects")

    @property
    def object_format(self) -> str:
        """Return the hash that names the repository's objects: sha1 or sha256."""
        return repository.object_format(self.repository)

    @property
    def shallow(self) -> str:
        """Return what git knows of commits whose parents a shallow clone lacks; "" for others."""
        return repository.shallow_commits(self.repository)

    def subject(self, commit: str) -> str:
        """Return the first line of a commit's message."""
        command = ("show", "-s", "--no-show-signature", "--format=%s", commit)
        return repository.read(self.repository, *command).stdout.strip()


def of_tree(options: Options, good: str, bad: str) -> History:
    """Return the commits between two refs of a tree.

    Raise UsageError for refs that are not there, or are the same.
    """
    if options.kernel:
        raise UsageError("--good and --bad are commits of a tree: give it with --tree")
    if not good or not bad:
        raise UsageError("give --good REF and --bad REF, or a series")
    tree = tree_of(options.tree)
    first = repository.commit_in(tree, good, "--good")
    last = repository.commit_in(tree, bad, "--bad")
    if first == last:
        raise UsageError(f"--good {good} and --bad {bad} are the same commit")
    return History(tree, first, last, lambda commit: with_config(at_commit(tree, commit), options))


def of_series(given: str, options: Options, progress: source.Progress) -> History:
    """Return a series as commits, which are made in the cache: the base is good, all of it bad."""
    job = job_of(given, options, each=False)
    base, whole = job.steps[0].kernels[0], job.steps[-1].kernels[0]
    tree = source.tree_of(base.source)
    with tree.locked():
        start = source.prepare(base.source, progress)
        first = applied.commit_of(start, applied.patches(base.series), nullcontext)
        last = applied.commit_of(start, applied.patches(whole.series), nullcontext)
    counts = _counts(tree.work, first, last)

    def kernel(commit: str) -> KernelSpec:
        count = counts.get(commit, 0)
        return with_patches(base, kept.first(job.series, count)) if count else base

    return History(tree.work, first, last, kernel)


def _counts(work: Path, first: str, last: str) -> dict[str, int]:
    """How many patches a commit of a series has; one that changes nothing adds none."""
    before = git(work, "rev-parse", f"{first}^{{tree}}").strip()
    counts: dict[str, int] = {}
    count = 0
    for commit in repository.chain(work, first, last) or ():
        count += commit.tree != before
        counts[commit.name], before = count, commit.tree
    return counts
