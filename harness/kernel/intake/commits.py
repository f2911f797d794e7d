# SPDX-License-Identifier: GPL-2.0-only
"""A range or a ref of a tree: its commits, which are never read as mail.

Each commit that changes something gets a patch, for readers and for the hash in the records; what
is built are the commits themselves (harness/kernel/applying).
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from harness.base.errors import UsageError
from harness.base.text import clean
from harness.kernel.applying.commit_range import CommitRange, RangeCommit
from harness.kernel.git import GitError, git
from harness.kernel.intake.taken import Patch, Taken
from harness.kernel.repository import (
    LONGEST,
    Commit,
    chain,
    commit_of,
    git_path,
    is_partial,
    lent,
    missing_objects,
    parted,
    read,
    shallow_hint,
)

# The dots of a path, `../x.patch`, are no range: no ref begins with a slash.
_RANGE = re.compile(r"(?P<start>.*?)(?P<dots>\.{2,3})(?P<end>(?!/).*)")
_FORMAT = (
    "format-patch", "-q", "-o", "patches", "--no-signature", "--no-thread", "--no-cover-letter",
    "--full-index", "--binary", "--no-renames", "--submodule=short", "--no-numbered",
    "--encode-email-headers",
)  # fmt: skip
_COVER = "--- b4-submit-tracking ---"  # in the cover letter of `b4 prep`, which is an empty commit
_COVER_WITHIN = 1000  # commits


def named(given: str, tree: Path, base: str) -> Taken | None:
    """Return the commits that a range or a ref stands for; None when it is neither.

    Raise UsageError for a range that is empty, not linear or not there.
    """
    match = _RANGE.fullmatch(given)
    if match:
        start, end = (commit_of(tree, match[end] or "HEAD") for end in ("start", "end"))
        if not start or not end:
            missing = match["end"] if start else match["start"]
            raise UsageError(
                f"{given}: no branch, tag or commit {missing} in {tree}{shallow_hint(tree)}"
            )
        # A..B and A...B are the same here: what B has on top of where the two parted.
        taken = _commits(tree, start, end, given)
        return replace(taken, start="") if base else taken
    tip = commit_of(tree, given)
    return _commits(tree, _start_of(given, tree, tip, base), tip, given) if tip else None


def _start_of(given: str, tree: Path, tip: str, base: str) -> str:
    """What the commits of a ref part from: the base or upstream of a branch, else the parent."""
    start = commit_of(tree, base) if base else _upstream(tree, given)
    if base and not start:
        raise UsageError(f"--base {base}: no such commit in {tree}{shallow_hint(tree)}")
    if start:
        return start
    branch = ("show-ref", "--verify", "--quiet", f"refs/heads/{given}")
    if not read(tree, *branch).returncode:
        cover = _cover(tree, tip)
        if cover:
            return cover
        raise UsageError(
            f"{given}: a branch without upstream: say where it begins: BASE..{given} or --base BASE"
        )
    parent = commit_of(tree, f"{tip}^")
    if not parent:
        raise UsageError(f"{given}: its parent is not in {tree}{shallow_hint(tree)}")
    return parent


def _commits(tree: Path, other: str, end: str, given: str) -> Taken:
    """What `end` has on top of where it parted from `other`."""
    with lent(tree) as bare:
        start, commits = _span(tree, bare, other, end, given)
        if not commits:
            raise UsageError(f"{given}: an empty series: no commit in it")
        parent_tree = git(bare, "rev-parse", f"{start}^{{tree}}").strip()
        trees = [parent_tree, *(one.tree for one in commits)]
        empty = [one for was, one in zip(trees, commits, strict=False) if was == one.tree]
        if len(empty) == len(commits):
            raise UsageError(f"{given}: an empty series: its commits change nothing")
        texts = _formatted(tree, bare, commits)
        notes = [_note(bare, one) for one in empty]
    patches = [
        Patch(clean(one.subject), texts[one.name], f"{given}: {one.name[:12]}")
        for one in commits
        if one not in empty
    ]
    objects = str(git_path(tree, "objects"))
    ranged = tuple(RangeCommit(one.name, one.tree, one not in empty) for one in commits)
    taken = CommitRange(objects, start, parent_tree, ranged)
    return Taken(patches, start=start, notes=notes, commits=taken)


def _span(tree: Path, bare: Path, other: str, end: str, given: str) -> tuple[str, list[Commit]]:
    """Where a range begins, and its commits, the oldest first."""
    commits = chain(bare, other, end)
    if commits is not None:
        return other, commits
    start = parted(bare, other, end)
    if not start:
        raise UsageError(f"{given}: the two have no common ancestor in {tree}{shallow_hint(tree)}")
    commits = chain(bare, start, end)
    if commits is not None:
        return start, commits
    merge = git(bare, "rev-list", "-1", "--merges", f"{start}..{end}", "--").strip()
    if merge:
        raise UsageError(f"{given}: it holds a merge, {merge[:12]}: give a linear range")
    raise UsageError(f"{given}: more than {LONGEST} commits")


def _formatted(tree: Path, bare: Path, commits: list[Commit]) -> dict[str, str]:
    """The patches as git writes them, by the commit, which stands in their first line."""
    end = commits[-1].name
    try:
        git(bare, *_FORMAT, f"-{len(commits)}", end, "--")
    except GitError:
        if is_partial(tree):
            raise missing_objects(tree, commits[0].parents[0], end) from None
        raise
    files = (bare / "patches").iterdir()
    texts = (file.read_bytes().decode("utf-8", errors="surrogateescape") for file in files)
    return {text.split(None, 2)[1]: text for text in texts if text}


def _note(bare: Path, commit: Commit) -> str:
    what = f"{commit.name[:12]} '{clean(commit.subject)}' changes nothing"
    message = git(bare, "log", "-1", "--no-show-signature", "--format=%B", commit.name)
    return f"{what}: it is the cover letter" if _COVER in message else f"{what}: it is no patch"


def _upstream(tree: Path, ref: str) -> str:
    return commit_of(tree, f"{ref}@{{upstream}}") if "@{" not in ref and ref != "HEAD" else ""


def _cover(tree: Path, tip: str) -> str:
    """What the cover letter of a branch made by `b4 prep` stands on; "" when it has none."""
    command = ("log", "-z", f"-{_COVER_WITHIN}", "--first-parent", "--format=%P%n%B", tip, "--")
    for commit in read(tree, *command).stdout.split("\0"):
        parent, _, message = commit.partition("\n")
        if f"\n{_COVER}\n" in message and len(parent.split()) == 1:
            return parent
    return ""
