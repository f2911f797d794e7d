# SPDX-License-Identifier: GPL-2.0-only
"""Which commits a bisection looks at, and the kernels they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.evaluate.bisect.commits import of_series, of_tree
from harness.evaluate.bisect.git_bisect import GitBisect
from harness.evaluate.patch.request import Options
from harness.kernel import series, source
from harness.kernel.git import git as own_git

Git = Callable[..., str]


@pytest.fixture
def topic(tree: Path, git: Git) -> Path:
    """Four commits on a branch of the tree."""
    git(tree, "checkout", "-q", "-b", "topic")
    for number in range(4):
        (tree / "kvm.c").write_text(f"int kvm_{number};\n")
        git(tree, "commit", "-qam", f"kvm: Number {number}")
    git(tree, "checkout", "-q", "main")
    return tree


def test_two_refs_of_a_tree(topic: Path, git: Git) -> None:
    found = of_tree(Options(tree=str(topic), llvm=True), "main", "topic")
    commits = git(topic, "rev-list", "--reverse", "main..topic").split()
    assert (found.good, found.bad) == (git(topic, "rev-parse", "main").strip(), commits[-1])
    assert found.subject(commits[1]) == "kvm: Number 1"
    kernel = found.kernel(commits[1])
    assert kernel.llvm and source.find(kernel.source).commit == commits[1]  # type: ignore[union-attr]
    assert found.objects == topic / ".git/objects" and found.shallow == ""


@pytest.mark.parametrize(
    ("options", "good", "bad", "said"),
    [
        (Options(kernel="debian-6.1"), "a", "b", "commits of a tree"),
        (Options(), "", "b", "give --good REF and --bad REF"),
        (Options(tree="."), "nope", "main", "--good nope: no such commit"),
        (Options(tree="."), "main", "nope", "--bad nope: no such commit"),
        (Options(tree="."), "main", "main~0", "are the same commit"),
    ],
)
def test_refs_that_are_none(
    options: Options, good: str, bad: str, said: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    with pytest.raises(UsageError, match=said):
        of_tree(options, good, bad)


def test_the_patches_of_a_series(topic: Path, git: Git, tmp_path: Path) -> None:
    (tmp_path / "x.mbox").write_text(git(topic, "format-patch", "--stdout", "main..topic"))
    found = of_series(str(tmp_path / "x.mbox"), Options(tree=str(topic)), print)
    asked = GitBisect(tmp_path / "git", found)
    assert not asked.over
    kernel = found.kernel(asks := asked.asks)
    number = int(found.subject(asks).rpartition(" ")[2])
    # The kernel of a commit is the base with as many patches, and gives that commit.
    assert len(series.patches(kernel.series)) == number + 1
    base = source.prepare(kernel.source, print)
    assert series.apply(base, series.patches(kernel.series)) == asks
    assert own_git(base.tree.work, "show", f"{asks}:kvm.c") == f"int kvm_{number};\n"
    assert found.kernel(found.good).series == ()


def test_the_commits_of_a_range_with_a_cover_letter(topic: Path, git: Git, tmp_path: Path) -> None:
    git(topic, "checkout", "-q", "-b", "prep", "topic~4")
    git(topic, "commit", "-q", "--allow-empty", "-m", "A cover\n\n--- b4-submit-tracking ---\n{}")
    git(topic, "cherry-pick", "topic~4..topic")
    found = of_series("prep", Options(tree=str(topic)), print)
    assert found.bad == git(topic, "rev-parse", "prep").strip()
    counts = [
        len(series.patches(found.kernel(commit).series))
        for commit in git(topic, "rev-list", "--reverse", "main..prep").split()
    ]
    assert counts == [0, 1, 2, 3, 4]
    base = source.prepare(found.kernel(found.bad).source, print)
    second = git(topic, "rev-parse", "prep~2").strip()
    assert series.commit_of(base, series.patches(found.kernel(second).series)) == second


def test_a_shallow_clone_is_bisected_as_far_as_it_goes(
    topic: Path, git: Git, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=4", "-b", "topic", f"file://{topic}", str(clone))
    found = of_tree(Options(tree=str(clone)), "HEAD~3", "HEAD")
    assert found.shallow.strip() == git(clone, "rev-parse", "HEAD~3").strip()
    asked = GitBisect(tmp_path / "git", found)
    asked.answer(asked.asks, "bad")
    while not asked.over:
        asked.answer(asked.asks, "good")
    assert asked.found
