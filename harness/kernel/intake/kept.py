# SPDX-License-Identifier: GPL-2.0-only
"""A series as a folder of patches in the cache, named after its contents."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.base.paths import cache_dir
from harness.kernel.applying import commit_range
from harness.kernel.applying.commit_range import CommitRange
from harness.kernel.intake.taken import Patch


@dataclass(frozen=True)
class PatchSeries:
    """Patches in order. `start` is where a range of a tree begins, `base_commit` the trailer."""

    name: str
    folder: Path
    patches: tuple[Path, ...]
    subjects: tuple[str, ...]
    base_commit: str = ""
    start: str = ""
    notes: tuple[str, ...] = ()


def first(series: PatchSeries, count: int) -> Path:
    """Return the folder of the first `count` patches."""
    files = [(p.name, p.read_bytes()) for p in series.patches[:count]]
    commits = commit_range.read(series.folder)
    return keep(series.name, files, commits.first(count) if commits else None)


def patch_file(number: int, patch: Patch) -> tuple[str, bytes]:
    """Return name and content of a patch."""
    word = re.sub(r"[^A-Za-z0-9.]+", "-", patch.subject).strip("-.")[:52]
    text = patch.text.encode("utf-8", errors="surrogateescape")
    return f"{number:04}-{word or 'patch'}.patch", text


def keep(name: str, files: Sequence[tuple[str, bytes]], commits: CommitRange | None = None) -> Path:
    """Return the folder of these patches in the cache, made when missing, as a whole.

    `commits` is what they were made of.
    """
    if commits:
        files = [*files, (commit_range.FILE, commits.text().encode())]
    texts = [text for _, text in files]
    whole = hashlib.sha256(b"".join(hashlib.sha256(text).digest() for text in texts)).hexdigest()
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(name).stem).strip("-.")[:40]
    folder = cache_dir("series") / f"{word or 'series'}-{whole[:8]}"
    if folder.is_dir():
        return folder
    staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".tmp-"))
    try:
        for file, text in files:
            (staged / file).write_bytes(text)
        staged.chmod(0o755)
        if not folder.is_dir():
            staged.rename(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return folder
