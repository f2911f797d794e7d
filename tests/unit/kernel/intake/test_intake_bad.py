# SPDX-License-Identifier: GPL-2.0-only
"""What is no series, or none for this tree: one line that names it, nothing written anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.evaluate.patch.request import Options, job_of
from harness.kernel import series, source
from harness.kernel.git import git as own_git
from harness.kernel.intake import intake
from harness.kernel.spec import KernelSource

Git = Callable[..., str]
MakeSeries = Callable[[dict[str, str]], Path]

HEAD = "From 0 Mon Sep 17 00:00:00 2001\nFrom: D <d@localhost>\nSubject: [PATCH{}] kvm: x\n{}\nw\n"
DIFF = "---\ndiff --git a/kvm.c b/kvm.c\n--- a/kvm.c\n+++ b/kvm.c\n{}"
HUNK = '@@ -1,3 +1,3 @@\n-#include "common.h"\n+#include <common.h>\n \n \n'


def refused(given: str, tree: Path | None = None, base: str = "") -> str:
    """What is said of a series that is none: one line, no control characters."""
    with pytest.raises(UsageError) as error:
        intake.take(given, tree=tree, base=base)
    said = str(error.value)
    assert said.isprintable() and given.rsplit("/", maxsplit=1)[-1] in said, said
    return said


def mail(path: Path, number: str = "", diff: str = DIFF.format(HUNK), more: str = "") -> str:
    path.write_text(HEAD.format(number, more) + diff)
    return str(path)


@pytest.fixture(autouse=True)
def own_cache(cache: Path) -> Path:
    return cache


def test_no_patch_in_it(tmp_path: Path) -> None:
    assert "no patch in it (1 mail)" in refused(mail(tmp_path / "talk.mbox", diff="Hello.\n"))
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 20)
    assert "no patch in it" in refused(str(tmp_path / "noise"))


@pytest.mark.parametrize("what", ["file", "folder", "quilt"])
def test_nothing_in_it(what: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    if what == "file":
        (tmp_path / "none.mbox").write_text(" \n")
        assert refused(str(tmp_path / "none.mbox")).endswith("none.mbox is empty")
    elif what == "folder":
        assert "an empty series: no *.patch" in refused(str(tmp_path / "empty"))
    else:
        (tmp_path / "empty" / "series").write_text("# nothing yet\n")
        assert "names no patch" in refused(str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("there", "total", "said"),
    [
        ((1, 3, 4), 4, "2/4 is missing"),
        ((2,), 3, "1/3, 3/3 are missing"),
        ((1, 9), 9, "2/9, 3/9, 4/9, 5/9 and 3 more are missing"),
    ],
)
def test_a_hole_is_named(there: tuple[int, ...], total: int, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "series"
    folder.mkdir()
    for number in there:
        mail(folder / f"{number}.patch", f" {number}/{total}")
    assert said in refused(str(folder))


def test_two_series_are_not_one(tmp_path: Path) -> None:
    folder = tmp_path / "series"
    folder.mkdir()
    for name, number in (("a", " 1/2"), ("b", " 2/2"), ("c", " 1/1")):
        mail(folder / f"{name}.patch", number)
    assert "more than one series in it (n/1, n/2)" in refused(str(folder))
    mail(folder / "c.patch", " 2/2", diff=DIFF.format(HUNK.replace("<", "'")))
    assert "two different patches are 2/2" in refused(str(folder))
    mail(folder / "c.patch", "")
    assert "(n/2, patches without a number)" in refused(str(folder))


def test_strange_encodings(tmp_path: Path) -> None:
    more = "MIME-Version: 1.0\nContent-Type: text/plain; charset=x-klingon\n"
    path = tmp_path / "odd.mbox"
    path.write_bytes((HEAD.format("", more) + DIFF.format(HUNK)).encode() + b"\xff\xfe\n")
    path.write_bytes(path.read_bytes().replace(b"\nw\n", b"\n\xe9\xff why\n"))
    assert "the character set x-klingon: save it as UTF-8" in refused(str(path))
    more = "MIME-Version: 1.0\nContent-Transfer-Encoding: x-uuencode\n"
    assert "the encoding x-uuencode: save it as text" in refused(mail(path, more=more))


def test_binary_without_its_content(tmp_path: Path) -> None:
    diff = "---\ndiff --git a/logo.ppm b/logo.ppm\nBinary files a/logo.ppm and b/logo.ppm differ\n"
    said = refused(mail(tmp_path / "logo.patch", diff=diff))
    assert "logo.ppm is binary" in said and "git format-patch --binary" in said


@pytest.mark.parametrize(
    "path", ["b/../../etc/passwd", "/etc/passwd", "b/.git/hooks/post-checkout", "../x", "b//x"]
)
def test_a_path_that_leaves_the_tree(path: str, tmp_path: Path) -> None:
    diff = f"---\n--- /dev/null\n+++ {path}\n@@ -0,0 +1 @@\n+x\n"
    said = refused(mail(tmp_path / "evil.patch", diff=diff))
    assert f"the path {path} leaves the tree" in said


def test_a_quilt_stack_that_points_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    folder.mkdir()
    for line, said in (
        ("../x.patch", "the path ../x.patch leaves the folder"),
        ("gone.patch", "no such patch: gone.patch"),
        ("a.patch -p0", "-p0: only -p1 is taken"),
        ("a.patch -R", "-R: only -p1 is taken"),
        ("talk.patch", "talk.patch: no patch in it"),
    ):
        (folder / "series").write_text(f"{line}\n")
        (folder / "talk.patch").write_text("just words\n")
        assert said in refused(str(folder))


def test_refs_and_ranges(tree: Path, git: Git) -> None:
    (tree / "kvm.c").write_text("int x;\n")
    git(tree, "commit", "-qam", "x")
    assert f"no branch, tag or commit nope in {tree}" in refused("nope..main", tree)
    assert "no branch, tag or commit nope" in refused("main..nope", tree)
    assert "an empty series: no commit in it" in refused("main..main", tree)
    assert "no message id, no ref or range" in refused("nope", tree)
    assert "(--tree)" in refused("nope")
    assert "a branch without upstream" in refused("main", tree)
    with pytest.raises(UsageError, match=f"--base nope: no such commit in {tree}"):
        intake.take("main", tree=tree, base="nope")
    git(tree, "checkout", "-q", "--orphan", "alone")
    git(tree, "commit", "-qm", "alone")
    assert "no common ancestor" in refused("main..alone", tree)
    git(tree, "checkout", "-q", "-b", "side", "main~1")
    git(tree, "commit", "-q", "--allow-empty", "-m", "side")
    git(tree, "merge", "-q", "--no-edit", "main")
    assert "it holds a merge" in refused("main~1..side", tree)


def test_a_shallow_clone(tree: Path, git: Git, tmp_path: Path) -> None:
    base = git(tree, "rev-parse", "HEAD").strip()
    (tree / "kvm.c").write_text("int x;\n")
    git(tree, "commit", "-qam", "kvm: x")
    (tmp_path / "x.mbox").write_text(git(tree, "format-patch", "--stdout", f"--base={base}", "-1"))
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{tree}", str(tmp_path / "clone"))
    clone = tmp_path / "clone"
    shallow = r"shallow clone \(git -C \S+ fetch --unshallow\)"
    with pytest.raises(UsageError, match=f"x.mbox is based on {base}: no such commit .*{shallow}"):
        job_of(str(tmp_path / "x.mbox"), Options(tree=str(clone)), each=False)
    with pytest.raises(UsageError, match=f"its parent is not in .*{shallow}"):
        intake.take("HEAD", tree=clone)
    with pytest.raises(UsageError, match=f"--base {base[:9]}: .*{shallow}"):
        job_of(str(tmp_path / "x.mbox"), Options(tree=str(clone), base=base[:9]), each=False)


def test_a_dirty_tree_is_told_and_left_alone(tree: Path, git: Git, make_series: MakeSeries) -> None:
    folder = make_series({"kvm.c": "int kvm;\n"})
    (tree / "core.c").write_text("not committed\n")
    before = hashlib.sha256((tree / ".git/index").read_bytes()).hexdigest()
    job = job_of(str(folder), Options(tree=str(tree)), each=False)
    assert any("uncommitted changes: they are not part" in note for note in job.notes)
    assert (tree / "core.c").read_text() == "not committed\n"
    assert hashlib.sha256((tree / ".git/index").read_bytes()).hexdigest() == before


def applied(tree: Path, given: str) -> str:
    """What is said when a series is applied; the worktree is at its base afterwards."""
    taken = intake.take(given, tree=None)
    base = source.prepare(KernelSource(tree=str(tree)), print)
    series.apply(base, [])
    with pytest.raises(UsageError) as error:
        series.apply(base, series.patches([str(taken.folder)]))
    assert own_git(base.tree.work, "rev-parse", "HEAD").strip() == base.commit
    assert own_git(base.tree.work, "status", "--porcelain") == ""
    assert not (base.tree.work / ".git/rebase-apply").exists()
    return str(error.value)


def test_a_patch_that_is_there_already_or_reversed(
    tree: Path, git: Git, tmp_path: Path, make_series: MakeSeries
) -> None:
    folder = make_series({"kvm.c": "int kvm;\n"})
    (patch,) = folder.iterdir()
    git(tree, "am", "-q", str(patch))
    assert "it is there already, or was made in reverse" in applied(tree, str(patch))
    git(tree, "reset", "-q", "--hard", "HEAD^")
    backwards = tmp_path / "backwards.patch"
    change = (
        'a/core.c b/core.c\n--- a/core.c\n+++ b/core.c\n@@ -1,3 +1,3 @@\n #include "common.h"\n'
    )
    change += (
        "-const char *here = __FILE__;\n+const char *where = __FILE__;\n int core = ATTRIBUTE;\n"
    )
    mail(backwards, diff=f"---\ndiff --git {change}")
    assert "it is there already, or was made in reverse" in applied(tree, str(backwards))


def test_a_patch_for_another_tree(tree: Path, tmp_path: Path) -> None:
    diff = DIFF.format(HUNK).replace("kvm.c", "mm/slub.c")
    said = applied(tree, mail(tmp_path / "slub.patch", diff=diff))
    assert "does not apply to" in said and "mm/slub.c" in said


def test_a_write_through_a_symbolic_link(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "series"
    folder.mkdir()
    link = "---\ndiff --git a/out b/out\nnew file mode 120000\n--- /dev/null\n+++ b/out\n"
    mail(
        folder / "1.patch",
        " 1/2",
        f"{link}@@ -0,0 +1 @@\n+{tmp_path}\n\\ No newline at end of file\n",
    )
    file = "---\ndiff --git a/out/x b/out/x\nnew file mode 100644\n--- /dev/null\n+++ b/out/x\n"
    mail(folder / "2.patch", " 2/2", f"{file}@@ -0,0 +1 @@\n+x\n")
    applied(tree, str(folder))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(kernel="debian-6.1", tree="x"), "give --kernel or --tree, not both"),
        (Options(kernel="debian-6.1", base="x"), "--base is a commit of a tree"),
        (Options(tree="/nowhere/at/all"), "--tree /nowhere/at/all: no such folder"),
        (Options(tree="/"), "--tree /: not in a git tree"),
        (Options(kernel="debian-6.1", machines=("nestde-tcg",)), "did you mean 'nested-tcg"),
        (Options(kernel="debian-6.1", plan=Path("x"), suites=("y",)), "--plan or --machine"),
        (Options(kernel="debian-6.1", config=("nope",)), "unknown config fragment 'nope'"),
    ],
)
def test_options(options: Options, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        job_of(mail(tmp_path / "x.patch"), options, each=False)
    assert said in str(error.value)


def test_a_tree_that_is_no_kernel(tmp_path: Path, git: Git) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "x")
    with pytest.raises(UsageError, match="is not a Linux kernel with arch/arm64"):
        job_of(mail(tmp_path / "x.patch"), Options(tree=str(tmp_path)), each=False)
