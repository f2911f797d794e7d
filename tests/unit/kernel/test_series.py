# SPDX-License-Identifier: GPL-2.0-only
"""Series: their hash, applying them, and what is said when one does not apply."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.kernel import series, source
from harness.kernel.applying import mails
from harness.kernel.applying.sparse import NotSparseError
from harness.kernel.source import Base
from harness.kernel.spec import KernelSource, KernelSpec

Git = Callable[..., str]
MakeSeries = Callable[[dict[str, str]], Path]


@pytest.fixture
def base(spec: KernelSpec) -> Base:
    return source.prepare(spec.source, print)


def test_the_hash_is_kcidbs(cache: Path) -> None:
    folder = cache / "series/x"
    folder.mkdir(parents=True)
    for name, text in (("0001-a.patch", "one"), ("0002-b.patch", "two")):
        (folder / name).write_text(text)
    formula = "sha256sum *.patch | cut -c-64 | sha256sum | cut -c-64"
    by_shell = subprocess.run(
        ["sh", "-c", formula], cwd=folder, capture_output=True, text=True, check=True
    )
    files = series.patches(["x"])
    assert [path.name for path in files] == ["0001-a.patch", "0002-b.patch"]
    assert series.patchset_hash(files) == by_shell.stdout.strip()
    assert series.patchset_hash([]) == ""


def test_a_folder_without_patches_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no \*\.patch"):
        series.patches([str(tmp_path)])


def test_applying_changes_what_the_patch_changes_and_nothing_else(
    base: Base, git: Git, make_series: MakeSeries
) -> None:
    series.apply(base, [])
    kvm = (base.tree.work / "kvm.c").read_text()
    files = series.patches([str(make_series({"kvm.c": f"{kvm}int x;\n"}))])
    work = base.tree.work
    before = (work / "core.c").stat().st_mtime_ns
    patched = series.apply(base, files)
    assert (work / "kvm.c").read_text().endswith("int x;\n")
    assert (work / "core.c").stat().st_mtime_ns == before
    assert git(work, "log", "--format=%an %s", "-1").strip() == "Dev kvm: change"
    # There and back again: the same commit, from the ref and from scratch.
    assert series.apply(base, []) == base.commit
    assert (work / "kvm.c").read_text() == kvm
    assert series.apply(base, files) == patched
    git(work, "update-ref", "-d", f"refs/s2eval/{base.commit}-{series.patchset_hash(files)}")
    assert series.apply(base, files) == patched


def test_a_patch_that_does_not_apply_is_named_with_file_and_hunk(
    tree: Path, git: Git, make_series: MakeSeries
) -> None:
    long = "".join(f"int f{n};\n" for n in range(40))
    (tree / "core.c").write_text(long)
    git(tree, "commit", "-qam", "longer")
    edited = long.replace("int f2;", "int g2;").replace("int f33;", "int g33;")
    good = make_series({"kvm.c": (tree / "kvm.c").read_text() + "int x;\n"})
    bad = make_series({"Kbuild": "# one hunk\n", "core.c": edited})
    # The base that the patch meets has another line 33: its second hunk has no place.
    (tree / "core.c").write_text(long.replace("int f33;", "char f33;"))
    git(tree, "commit", "-qam", "different")
    other = source.prepare(KernelSource(tree=str(tree)), print)
    files = [*series.patches([str(good)]), *series.patches([str(bad)])]
    series.apply(other, [])
    with pytest.raises(UsageError) as error:
        series.apply(other, files)
    said = str(error.value)
    assert "0001-kvm-change.patch does not apply to" in said
    assert "core.c, hunk 2 (@@ -31," in said
    assert "\n" not in said
    assert git(other.tree.work, "status", "--porcelain") == ""
    assert git(other.tree.work, "rev-parse", "HEAD").strip() == other.commit
    assert not (other.tree.folder / "failed.patch").exists()


def test_a_patch_for_a_file_that_is_not_there(
    tree: Path, base: Base, git: Git, make_series: MakeSeries
) -> None:
    (tree / "new.c").write_text("int new;\n")
    git(tree, "add", "new.c")
    git(tree, "commit", "-qm", "new")
    folder = make_series({"new.c": "int newer;\n"})
    with pytest.raises(UsageError, match=r"0001-kvm-change\.patch .*new\.c: No such file"):
        series.apply(base, series.patches([str(folder)]))
    assert git(base.tree.work, "status", "--porcelain") == ""


def test_what_is_no_patch_is_refused(base: Base, git: Git, tmp_path: Path) -> None:
    (tmp_path / "x.patch").write_text("hello\n")
    with pytest.raises(UsageError, match=r"x\.patch: not a patch in git format-patch form"):
        series.apply(base, [tmp_path / "x.patch"])
    assert git(base.tree.work, "status", "--porcelain") == ""


def test_a_mailbox_with_two_mails(tree: Path, base: Base, git: Git, tmp_path: Path) -> None:
    kvm = (tree / "kvm.c").read_text()
    for number in (1, 2):
        (tree / "kvm.c").write_text(kvm + "int x;\n" * number)
        git(tree, "commit", "-qam", f"step {number}")
    box = tmp_path / "series.mbx"
    box.write_text(git(tree, "format-patch", "--stdout", "-2"))
    git(tree, "reset", "-q", "--hard", "HEAD~2")
    series.apply(base, series.patches([str(box)]))
    assert (base.tree.work / "kvm.c").read_text().count("int x;") == 2


def test_what_a_killed_run_left_is_undone(
    base: Base, git: Git, make_series: MakeSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = base.tree.work
    patches = series.patches([str(make_series({"kvm.c": "int x;\n"}))])
    series.apply(base, [])
    kvm = (work / "kvm.c").read_text()

    def in_the_worktree(*args: object) -> None:
        raise NotSparseError

    def killed(folder: Path, *args: str) -> str:
        if args[0] != "am":
            return git(folder, *args)
        (work / ".git/index.lock").touch()
        (work / "kvm.c").write_text("half")
        (work / "stray.rej").touch()
        (work / ".git/rebase-apply").mkdir()
        raise KeyboardInterrupt

    for _ in range(2):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(series, "apply_sparsely", in_the_worktree)
            patched.setattr(mails, "git", killed)
            series.apply(base, patches)
        series.apply(base, [])
        assert (work / "kvm.c").read_text() == kvm
        assert git(work, "status", "--porcelain") == ""
    series.apply(base, patches)
    assert (work / "kvm.c").read_text() == "int x;\n"


def test_the_project_own_series_are_in_order_and_whole() -> None:
    for name in ("stage2-normal-nc", "stage2-vma-flag"):
        files = series.patches([name])
        assert [path.name[:4] for path in files] == [f"{n + 1:04}" for n in range(len(files))]
