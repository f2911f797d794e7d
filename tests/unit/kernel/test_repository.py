# SPDX-License-Identifier: GPL-2.0-only
"""Trees as they are: clones of every kind are read, and not a byte of them is written."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.evaluate.bisect.commits import of_series, of_tree
from harness.evaluate.bisect.git_bisect import GitBisect
from harness.evaluate.patch.request import Options, job_of
from harness.kernel import repository, series, source
from harness.kernel.git import git as own_git
from harness.kernel.spec import KernelSource
from tests.unit.kernel.intake.conftest import state_of

Git = Callable[..., str]
ALLOWED = ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant")


@pytest.fixture
def upstream(tree: Path, git: Git) -> Path:
    """A tree with ten commits on a branch `topic`, and one on `aside`."""
    for key in ALLOWED:
        git(tree, "config", key, "true")
    lines = [f"int line_{number};\n" for number in range(100)]
    (tree / "kvm.c").write_text("".join(lines))
    git(tree, "commit", "-qam", "kvm: Long")
    git(tree, "branch", "aside")
    git(tree, "checkout", "-q", "-b", "topic")
    for number in range(10):
        lines[number * 10] = f"int changed_{number};\n"
        (tree / "kvm.c").write_text("".join(lines))
        git(tree, "commit", "-qam", f"kvm: Number {number}")
    git(tree, "checkout", "-q", "aside")
    (tree / "core.c").write_text("int aside;\n")
    git(tree, "commit", "-qam", "core: Aside")
    git(tree, "checkout", "-q", "main")
    return tree


@pytest.fixture(params=["this git", "an older git"])
def any_git(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git as it is, and as one before 2.45, which knows no GIT_NO_LAZY_FETCH."""
    if request.param == "an older git":
        wrapper(tmp_path / "bin", "unset GIT_NO_LAZY_FETCH", monkeypatch)


def wrapper(folder: Path, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git that does something `first`."""
    folder.mkdir()
    (folder / "git").write_text(f'#!/bin/sh\n{first}\nexec {shutil.which("git")} "$@"\n')
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def applied(given: str, tree: Path, **options: str) -> str:
    """The tree that a range gives, from the request to the worktree; the user's stays the same."""
    before = state_of(tree)
    try:
        job = job_of(given, Options(tree=str(tree), **options), each=False)  # type: ignore[arg-type]
        kernel = job.steps[1].kernel
        base = source.prepare(kernel.source, print)
        commit = series.apply(base, series.patches(kernel.series))
        assert own_git(base.tree.work, "status", "--porcelain") == ""
        return own_git(base.tree.work, "rev-parse", f"{commit}^{{tree}}").strip()
    finally:
        assert state_of(tree) == before


def full(tree: Path, git: Git, folder: Path) -> Path:
    git(folder, "clone", "-q", "-b", "topic", f"file://{tree}", "clone")
    return folder / "clone"


def bare(tree: Path, git: Git, folder: Path) -> Path:
    git(folder, "clone", "-q", "--mirror", f"file://{tree}", "mirror.git")
    return folder / "mirror.git"


def bare_without_head(tree: Path, git: Git, folder: Path) -> Path:
    git(bare(tree, git, folder), "symbolic-ref", "HEAD", "refs/heads/gone")
    return folder / "mirror.git"


def worktree(tree: Path, git: Git, folder: Path) -> Path:
    git(full(tree, git, folder), "worktree", "add", "-q", str(folder / "worktree"), "topic~3")
    return folder / "worktree"


def alternates(tree: Path, git: Git, folder: Path) -> Path:
    """Objects that are borrowed twice over, by a relative path as well."""
    git(folder, "clone", "-q", "--shared", "-b", "topic", str(tree), "lender")
    git(folder, "clone", "-q", "--shared", "-b", "topic", str(folder / "lender"), "clone")
    info = folder / "clone/.git/objects/info/alternates"
    info.write_text("../../../lender/.git/objects\n")
    git(folder / "clone", "commit", "-q", "--allow-empty", "-m", "own")
    git(folder / "clone", "reset", "-q", "--hard", "HEAD^")
    return folder / "clone"


def shallow(tree: Path, git: Git, folder: Path) -> Path:
    git(folder, "clone", "-q", "--depth=5", "-b", "topic", f"file://{tree}", "clone")
    return folder / "clone"


def blobless(tree: Path, git: Git, folder: Path) -> Path:
    """What was looked at is there, as with anybody who worked on it."""
    git(folder, "clone", "-q", "--filter=blob:none", "-b", "topic", f"file://{tree}", "clone")
    for number in (4, 3, 2, 1, 0):
        git(folder / "clone", "checkout", "-q", f"topic~{number}")
    return folder / "clone"


def sha256(tree: Path, git: Git, folder: Path) -> Path:
    """The same history; its objects have other names."""
    git(folder, "init", "-q", "--object-format=sha256", "-b", "topic", "clone")
    stream = git(tree, "fast-export", "topic")
    command = ["git", "-C", str(folder / "clone"), "fast-import", "--quiet"]
    subprocess.run(command, input=stream, text=True, check=True)
    git(folder / "clone", "checkout", "-q", "-f", "topic")
    return folder / "clone"


def with_submodule(tree: Path, git: Git, folder: Path) -> Path:
    """A submodule in the tree, checked out, and a commit of the range that moves it."""
    clone = full(tree, git, folder)
    local = ("-c", "protocol.file.allow=always")
    git(clone, *local, "submodule", "--quiet", "add", f"file://{tree}", "sub")
    git(clone, "commit", "-qm", "a submodule")
    git(clone / "sub", "checkout", "-q", "origin/topic~5")
    git(clone, "add", "sub")
    git(clone, "commit", "-qm", "another one")
    return clone


KINDS = [full, bare, bare_without_head, worktree, alternates, shallow, blobless, sha256,
         with_submodule]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_range_of_any_clone(
    kind: Callable[[Path, Git, Path], Path], upstream: Path, git: Git, tmp_path: Path
) -> None:
    tree = kind(upstream, git, tmp_path)
    assert applied("topic~3..topic", tree) == git(tree, "rev-parse", "topic^{tree}").strip()
    # On another base, too, unless it is not there.
    base = "topic~4" if kind in (shallow, sha256, alternates) else "origin/aside"
    base = base.removeprefix("origin/") if kind in (bare, bare_without_head) else base
    if kind is blobless:
        git(tree, "checkout", "-q", base)
    assert applied("topic~2..topic", tree, base=base) != git(tree, "rev-parse", f"{base}^{{tree}}")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_any_clone_is_bisected(
    kind: Callable[[Path, Git, Path], Path], upstream: Path, git: Git, tmp_path: Path
) -> None:
    tree = kind(upstream, git, tmp_path)
    before = state_of(tree)
    history = of_tree(Options(tree=str(tree)), "topic~3", "topic")
    asked = GitBisect(tmp_path / "bisect", history)
    while not asked.over:
        commit = asked.asks
        assert history.subject(commit)
        asked.answer(commit, "good")
    assert asked.found == git(tree, "rev-parse", "topic").strip()
    assert state_of(tree) == before


def test_a_series_is_bisected_on_a_shallow_clone(upstream: Path, git: Git, tmp_path: Path) -> None:
    """The cache's repository knows, too, that the parents of the oldest commit are not there."""
    tree = shallow(upstream, git, tmp_path)
    history = of_series("topic~4..topic", Options(tree=str(tree)), print)
    own_git(history.repository, "fsck", "--connectivity-only")
    assert own_git(history.repository, "rev-list", "--count", history.bad).strip() == "5"
    asked = GitBisect(tmp_path / "bisect", history)
    while not asked.over:
        asked.answer(asked.asks, "good")
    assert asked.found == git(tree, "rev-parse", "topic").strip()


@pytest.fixture
def partial(upstream: Path, git: Git, tmp_path: Path) -> Iterator[Path]:
    """A blobless clone in which nothing was looked at."""
    git(tmp_path, "clone", "-q", "--filter=blob:none", "--no-checkout", "-b", "topic",
        f"file://{upstream}", "partial")  # fmt: skip
    yield tmp_path / "partial"


def follow(said: str) -> None:
    """Run the command that a message ends in."""
    command = said[said.index("git -C ") :]
    subprocess.run(shlex.split(command), check=True, capture_output=True)


@pytest.mark.usefixtures("any_git")
def test_what_a_partial_clone_lacks_is_told_with_the_command_that_gets_it(
    partial: Path, git: Git
) -> None:
    told = []
    for _ in range(5):
        try:
            tree = applied("topic~3..topic", partial)
            break
        except UsageError as error:
            assert "\n" not in str(error) and "is a partial clone and lacks files of" in str(error)
            told.append(str(error))
            follow(told[-1])
    assert 1 <= len(told) <= 3, told
    assert tree == git(partial, "rev-parse", "topic^{tree}").strip()


@pytest.mark.usefixtures("any_git")
def test_a_kernel_of_a_partial_clone_is_told_as_well(partial: Path, git: Git) -> None:
    """As `s2eval run -k tree:DIR@REF` finds it."""
    before = state_of(partial)
    wanted = KernelSource(tree=str(partial), ref="topic~7")
    with pytest.raises(UsageError, match=r"lacks files of .* git -C .* diff --shortstat"):
        source.prepare(wanted, print)
    # The Makefile alone is no kernel.
    assert state_of(partial) == before
    git(partial, "show", "topic~7:Makefile")
    with pytest.raises(UsageError, match="lacks files of") as error:
        source.prepare(wanted, print)
    follow(str(error.value))
    source.prepare(wanted, print)


@pytest.mark.usefixtures("any_git")
def test_a_commit_that_is_not_there_is_not_fetched(partial: Path, upstream: Path, git: Git) -> None:
    new = git(upstream, "commit-tree", "-m", "new", "topic^{tree}").strip()
    git(upstream, "update-ref", "refs/heads/new", new)
    before = state_of(partial)
    assert repository.commit_of(partial, new) == ""
    assert state_of(partial) == before


FOREIGN = r"{} belongs to another user, .*: git config --global --add safe\.directory {}"


@pytest.mark.parametrize("command", ["patch", "bisect", "run", "from inside"])
def test_a_tree_of_another_owner(
    command: str, upstream: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = re.escape(str(upstream))
    before = state_of(upstream)
    if os.geteuid():  # only root can give a tree away; git has a variable for its own tests
        other = "export GIT_TEST_ASSUME_DIFFERENT_OWNER=1"
        wrapper(tmp_path / "bin", f'case "$*" in *"{upstream}"*) {other};; esac', monkeypatch)
    else:
        for path in (upstream, upstream / ".git"):
            os.chown(path, 12345, 12345)
    options = Options(tree=str(upstream))
    with pytest.raises(UsageError, match=FOREIGN.format(place, place)) as error:
        if command == "patch":
            job_of("topic~3..topic", options, each=False)
        elif command == "bisect":
            of_tree(options, "main", "topic")
        elif command == "run":
            source.find(KernelSource(tree=str(upstream), ref="topic"))
        else:
            monkeypatch.chdir(upstream / "arch")
            job_of("topic~3..topic", Options(), each=False)
    assert "\n" not in str(error.value)
    assert state_of(upstream) == before
    # And git's way out is one.
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    way_out = str(error.value)[str(error.value).index("git config") :]
    subprocess.run(shlex.split(way_out), check=True, env={**os.environ, "HOME": str(home)})
    assert job_of("topic~3..topic", options, each=False).series.subjects[0] == "kvm: Number 7"


def test_a_repository_in_a_repository_of_the_cache_is_made_anew_for_other_objects(
    upstream: Path, git: Git, tmp_path: Path
) -> None:
    """The tree at a place is another one now, whose objects have other names."""
    full(upstream, git, tmp_path)
    first = applied("topic~3..topic", tmp_path / "clone")
    shutil.rmtree(tmp_path / "clone")
    sha256(upstream, git, tmp_path)
    second = applied("topic~3..topic", tmp_path / "clone")
    assert (len(first), len(second)) == (40, 64)


def test_a_shallow_clone_that_was_deepened(upstream: Path, git: Git, tmp_path: Path) -> None:
    tree = shallow(upstream, git, tmp_path)
    applied("topic~3..topic", tree)
    with pytest.raises(UsageError, match="it is a shallow clone"):
        job_of("topic~8..topic", Options(tree=str(tree)), each=False)
    git(tree, "-c", "maintenance.auto=false", "-c", "gc.auto=0", "fetch", "-q", "--unshallow")
    assert applied("topic~8..topic", tree) == git(tree, "rev-parse", "topic^{tree}").strip()


def test_edits_are_told_and_a_file_that_was_only_touched_is_none(
    upstream: Path, git: Git, tmp_path: Path
) -> None:
    tree = full(upstream, git, tmp_path)
    (tree / "core.c").touch()
    os.utime(tree / "core.c", ns=(1, 1))
    (tree / "untracked").touch()
    before = state_of(tree)
    assert not source.has_changes(KernelSource(tree=str(tree)))
    (tree / "core.c").write_text("edited\n")
    assert source.has_changes(KernelSource(tree=str(tree)))
    (tree / "core.c").write_text(git(upstream, "show", "topic:core.c"))
    os.utime(tree / "core.c", ns=(1, 1))
    assert state_of(tree) == before


def test_the_end_of_a_history_is_enough(
    tree: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of commits that all have one date git cannot say which is older, and reads all of them."""
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2024-01-01T00:00:00+0000")
    for number in range(5):
        git(tree, "commit", "-q", "--allow-empty", "-m", f"old {number}")
    start = git(tree, "rev-parse", "HEAD").strip()
    for number in range(3):
        git(tree, "commit", "-q", "--allow-empty", "-m", f"new {number}")
    side = git(tree, "commit-tree", "-p", start, "-m", "side", "HEAD^{tree}").strip()
    merge = git(tree, "commit-tree", "-p", "HEAD", "-p", side, "-m", "m", "HEAD^{tree}").strip()
    git(tree, "update-ref", "refs/heads/merge", merge)
    found = repository.chain(tree, start, "HEAD")
    assert found and [one.subject for one in found] == ["new 0", "new 1", "new 2"]
    assert found[0].parents == (start,)
    head = git(tree, "rev-parse", "HEAD").strip()
    assert repository.chain(tree, head, "HEAD") == []
    assert repository.chain(tree, side, "HEAD") is None
    assert repository.chain(tree, start, merge) is None
    assert repository.parted(tree, side, "HEAD") == start
    # Beyond the first look, and with merges: as git has it.
    monkeypatch.setattr(repository, "NEAR", 2)
    assert repository.parted(tree, side, "HEAD") == start
    assert repository.parted(tree, side, merge) == side
    alone = git(tree, "commit-tree", "-m", "alone", "HEAD^{tree}").strip()
    assert repository.parted(tree, alone, "HEAD") == ""
