# SPDX-License-Identifier: GPL-2.0-only
"""Patch series: reading, hashing and applying them.

A series of kernels/patches, or one in the cache, is a folder of *.patch that are applied in the
order of their names. A user's file or folder is taken in as `s2eval patch` takes it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from harness.base.errors import UsageError
from harness.base.paths import SERIES, cache_dir
from harness.kernel.git import GitError, git, run
from harness.kernel.intake.intake import take_file
from harness.kernel.source import Base
from harness.kernel.spec import find_series

_HEADERS = re.compile(rb"^(?:diff --git |--- |\+\+\+ ).*$", re.MULTILINE)
# What `git am --3way` says of a patch that changes nothing, and goes on.
_ALREADY = "No changes -- Patch already applied."


def patches(series: Iterable[str]) -> list[Path]:
    """Return the patch files of all series, in order. Raise UsageError for a series without any."""
    patch_files: list[Path] = []
    for name in series:
        path = find_series(name)
        files = sorted(path.glob("*.patch")) if _is_ready(path) else take_file(str(path)).patches
        if not files:
            raise UsageError(f"series {name}: no *.patch in {path}")
        patch_files += files
    return patch_files


def notes(series: Iterable[str]) -> list[str]:
    """Return what is to be told of how users' files and folders were read; errors as patches()."""
    taken = (take_file(str(path)) for path in map(find_series, series) if not _is_ready(path))
    return [note for one in taken for note in one.notes]


def _is_ready(path: Path) -> bool:
    """Whether it is a folder of kernels/patches or of the cache, not a file of a user's."""
    folders = [*SERIES.folders(), cache_dir("series")]
    return path.is_dir() and any(path.is_relative_to(one.resolve()) for one in folders)


def patchset_hash(files: Iterable[Path]) -> str:
    """Return KCIDB's `patchset_hash`: SHA-256 over the files' sums, a line each; "" for no file."""
    sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    text = "".join(f"{one}\n" for one in sums)
    return hashlib.sha256(text.encode()).hexdigest() if sums else ""


def apply(base: Base, files: list[Path]) -> str:
    """Put the worktree at `base` plus the patches; return the commit. The tree's lock is held.

    The same base and patches always give the same commit. A patch that does not apply leaves the
    worktree at the base and raises UsageError naming patch, file and hunk.
    """
    tree = base.tree
    if not files:
        tree.switch(base.commit)
        return base.commit
    ref = f"refs/s2eval/{base.commit}-{patchset_hash(files)}"
    known = git(tree.work, "for-each-ref", "--format=%(objectname)", ref).strip()
    if known:
        tree.switch(known)
        return known
    tree.switch(base.commit)
    tree.unsettle()
    try:
        output = git(tree.work, "am", "--3way", *_ends(files), *(str(p.resolve()) for p in files))
    except GitError as error:
        raise _explain(base, files, error.output) from None
    if _ALREADY in output:
        tree.switch(base.commit)
        subject = output[: output.index(_ALREADY)].rpartition("Applying: ")[2].splitlines()[0]
        raise _reversed(f"'{subject}'", base)
    commit = git(tree.work, "rev-parse", "HEAD").strip()
    git(tree.work, "update-ref", ref, commit)
    tree.settle()
    return commit


def _ends(files: Iterable[Path]) -> list[str]:
    """git am's option for patches whose hunks alone have CR LF: these are a file's own."""
    headers = (line for path in files for line in _HEADERS.findall(path.read_bytes()))
    return [] if any(line.endswith(b"\r") for line in headers) else ["--keep-cr"]


def _explain(base: Base, files: list[Path], output: str) -> UsageError:
    """Find out what did not apply, with the worktree as `git am` left it, then clean it."""
    work = base.tree.work
    state = work / ".git" / "rebase-apply"
    if not (state / "next").exists():
        base.tree.switch(base.commit)
        names = ", ".join(path.name for path in files)
        return UsageError(f"{names}: not a patch in git format-patch form nor a mailbox")
    number, last = int((state / "next").read_text()), int((state / "last").read_text())
    file = files[number - 1] if last == len(files) else files[0]
    name = file.name if last == len(files) else f"{file.name}, mail {number} of {last}"
    patch = (state / "patch").read_text(errors="replace")
    before = git(work, "rev-parse", "HEAD").strip()  # with the patches that did apply
    scratch = base.tree.folder / "failed.patch"
    scratch.write_text(patch)
    base.tree.switch(before)
    try:
        git(work, "apply", "--check", str(scratch))
        why = output.strip().splitlines()[-1]
    except GitError as error:
        why = _hunk(error.output, patch)
        if not run(work, "apply", "--check", "--reverse", str(scratch)).returncode:
            raise _reversed(name, base) from None
    finally:
        scratch.unlink()
        base.tree.switch(base.commit)
    return UsageError(f"{name} does not apply to {base.describe}: {why}")


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
