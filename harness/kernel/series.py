# SPDX-License-Identifier: GPL-2.0-only
"""Patch series: reading, hashing and applying them.

A series of kernels/patches, or one in the cache, is a folder of *.patch that are applied in the
order of their names. A user's file or folder is taken in as `s2eval patch` takes it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from harness.base.errors import MachineError, UsageError
from harness.kernel import repository
from harness.kernel.applying import commit_range
from harness.kernel.applying.commit_range import CommitRange
from harness.kernel.applying.mails import apply_in_worktree, apply_sparsely
from harness.kernel.applying.sparse import NotSparseError
from harness.kernel.git import GitError, git, run
from harness.kernel.source import Base
from harness.kernel.spec import KernelSpec, find_series, is_ready

if TYPE_CHECKING:
    from harness.kernel.intake.kept import PatchSeries

Lock = Callable[[], AbstractContextManager[None]]


def _taken(path: Path) -> PatchSeries:
    """Return a user's file or folder as a series."""
    # Reading mails takes 25 ms to import, and most kernels have no file of a user.
    from harness.kernel.intake.intake import take_file  # noqa: PLC0415

    return take_file(str(path))


def patches(series: Iterable[str]) -> list[Path]:
    """Return the patch files of all series, in order. Raise UsageError for a series without any."""
    patch_files: list[Path] = []
    for name in series:
        path = find_series(name)
        files = sorted(path.glob("*.patch")) if is_ready(path) else _taken(path).patches
        if not files:
            raise UsageError(f"series {name}: no *.patch in {path}")
        patch_files += files
    return patch_files


def notes(series: Iterable[str]) -> list[str]:
    """Return what is to be told of how users' files and folders were read; errors as patches()."""
    taken = (_taken(path) for path in map(find_series, series) if not is_ready(path))
    return [note for one in taken for note in one.notes]


def readable(spec: KernelSpec) -> KernelSpec:
    """Return `spec`. Raise UsageError when a file or folder that it names is no series."""
    patches(spec.series)
    return spec


def patchset_hash(files: Iterable[Path]) -> str:
    """Return KCIDB's `patchset_hash`: SHA-256 over the files' sums, a line each; "" for no file."""
    sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    text = "".join(f"{one}\n" for one in sums)
    return hashlib.sha256(text.encode()).hexdigest() if sums else ""


def identity(files: Sequence[Path]) -> str:
    """Return a hash over all that the patches and commits do; "" for none."""
    ranges = [commits.identity for _, commits in _parts(files) if commits]
    whole = patchset_hash(files)
    return hashlib.sha256("\n".join([whole, *ranges]).encode()).hexdigest() if ranges else whole


def apply(base: Base, files: Sequence[Path]) -> str:
    """Put the worktree at `base` plus the patches; return the commit. The tree's lock is held.

    Errors as of commit_of(), which leave the worktree at a commit.
    """
    commit = commit_of(base, files, contextlib.nullcontext)
    base.tree.switch(commit)
    return commit


def commit_of(base: Base, files: Sequence[Path], lock: Lock | None = None) -> str:
    """Return the commit of `base` plus the patches or commits; it is made where it is not known.

    The same base and patches always give the same commit. Commits are taken as they are where the
    base is what they stand on, and cherry-picked on another one. Raise UsageError for what does
    not apply: it names the patch, file and hunk, or the commit and file. `lock` is entered where
    that needs the worktree, by default the tree's own.
    """
    at = base.commit
    for part, commits in _parts(files):
        if commits and _fits(base.tree.work, commits):
            at = _with_commits(base, at, part, commits, lock or base.tree.locked)
        else:
            at = _made(base, at, part, None, lock or base.tree.locked)
    return at


def trees_of(base: Base, commit: str) -> list[str]:
    """Return the tree after each patch between `base` and a commit that commit_of() returned."""
    commits = repository.chain(base.tree.work, base.commit, commit)
    if commits is None:
        raise AssertionError(f"{commit} does not stand on {base.commit}")
    before = git(base.tree.work, "rev-parse", f"{base.commit}^{{tree}}").strip()
    trees = [before, *(one.tree for one in commits)]
    return [tree for was, tree in pairwise(trees) if tree != was]


def _parts(files: Sequence[Path]) -> list[tuple[list[Path], CommitRange | None]]:
    """The patches, those of a range of commits for themselves."""
    parts: list[tuple[list[Path], CommitRange | None]] = []
    for folder, group in groupby(files, lambda path: path.parent):
        paths = list(group)
        commits = commit_range.read(folder)
        if commits and len(commits.changing) != len(paths):
            commits = None  # some of the patches are not meant, or gone
        if commits or not parts or parts[-1][1]:
            parts.append((paths, commits))
        else:
            parts[-1][0].extend(paths)
    return parts


def _fits(work: Path, commits: CommitRange) -> bool:
    """Whether the repository at `work` names its objects as that of the commits does."""
    length = {"sha1": 40, "sha256": 64}
    return length.get(repository.object_format(work)) == len(commits.parent)


def _with_commits(base: Base, at: str, part: list[Path], commits: CommitRange, lock: Lock) -> str:
    work, last = base.tree.work, commits.last
    if at == commits.parent:
        found = run(work, "rev-parse", "-q", "--verify", f"{last.commit}^{{tree}}")
        if found.returncode == 0:
            if found.stdout.strip() != last.tree:
                raise MachineError(f"{last.commit} has the tree {found.stdout.strip()}")
            return last.commit
    made = _made(base, at, part, commits, lock)
    trees = git(work, "rev-parse", f"{at}^{{tree}}", f"{made}^{{tree}}").split()
    if trees[0] == commits.parent_tree and trees[1] != last.tree:
        raise MachineError(
            f"{last.commit[:12]} came out as another tree, {trees[1]}: a fault of s2eval"
        )
    return made


def _made(base: Base, at: str, part: list[Path], commits: CommitRange | None, lock: Lock) -> str:
    """The commit `at` plus patches or commits, as it is known or as it is made."""
    ref = f"refs/s2eval/{at}-{identity(part)}"
    if known := _known(base.tree.work, ref):
        return known
    # A series of patches does not need these, nor do commits that were picked before.
    from harness.kernel.applying.commits import (  # noqa: PLC0415
        pick_in_worktree,
        pick_sparsely,
    )

    try:
        if commits:
            pick_sparsely(base, at, commits, ref)
        else:
            apply_sparsely(base, at, part, ref)
    except (NotSparseError, GitError):
        with lock():
            if commits:
                pick_in_worktree(base, at, commits, ref)
            else:
                apply_in_worktree(base, at, part, ref)
    made = _known(base.tree.work, ref)
    if not made:
        raise AssertionError(f"{ref} was to be made")
    return made


def _known(work: Path, ref: str) -> str:
    return git(work, "for-each-ref", "--format=%(objectname)", ref).strip()
