# SPDX-License-Identifier: GPL-2.0-only
"""A range or a ref of a tree, as the patches of its commits."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from harness.base.errors import UsageError
from harness.base.text import clean
from harness.kernel.intake.mail import box, order
from harness.kernel.intake.taken import Taken
from harness.kernel.repository import commit_of, read, shallow_hint

_RANGE = re.compile(r"(?P<start>.*?)(?P<dots>\.{2,3})(?P<end>.*)")
# What the configuration of a user's tree must not change about a patch.
_FORMAT = (
    "format-patch", "--stdout", "--no-signature", "--no-attach", "--no-thread", "--no-cover-letter",
    "--full-index", "--binary", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames",
    "--src-prefix=a/", "--dst-prefix=b/", "--subject-prefix=PATCH", "--numbered", "--no-notes",
    "--no-base", "--no-relative", "--unified=3", "--diff-algorithm=myers", "--encode-email-headers",
)  # fmt: skip


def named(given: str, tree: Path, base: str) -> Taken | None:
    """Return the commits that a range or a ref stands for; None when it is neither."""
    match = _RANGE.fullmatch(given)
    if match:
        start, end = (
            commit_of(tree, match["start"] or "HEAD"),
            commit_of(tree, match["end"] or "HEAD"),
        )
        if not start or not end:
            missing = match["end"] if start else match["start"]
            raise UsageError(
                f"{given}: no branch, tag or commit {missing} in {tree}{shallow_hint(tree)}"
            )
        # A..B and A...B are the same here: what B has on top of where the two parted.
        commits = _commits(tree, _merge_base(tree, start, end, given), end, given)
        return replace(commits, start="") if base else commits
    tip = commit_of(tree, given)
    if not tip:
        return None
    start = commit_of(tree, base) if base else _upstream(tree, given)
    if base and not start:
        raise UsageError(f"--base {base}: no such commit in {tree}{shallow_hint(tree)}")
    if start:
        return _commits(tree, _merge_base(tree, start, tip, given), tip, given)
    branch = ("show-ref", "--verify", "--quiet", f"refs/heads/{given}")
    if not read(tree, *branch).returncode:
        raise UsageError(
            f"{given}: a branch without upstream: say where it begins: BASE..{given} or --base BASE"
        )
    parent = commit_of(tree, f"{tip}^")
    if not parent:
        raise UsageError(f"{given}: its parent is not in {tree}{shallow_hint(tree)}")
    return _commits(tree, parent, tip, given)


def _commits(tree: Path, start: str, end: str, given: str) -> Taken:
    span = f"{start}..{end}"
    if not read(tree, "rev-list", "-n1", span).stdout:
        raise UsageError(f"{given}: an empty series: no commit in it")
    merges = read(tree, "rev-list", "-n1", "--merges", span).stdout.strip()
    if merges:
        raise UsageError(f"{given}: it holds a merge, {merges[:12]}: give a linear range")
    done = read(tree, "--no-optional-locks", *_FORMAT, span)
    if done.returncode:
        raise UsageError(f"{given}: {clean(done.stderr.strip() or 'git format-patch fails')}")
    # Numbers come from git, whatever a commit's own subject looks like.
    data = done.stdout.encode("utf-8", errors="surrogateescape")
    return replace(order.series(box.read_mails(data, given), given), start=start)


def _merge_base(tree: Path, start: str, end: str, given: str) -> str:
    common = read(tree, "merge-base", start, end).stdout.strip()
    if not common:
        raise UsageError(f"{given}: the two have no common ancestor in {tree}{shallow_hint(tree)}")
    return common


def _upstream(tree: Path, ref: str) -> str:
    return commit_of(tree, f"{ref}@{{upstream}}") if "@{" not in ref and ref != "HEAD" else ""
