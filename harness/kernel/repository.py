# SPDX-License-Identifier: GPL-2.0-only
"""A user's git repository, which is read and never written to: no object, no ref, no index.

Whatever a partial clone lacks is not fetched into it (plain_env() of git.py); callers say which
command the user may get it with.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import UsageError
from harness.base.scratch import scratch_folder
from harness.base.text import clean
from harness.kernel.git import git, plain_env, run

# git 2.35.3 and newer, and the releases of 2022 in which it was new.
_FOREIGN = re.compile(r"(?:dubious ownership in repository at|unsafe repository \()\s*'([^']+)'")
LONGEST = 32768  # commits of a range
NEAR = 4096  # commits that are looked at for where two branches parted
_PROMISOR = r"^(extensions\.partialclone|remote\..*\.promisor)$"


def read(tree: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a git command that changes nothing in a user's repository; return how it ended.

    Raise UsageError when git does not trust the repository, because it is somebody else's.
    """
    done = run(tree, *args, env=plain_env())
    foreign = _FOREIGN.search(done.stderr) if done.returncode else None
    if foreign:
        place = clean(foreign[1])
        raise UsageError(
            f"{place} belongs to another user, and git reads no such repository unless told to: "
            f"git config --global --add safe.directory {place}"
        )
    return done


def top_of(folder: Path | None) -> Path | None:
    """Return the top of the git tree that `folder` (default: the current one) is in, or None.

    Of a bare repository that is its own folder.
    """
    place = folder or Path.cwd()
    done = read(place, "rev-parse", "--show-toplevel")
    if done.returncode:
        done = read(place, "rev-parse", "--absolute-git-dir")
    top = done.stdout.rstrip("\n")
    return Path(top) if done.returncode == 0 and top else None


def commit_of(tree: Path, ref: str) -> str:
    """Return the full name of a commit, "" when there is none."""
    command = ("rev-parse", "-q", "--verify", "--end-of-options", f"{ref}^{{commit}}")
    return read(tree, *command).stdout.strip().rpartition("\n")[2]


def commit_in(tree: Path, ref: str, what: str) -> str:
    """Return the full name of the commit `ref` of a user's tree.

    Raise UsageError that begins with `what` when the tree has none.
    """
    commit = commit_of(tree, ref)
    if not commit:
        raise UsageError(f"{what} {ref}: no such commit in {tree}{shallow_hint(tree)}")
    return commit


def shallow_hint(tree: Path) -> str:
    """Return what to add to a message about a commit that is not there: how to get older ones."""
    answer = read(tree, "rev-parse", "--is-shallow-repository").stdout.strip()
    return f": it is a shallow clone (git -C {tree} fetch --unshallow)" if answer == "true" else ""


def git_path(tree: Path, name: str) -> Path:
    """Return a file or folder of the repository itself, e.g. `objects`, for a worktree as well."""
    # --path-format=absolute came with git 2.31.
    return tree.resolve() / read(tree, "rev-parse", "--git-path", name).stdout.rstrip("\n")


def shallow_commits(tree: Path) -> str:
    """Return what git knows of commits whose parents a shallow clone lacks; "" for others."""
    path = git_path(tree, "shallow")
    return path.read_text() if path.is_file() else ""


def object_format(tree: Path) -> str:
    """Return the hash that names the repository's objects: sha1 or sha256."""
    return read(tree, "rev-parse", "--show-object-format").stdout.strip() or "sha1"


@contextmanager
def lent(tree: Path) -> Iterator[Path]:
    """Yield a bare repository that borrows the objects of `tree`: what git does there is not shaped
    by the user's configuration, attributes or worktree, and fetches nothing.
    """
    with scratch_folder(small=True) as folder:
        bare = folder / "lent.git"
        bare.mkdir()
        git(bare, "init", "-q", "--bare", f"--object-format={object_format(tree)}")
        (bare / "objects/info/alternates").write_text(f"{git_path(tree, 'objects')}\n")
        if cut := shallow_commits(tree):
            (bare / "shallow").write_text(cut)
        yield bare


@dataclass(frozen=True)
class Commit:
    """A commit, its tree, its parents and the first line of its message."""

    name: str
    tree: str
    parents: tuple[str, ...]
    subject: str


def chain(place: Path, start: str, end: str) -> list[Commit] | None:
    """Return the commits after `start` up to `end`, the oldest first, where each has one parent.

    None when `start` is not among the LONGEST commits before `end`, or a merge is on the way. Of
    the history only these are looked at: `git log A..B` may read all of it, when dates do not tell
    which commit is older.
    """
    count = 64
    while True:
        found = _newest(place, end, count)
        for at, commit in enumerate(found):
            if commit.name == start:
                return found[:at][::-1]
            if len(commit.parents) != 1:
                return None
        if len(found) < count or count >= LONGEST:
            return None
        count *= 8


def parted(place: Path, one: str, other: str) -> str:
    """Return the newest commit that two have in common, "" where there is none.

    Where no merge is near, only the newest commits are looked at, as in chain().
    """
    known = {commit.name for commit in _before_a_merge(place, one)}
    near = (commit.name for commit in _before_a_merge(place, other) if commit.name in known)
    return next(near, "") or run(place, "merge-base", one, other).stdout.strip()


def _before_a_merge(place: Path, end: str) -> Iterator[Commit]:
    for commit in _newest(place, end, NEAR):
        yield commit
        if len(commit.parents) != 1:
            return


def _newest(place: Path, end: str, count: int) -> list[Commit]:
    """The `count` newest commits of a history, the newest first."""
    form = ("log", f"-{count}", "--no-show-signature", "--format=%H%n%T%n%P%n%s", end, "--")
    lines = git(place, *form).split("\n")
    return [
        Commit(lines[at], lines[at + 1], tuple(lines[at + 2].split()), lines[at + 3])
        for at in range(0, len(lines) - 3, 4)
    ]


def is_partial(tree: Path) -> bool:
    """Return whether the repository may lack objects that another one has promised."""
    return read(tree, "config", "--get-regexp", _PROMISOR).returncode == 0


def missing_objects(tree: Path, *commits: str) -> UsageError:
    """Return the error for a commit of a partial clone that lacks some of its files.

    Of two commits, it is the changes from the one to the other that are not there.
    """
    # hash-object writes nothing without -w: the name of a tree without files, in either format.
    empty = read(tree, "hash-object", "-t", "tree", "/dev/null").stdout.strip()
    names = [commit[:12] for commit in commits]
    what = "..".join(names)
    get = f"diff --shortstat {empty} {what}" if len(names) == 1 else f"log --shortstat {what}"
    return UsageError(
        f"{tree} is a partial clone and lacks files of {what}; nothing is written to it, so get "
        f"them first: git -C {tree} {get}"
    )
