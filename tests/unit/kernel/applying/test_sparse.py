# SPDX-License-Identifier: GPL-2.0-only
"""What is applied to a few files is, to the last bit, what git makes of the whole tree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.kernel import series, source
from harness.kernel.applying import commit_range
from harness.kernel.applying.commits import pick_in_worktree, pick_sparsely
from harness.kernel.applying.mails import apply_in_worktree, apply_sparsely
from harness.kernel.applying.sparse import NotSparseError, touched_by
from harness.kernel.git import git as own_git
from harness.kernel.intake import intake
from harness.kernel.source import Base
from harness.kernel.spec import KernelSource

Git = Callable[..., str]
MakeSeries = Callable[[dict[str, str]], Path]
STRANGE = 'dir/caf\u00e9 "quoted"\tname'


@pytest.fixture
def topic(tree: Path, git: Git) -> Path:
    """A branch that does to files all that git knows of, on a base that has moved on since."""
    (tree / "dir").mkdir()
    (tree / "dir/long.c").write_text("".join(f"int f{n};\n" for n in range(40)))
    (tree / "dir/run.sh").write_text("#!/bin/sh\n")
    (tree / STRANGE).write_text("one\n")
    (tree / "dir/.gitattributes").write_text("*.dos text eol=crlf\n")
    (tree / "dir/x.dos").write_bytes(b"a\r\nb\r\n")
    (tree / "binary").write_bytes(bytes(range(256)))
    (tree / "link").symlink_to("core.c")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "more files")
    git(tree, "checkout", "-q", "-b", "topic")
    steps: list[list[Callable[[], object]]] = [
        [lambda: edit(tree / "dir/long.c", "f2;", "g2;")],
        [lambda: git(tree, "mv", "dir/long.c", "moved.c"),
         lambda: edit(tree / "moved.c", "f30", "g30")],
        [lambda: (tree / "dir/run.sh").chmod(0o755), lambda: edit(tree / STRANGE, "one", "two")],
        [lambda: git(tree, "rm", "-q", "kvm.c"), (tree / "kvm.c").mkdir,
         lambda: (tree / "kvm.c/kvm.c").write_text("a folder now\n")],
        [lambda: (tree / "binary").write_bytes(bytes(range(255, -1, -1)))],
        [(tree / "link").unlink, lambda: (tree / "link").symlink_to("moved.c")],
        [lambda: edit(tree / "dir/x.dos", "b", "c")],
        [lambda: git(tree, "mv", "dir/x.dos", "dir/y.dos")],
        [lambda: edit(tree / "kvm.c/kvm.c", "now", "then")],
        [(tree / "empty").touch],
    ]  # fmt: skip
    for number, step in enumerate(steps):
        for change in step:
            change()
        git(tree, "add", "-A")
        author = f"--author=J\u00f6rg {number} <j@localhost>"
        git(tree, "commit", "-qm", f"Step {number}\n\nBecause.\n", author)
    git(tree, "checkout", "-q", "main")
    (tree / "core.c").write_text(f"/* moved on */\n{(tree / 'core.c').read_text()}")
    edit(tree / "dir/long.c", "f15;", "moved_on;")
    git(tree, "commit", "-qam", "moved on")
    return tree


def edit(file: Path, old: str, new: str) -> None:
    data = file.read_bytes()
    assert old.encode() in data
    file.write_bytes(data.replace(old.encode(), new.encode()))


@pytest.fixture
def base(topic: Path) -> Base:
    found = source.prepare(KernelSource(tree=str(topic)), print)
    series.apply(found, [])
    return found


def both(base: Base, refs: tuple[str, str]) -> tuple[str, str]:
    first, second = (own_git(base.tree.work, "rev-parse", ref).strip() for ref in refs)
    return first, second


def test_mails_give_the_commits_of_git_am(
    topic: Path, base: Base, git: Git, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    git(topic, "format-patch", "-q", "--binary", "-M", "-o", str(out), "main~1..topic")
    files = sorted(out.iterdir())
    apply_sparsely(base, base.commit, files, "refs/test/sparse")
    assert own_git(base.tree.work, "rev-parse", "HEAD").strip() == base.commit
    apply_in_worktree(base, base.commit, files, "refs/test/whole")
    sparse, whole = both(base, ("refs/test/sparse", "refs/test/whole"))
    assert sparse == whole
    assert len(series.trees_of(base, sparse)) == len(files) == 10
    assert "moved_on" in own_git(base.tree.work, "show", f"{sparse}:moved.c")


def test_commits_give_those_of_git_cherry_pick(
    topic: Path, base: Base, git: Git, tmp_path: Path
) -> None:
    taken = intake.take("main..topic", tree=topic)
    commits = commit_range.read(taken.folder)
    assert commits and len(commits.commits) == 10 and commits.parent != base.commit
    pick_sparsely(base, base.commit, commits, "refs/test/sparse")
    pick_in_worktree(base, base.commit, commits, "refs/test/whole")
    sparse, whole = both(base, ("refs/test/sparse", "refs/test/whole"))
    assert sparse == whole
    git(tmp_path, "clone", "-q", str(topic), str(tmp_path / "by-hand"))
    git(tmp_path / "by-hand", "cherry-pick", "main~1..origin/topic")
    form = ("log", "--reverse", "--format=%T %an %at %B")
    by_hand = own_git(tmp_path / "by-hand", *form, f"{base.commit}..HEAD")
    assert own_git(base.tree.work, *form, f"{base.commit}..{sparse}") == by_hand
    assert "moved_on" in own_git(base.tree.work, "show", f"{sparse}:moved.c")
    assert own_git(base.tree.work, "status", "--porcelain") == ""


@pytest.mark.parametrize("edits", [{"core.c": "x\n"}, {"dir/long.c": "y\n", "Kbuild": "z\n"}])
def test_what_does_not_apply_is_told_alike(
    edits: dict[str, str], topic: Path, base: Base, git: Git, make_series: MakeSeries
) -> None:
    files = series.patches([str(make_series(edits))])
    said = []
    for name in edits:
        (topic / name).write_text("something else\n")
    git(topic, "commit", "-qam", "in the way")
    other = source.prepare(KernelSource(tree=str(topic)), print)
    for way in (apply_sparsely, apply_in_worktree):
        with pytest.raises(UsageError) as error:
            way(other, other.commit, files, "refs/test/x")
        said.append(str(error.value))
    assert said[0] == said[1] and "does not apply" in said[0]
    assert any(name in said[0] for name in edits)


def test_a_file_that_is_not_there_is_left_to_the_worktree(
    topic: Path, base: Base, git: Git, make_series: MakeSeries
) -> None:
    files = series.patches([str(make_series({"core.c": "int core;\n"}))])
    git(topic, "mv", "core.c", "renamed.c")
    git(topic, "commit", "-qm", "renamed")
    other = source.prepare(KernelSource(tree=str(topic)), print)
    with pytest.raises(NotSparseError):
        apply_sparsely(other, other.commit, files, "refs/test/x")
    made = series.apply(other, files)
    assert own_git(other.tree.work, "show", f"{made}:renamed.c") == "int core;\n"


def test_a_file_that_git_cannot_know_needs_no_worktree(base: Base, tmp_path: Path) -> None:
    """Nor a lock, then: the file that the patch was made for is in no commit here."""
    patch = tmp_path / "other.patch"
    patch.write_text(
        "From: D <d@localhost>\nSubject: [PATCH] x\n\n---\ndiff --git a/mm/x.c b/mm/x.c\n"
        "index 0123456789ab..ba9876543210 100644\n--- a/mm/x.c\n+++ b/mm/x.c\n"
        "@@ -1 +1 @@\n-x\n+y\n"
    )
    with pytest.raises(UsageError, match=r"does not apply to .*mm/x\.c: No such file"):
        apply_sparsely(base, base.commit, [patch], "refs/test/x")


def test_a_new_file_where_the_base_has_a_folder(
    topic: Path, base: Base, git: Git, tmp_path: Path
) -> None:
    patch = tmp_path / "dir.patch"
    patch.write_text(
        "From: D <d@localhost>\nSubject: [PATCH] x\n\n---\ndiff --git a/dir b/dir\n"
        "new file mode 100644\n--- /dev/null\n+++ b/dir\n@@ -0,0 +1 @@\n+x\n"
    )
    with pytest.raises(NotSparseError):
        apply_sparsely(base, base.commit, [patch], "refs/test/x")
    with pytest.raises(UsageError, match="does not apply"):
        series.apply(base, [patch])


@pytest.mark.parametrize(
    ("text", "paths", "old"),
    [
        ("diff --git a/x.c b/x.c\nold mode 100644\nnew mode 100755\n", {"x.c"}, set()),
        ("--- a/x y.c\t2024\n+++ b/x y.c\t2024\n", {"x y.c"}, {"x y.c"}),
        ("--- a/x.c\r\n+++ b/x.c\r\n", {"x.c"}, {"x.c"}),
        ("--- /dev/null\n+++ b/new\n--- a/new\n+++ b/new\n", {"new"}, set()),
        (
            "diff --git a/q b/p r\nrename from p/q\nrename to r/s\n",
            {"q b/p r", "p/q", "r/s"},
            {"p/q"},
        ),
        ('--- "a/caf\\303\\251 \\"\\t"\n+++ /dev/null\n', {'caf\u00e9 "\t'}, {'caf\u00e9 "\t'}),
    ],
)
def test_the_paths_that_a_patch_names(text: str, paths: set[str], old: set[str]) -> None:
    touched = touched_by([text.encode()])
    assert {path.decode() for path in touched.paths} == paths
    assert {path.decode() for path in touched.old} == old
