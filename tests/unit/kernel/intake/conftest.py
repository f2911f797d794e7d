# SPDX-License-Identifier: GPL-2.0-only
"""The tree and the samples of tests/data/field, made after what people give to such tools."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.base.paths import ROOT
from harness.kernel import series, source
from harness.kernel.git import git
from harness.kernel.intake.kept import PatchSeries
from harness.kernel.spec import KernelSource

FIELD = ROOT / "tests/data/field"
SAMPLES = FIELD / "samples"


@pytest.fixture(scope="session")
def made_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree that the samples apply to, made once for all tests."""
    folder = tmp_path_factory.mktemp("field") / "linux"
    subprocess.run([FIELD / "make-tree.sh", folder], check=True, capture_output=True)
    return folder


@pytest.fixture
def field_tree(made_tree: Path, cache: Path) -> Iterator[Path]:
    """That tree, looked at afterwards: whatever a test does, it is the same, objects included."""
    before = state_of(made_tree)
    yield made_tree
    assert state_of(made_tree) == before


def state_of(tree: Path) -> list[tuple[str, int, str]]:
    """Return every file of a tree, its repository and index included: name, time, hash.

    Git renews the time of an object that it would otherwise have to write, lent or not.
    """
    found = []
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        time = 0 if "objects" in path.parts else path.stat().st_mtime_ns
        found.append((str(path), time, hashlib.sha256(path.read_bytes()).hexdigest()))
    return found


@pytest.fixture
def state() -> Callable[[Path], list[tuple[str, int, str]]]:
    """`state(tree)`: what state_of() says."""
    return state_of


@pytest.fixture
def applied(field_tree: Path) -> Callable[[PatchSeries], Applied]:
    """`applied(series)`: the series on top of the field tree's main."""

    def apply(taken: PatchSeries) -> Applied:
        base = source.prepare(KernelSource(tree=str(field_tree), ref="main"), print)
        commit = series.apply(base, series.patches([taken.folder.name]))
        return Applied(base.tree.work, base.commit, commit)

    return apply


class Applied:
    """What a series made of the tree."""

    def __init__(self, work: Path, base: str, commit: str) -> None:
        self.work, self.base, self.commit = work, base, commit

    def lines(self) -> list[str]:
        """Return the lines that it adds to the tree."""
        diff = self.git("diff", "-U0", self.base, self.commit)
        return [line[1:] for line in diff.splitlines() if line[:1] == "+" and line[:3] != "+++"]

    def log(self, form: str) -> list[str]:
        """Return a line of `git log` for each patch, the first one first."""
        span = f"{self.base}..{self.commit}"
        return self.git("log", "--reverse", f"--format={form}", span).splitlines()

    def git(self, *args: str) -> str:
        """Run git in the worktree in the cache."""
        return git(self.work, *args)
