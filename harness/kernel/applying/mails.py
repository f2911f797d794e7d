# SPDX-License-Identifier: GPL-2.0-only
"""Patches as mails: `git am --3way`, and what is said of one that does not apply."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from harness.base.errors import UsageError
from harness.base.scratch import scratch_folder
from harness.base.text import clean
from harness.kernel.applying.sparse import (
    NotSparseError,
    SparseRepository,
    git_of,
    touched_by,
)
from harness.kernel.git import GitError, git, run
from harness.kernel.source import Base

_HEADERS = re.compile(rb"^(?:diff --git |--- |\+\+\+ ).*$", re.MULTILINE)
_INDEX = re.compile(rb"^index (?P<object>[0-9a-f]{7,})\.\.[^\n]*\n(?:--- [^\n]*\n)?", re.MULTILINE)
# What `git am --3way` says of a patch that changes nothing, and goes on.
_ALREADY = "No changes -- Patch already applied."
Switch = Callable[[str], None]


def apply_sparsely(base: Base, commit: str, files: Sequence[Path], ref: str) -> None:
    """Make `ref` in the repository of `base`: `commit` plus the patches. No worktree is used.

    Raise UsageError as apply_in_worktree() does, NotSparseError when git has to see all files.
    """
    touched = touched_by(path.read_bytes() for path in files)
    with scratch_folder(small=True) as folder:
        work = folder / "files"
        work.mkdir()
        small = SparseRepository(work, base.tree.work, commit, [])
        there = small.begin(touched.paths)

        def switch(to: str) -> None:
            shutil.rmtree(work / ".git/rebase-apply", ignore_errors=True)
            git(work, "reset", "-q", "--hard", to)

        try:
            _am(base, work, files, switch)
        except UsageError:
            if _may_be_renamed(work, files, touched.old - there):
                raise NotSparseError(", ".join(map(str, touched.old - there))) from None
            raise
        small.keep(ref)


def _may_be_renamed(work: Path, files: Sequence[Path], missing: frozenset[bytes]) -> bool:
    """Whether git may find one of the `missing` files under another name.

    For that it needs the file as the patch found it.
    """
    if not missing:
        return False
    objects = [
        one["object"]
        for path in files
        for one in _INDEX.finditer(path.read_bytes())
        if touched_by([one[0]]).old & missing
    ]
    asked = b"".join(object_id + b"\n" for object_id in objects)
    return b" blob " in git_of(work, "cat-file", "--batch-check", stdin=asked)


def apply_in_worktree(base: Base, commit: str, files: Sequence[Path], ref: str) -> None:
    """Make `ref`, as apply_sparsely(), in the worktree, whose lock the caller holds.

    A patch that does not apply leaves it at the base and raises UsageError naming patch, file and
    hunk.
    """
    tree = base.tree
    tree.switch(commit)
    tree.unsettle()
    try:
        _am(base, tree.work, files, tree.switch)
    except UsageError:
        tree.switch(base.commit)
        raise
    git(tree.work, "update-ref", ref, "HEAD")
    tree.settle()


def _am(base: Base, work: Path, files: Sequence[Path], switch: Switch) -> None:
    before = git(work, "rev-parse", "HEAD").strip()
    names = (str(path.resolve()) for path in files)
    try:
        output = git(work, "am", "--3way", *_ends(files), *names)
    except GitError as error:
        raise _explain(base, work, files, error.output, switch) from None
    made = int(git(work, "rev-list", "--count", f"{before}..HEAD"))
    if made < len(files):
        end = output.find(_ALREADY)
        subject = output[:end].rpartition("Applying: ")[2].splitlines()[0] if end >= 0 else ""
        raise _reversed(f"'{clean(subject)}'" if subject else "one of the patches", base)


def _ends(files: Iterable[Path]) -> list[str]:
    """git am's option for patches whose hunks alone have CR LF: these are a file's own."""
    headers = (line for path in files for line in _HEADERS.findall(path.read_bytes()))
    return [] if any(line.endswith(b"\r") for line in headers) else ["--keep-cr"]


def _explain(
    base: Base, work: Path, files: Sequence[Path], output: str, switch: Switch
) -> UsageError:
    """Find out what did not apply, with the worktree as `git am` left it."""
    state = work / ".git" / "rebase-apply"
    if not (state / "next").exists():
        names = ", ".join(path.name for path in files)
        return UsageError(f"{names}: not a patch in git format-patch form nor a mailbox")
    number, last = int((state / "next").read_text()), int((state / "last").read_text())
    file = files[number - 1] if last == len(files) else files[0]
    name = file.name if last == len(files) else f"{file.name}, mail {number} of {last}"
    patch = (state / "patch").read_text(errors="replace")
    scratch = work / ".git" / "failed.patch"
    shutil.copyfile(state / "patch", scratch)
    switch(git(work, "rev-parse", "HEAD").strip())  # with the patches that did apply
    try:
        git(work, "apply", "--check", str(scratch))
        why = output.strip().splitlines()[-1]
    except GitError as error:
        why = _hunk(error.output, patch)
        if not run(work, "apply", "--check", "--reverse", str(scratch)).returncode:
            return _reversed(name, base)
    finally:
        scratch.unlink()
    return UsageError(f"{name} does not apply to {base.describe}: {clean(why)}")


def _reversed(name: str, base: Base) -> UsageError:
    return UsageError(
        f"{name} does not apply to {base.describe}: it is there already, or was made in reverse"
    )


def _hunk(output: str, patch: str) -> str:
    """File and hunk from `error: patch failed: FILE:LINE`; LINE is the hunk's first old line."""
    failed = re.search(r"^error: patch failed: (.+):(\d+)$", output, re.MULTILINE)
    if not failed:
        missing = re.search(r"^error: (?!No valid)(.+)$", output, re.MULTILINE)
        return missing[1] if missing else "it is not a patch"
    file, line = failed[1], failed[2]
    number, here = 0, ""
    for text in patch.splitlines():
        if text.startswith("diff --git "):
            number, here = 0, text
        elif text.startswith("@@ -"):
            number += 1
            if here.endswith(f"/{file}") and re.match(rf"@@ -{line}[, ]", text):
                return f"{file}, hunk {number} ({text})"
    return f"{file}, line {line}"
