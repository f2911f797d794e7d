# SPDX-License-Identifier: GPL-2.0-only
"""Commits of a tree on another base than their own: `git cherry-pick`."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.base.errors import UsageError
from harness.base.scratch import scratch_folder
from harness.base.text import clean
from harness.kernel.applying.commit_range import CommitRange
from harness.kernel.applying.sparse import (
    DONE,
    START,
    NotSparseError,
    SparseRepository,
    commit_text,
    git_of,
    transfer,
)
from harness.kernel.git import GitError, git, own_env, run
from harness.kernel.source import Base

_FIRST, _THEIRS = "refs/heads/first", "refs/heads/theirs"
_NOTHING = b"000000"  # the mode of a file that is not there
_PERSON = re.compile(rb"^author [^\n]*\n", re.MULTILINE)
_ENCODING = re.compile(rb"^encoding [^\n]*\n", re.MULTILINE)


@dataclass
class _Commit:
    """What a commit does, and its message."""

    name: str
    headers: bytes
    message: bytes
    files: dict[bytes, tuple[bytes, str]] = field(default_factory=dict)
    gone: list[bytes] = field(default_factory=list)


def pick_sparsely(base: Base, commit: str, commits: CommitRange, ref: str) -> None:
    """Make `ref` in the repository of `base`: `commit` plus the commits. No worktree is used.

    Raise UsageError that names commit and file for a conflict, NotSparseError when git has to see
    all files.
    """
    with scratch_folder(small=True) as folder:
        work = folder / "files"
        work.mkdir()
        small = SparseRepository(work, base.tree.work, commit, [commits.objects])
        picked = _read(small, commits)
        paths = {path for one in picked for path in (*one.files, *one.gone)}
        there = small.begin(paths)
        before = small.files(commits.parent, paths)
        if set(before) & paths - there:  # under another name, perhaps
            raise NotSparseError(", ".join(map(str, set(before) & paths - there)))
        stream = [commit_text(_FIRST, b"first", before)]
        parent = _FIRST
        for one in picked:
            text = commit_text(
                _THEIRS, one.message, one.files, gone=one.gone, headers=one.headers, parent=parent
            )
            stream.append(text)
            parent = ""
        small.load(b"".join(stream))
        theirs = git(work, "rev-list", "--reverse", f"{_FIRST}..{_THEIRS}").split()
        names = dict(zip(theirs, (one.name for one in picked), strict=True))
        _pick(base, work, names, {})
        small.keep(ref)


def pick_in_worktree(base: Base, commit: str, commits: CommitRange, ref: str) -> None:
    """Make `ref`, as pick_sparsely(), in the worktree, whose lock the caller holds."""
    tree = base.tree
    lent = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": commits.objects}
    tree.switch(commit)
    tree.unsettle()
    try:
        names = {one.commit: one.commit for one in commits.changing}
        _pick(base, tree.work, names, lent)
        # What is only borrowed for now comes into the repository itself.
        git(tree.work, "update-ref", START, commit)
        git(tree.work, "update-ref", DONE, "HEAD")
        transfer(tree.work, tree.work, commit, ref, lent)
    finally:
        tree.switch(base.commit)


def _read(small: SparseRepository, commits: CommitRange) -> list[_Commit]:
    """The commits that change something, as they are in the user's repository."""
    names = [one.commit for one in commits.changing]
    asked = "".join(f"{name}\n" for name in names).encode()
    answer = git_of(small.work, "cat-file", "--batch", stdin=asked)
    picked = []
    at = 0
    for name in names:
        end = answer.index(b"\n", at)
        if not answer[at:end].split()[1:2] == [b"commit"]:
            raise gone(name, commits)
        size = int(answer[at:end].split()[-1])
        head, _, message = answer[end + 1 : end + 1 + size].partition(b"\n\n")
        person, encoding = _PERSON.search(head + b"\n"), _ENCODING.search(head + b"\n")
        headers = (person[0] if person else b"") + (encoding[0] if encoding else b"")
        picked.append(_Commit(name, headers, message))
        at = end + 1 + size + 1
    _read_changes(small, {one.name: one for one in picked})
    return picked


def _read_changes(small: SparseRepository, by_name: dict[str, _Commit]) -> None:
    """Fill in which files each commit changes."""
    asked = "".join(f"{name}\n" for name in by_name).encode()
    command = ("diff-tree", "--stdin", "-r", "-z", "--no-renames", "--no-abbrev")
    words = iter(git_of(small.work, *command, stdin=asked).split(b"\0"))
    one = None
    for word in words:
        if not word.startswith(b":"):
            one = by_name.get(word.strip().decode())
        elif one:
            _, new, _, object_id, _ = word.split(b" ", 4)
            path = next(words)
            if new == _NOTHING:
                one.gone.append(path)
            else:
                one.files[path] = (new, object_id.decode())


def gone(commit: str, commits: CommitRange) -> UsageError:
    """Return the error for a commit that its repository has no more."""
    return UsageError(
        f"{commit[:12]} is no longer in {Path(commits.objects).parent}: name the range anew"
    )


def _pick(base: Base, work: Path, names: dict[str, str], lent: dict[str, str]) -> None:
    """Cherry-pick the commits that `names` has the names of, on HEAD."""
    env = {**own_env(), **lent}
    # A folder that the commits rename takes no file of the base's along: which ones it has is not
    # known in the small repository.
    plain = ("-c", "merge.directoryRenames=false")
    done = run(work, *plain, "cherry-pick", "--allow-empty-message", *names, env=env)
    if not done.returncode:
        return
    if os.strerror(errno.ENOSPC) in done.stderr:
        raise GitError("cherry-pick", done.stderr)
    head = run(work, "rev-parse", "-q", "--verify", "CHERRY_PICK_HEAD", env=env).stdout.strip()
    unmerged = run(work, "diff", "--name-only", "-z", "--diff-filter=U", env=env).stdout
    files = unmerged.rstrip("\0").split("\0")
    subject = clean(run(work, "show", "-s", "--format=%s", head, env=env).stdout, 80)
    run(work, "cherry-pick", "--quit", env=env)
    if head not in names:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise UsageError(f"git cherry-pick: {clean(lines[0] if lines else 'fails')}")
    what = f"{names[head][:12]} ('{subject}') does not apply to {base.describe}"
    if not unmerged:
        raise UsageError(f"{what}: it is there already")
    raise UsageError(f"{what}: conflict in {_listed(files)}")


def _listed(files: Sequence[str]) -> str:
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{clean(files[0])}{more}"
