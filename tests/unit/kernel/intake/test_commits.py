# SPDX-License-Identifier: GPL-2.0-only
"""Commits of a tree are taken as they are, whatever stands in their messages and files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.evaluate.patch.request import Options, job_of
from harness.kernel import series, source, store
from harness.kernel.applying import commit_range
from harness.kernel.git import git as own_git
from harness.kernel.intake import intake
from harness.kernel.intake.kept import first
from harness.kernel.source import Base
from harness.kernel.spec import KernelSource
from harness.kernel.toolchain import Toolchain

Git = Callable[..., str]
State = Callable[[Path], list[tuple[str, int, str]]]


@pytest.fixture
def own_tree(made_tree: Path, cache: Path, tmp_path: Path) -> Path:
    """A copy of the field tree that a test may change."""
    return Path(shutil.copytree(made_tree, tmp_path / "linux", symlinks=True))


def at(tree: Path, ref: str = "main") -> Base:
    return source.prepare(KernelSource(tree=str(tree), ref=ref), print)


@pytest.mark.parametrize(
    ("given", "subjects", "notes"),
    [
        ("main..b4/topic", ["KVM: one", "KVM: two"], ["EDITME: KVM: arm64: cover title' changes "
         "nothing: it is the cover letter"]),
        ("b4/topic", ["KVM: one", "KVM: two"], ["it is the cover letter"]),
        ("main..diff-in-message", ["KVM: one"], []),
        ("main..latin1", ["docs: near a Latin-1 line"], []),
        ("main..numbers-in-subject", ["KVM: one", "[v3] KVM: two", "KVM: three"], []),
        ("main...history", ["step 1", "step 2", "step 3"], []),
        ("numbers-in-subject~1", ["[v3] KVM: two"], []),
    ],
)  # fmt: skip
def test_a_range_is_its_commits(
    given: str, subjects: list[str], notes: list[str], field_tree: Path, git: Git
) -> None:
    taken = intake.take(given, tree=field_tree)
    assert list(taken.subjects) == subjects
    assert len(taken.notes) == len(notes)
    for note, part in zip(taken.notes, notes, strict=True):
        assert part in note
    base = at(field_tree, taken.start)
    commit = series.apply(base, series.patches([taken.folder.name]))
    # The user's own object, and so the very same tree.
    assert commit == git(field_tree, "rev-parse", given.rpartition("..")[2].strip(".")).strip()
    assert own_git(base.tree.work, "status", "--porcelain") == ""
    own = git(field_tree, "log", "--reverse", "--format=%T", f"{taken.start}..{commit}").split()
    assert series.trees_of(base, commit) == own[-len(subjects) :]


@pytest.mark.parametrize("branch", ["b4/topic", "numbers-in-subject"])
def test_each_patch_of_a_range_is_its_commit(branch: str, field_tree: Path, git: Git) -> None:
    taken = intake.take(f"main..{branch}", tree=field_tree)
    base = at(field_tree)
    log = git(field_tree, "log", "--reverse", "--format=%H %s", f"main..{branch}").splitlines()
    own = [line.split()[0] for line in log if "EDITME" not in line]
    for count in range(1, len(taken.patches) + 1):
        folder = first(taken, count)
        assert series.commit_of(base, series.patches([folder.name])) == own[count - 1]
    assert folder == taken.folder


def test_a_mail_of_the_same_text_is_another_series(field_tree: Path, git: Git) -> None:
    """The diff in its message is applied by `git am`: neither result must stand for the other."""
    taken = intake.take("main..diff-in-message", tree=field_tree)
    (patch,) = taken.patches
    mail = intake.take(str(patch), tree=None)
    base = at(field_tree)
    results = {series.commit_of(base, series.patches([x.folder.name])) for x in (taken, mail)}
    trees = {own_git(base.tree.work, "rev-parse", f"{one}^{{tree}}") for one in results}
    assert len(trees) == 2 and taken.folder != mail.folder
    spec = job_of("main..diff-in-message", Options(tree=str(field_tree)), each=False).steps[1]
    values = store.inputs(spec.kernel, base, Toolchain(llvm=False, identity="gcc"))
    assert values["series"] == series.patchset_hash([patch])
    assert values["commits"] == series.identity(list(taken.patches)) != values["series"]


def test_files_with_cr_lf_and_a_message_in_latin_1(own_tree: Path, git: Git) -> None:
    git(own_tree, "checkout", "-q", "-b", "dos", "main")
    dos = own_tree / "Documentation/dos.txt"
    dos.write_bytes(dos.read_bytes().replace(b"three\r\n", b"3\r\nand\n"))
    (own_tree / "message").write_bytes(b"docs: caf\xe9\n\nFrom nowhere Mon Sep 17\n---\nwhat\n")
    git(own_tree, "-c", "i18n.commitEncoding=ISO-8859-1", "commit", "-qa", "-F",
        str(own_tree / "message"))  # fmt: skip
    git(own_tree, "config", "core.autocrlf", "true")
    taken = intake.take("main..dos", tree=own_tree)
    assert taken.subjects == ("docs: café",)
    base = at(own_tree)
    assert series.apply(base, series.patches([taken.folder.name])) == (
        git(own_tree, "rev-parse", "dos").strip()
    )
    assert (base.tree.work / "Documentation/dos.txt").read_bytes() == dos.read_bytes()


@pytest.fixture
def moved(own_tree: Path, git: Git) -> Path:
    """The tree with a branch `moved`: main and one commit, in a line that no branch touches."""
    git(own_tree, "checkout", "-q", "-b", "moved", "main")
    file = own_tree / "arch/arm64/kvm/mmu.c"
    file.write_text(file.read_text().replace("line 55\n", "line fifty-five\n"))
    git(own_tree, "commit", "-qam", "KVM: moved")
    git(own_tree, "checkout", "-q", "main")
    return own_tree


@pytest.mark.parametrize("given", ["main..b4/topic", "main..diff-in-message", "main..latin1"])
def test_on_another_base_commits_are_cherry_picked(
    given: str, moved: Path, git: Git, state: State
) -> None:
    before = state(moved)
    job = job_of(given, Options(tree=str(moved), base="moved"), each=False)
    kernel = job.steps[1].kernel
    base = source.prepare(kernel.source, print)
    made = series.commit_of(base, series.patches(kernel.series))
    work = base.tree.work
    assert base.commit == git(moved, "rev-parse", "moved").strip()

    def changes(repository: Path, *ends: str) -> list[str]:
        lines = own_git(repository, "diff", "-U0", *ends).splitlines()
        return [line for line in lines if not line.startswith("index ")]

    assert changes(work, base.commit, made) == changes(moved, *given.split(".."))
    form = "--format=%an %ae %ad %B"
    picked = own_git(work, "log", form, f"{base.commit}..{made}")
    assert picked == own_git(moved, "log", form, "--invert-grep", "--grep=EDITME", given)
    # Found again, and made again: the same commit.
    assert series.apply(base, series.patches(kernel.series)) == made
    refs = own_git(work, "for-each-ref", "--format=%(refname)", "refs/s2eval").split()
    for ref in refs:
        own_git(work, "update-ref", "-d", ref)
    assert series.apply(base, series.patches(kernel.series)) == made
    assert state(moved) == before


def refused(moved: Path, given: str, base: str) -> str:
    job = job_of(given, Options(tree=str(moved), base=base), each=False)
    start = source.prepare(job.steps[1].kernel.source, print)
    series.apply(start, [])
    with pytest.raises(UsageError) as error:
        series.apply(start, series.patches(job.steps[1].kernel.series))
    assert own_git(start.tree.work, "status", "--porcelain") == ""
    assert str(error.value).isprintable()
    return str(error.value)


def test_a_conflict_names_commit_and_file(moved: Path, git: Git) -> None:
    git(moved, "checkout", "-q", "-b", "other", "main")
    file = moved / "arch/arm64/kvm/mmu.c"
    file.write_text(file.read_text().replace("line 40\n", "line 4000\n"))
    git(moved, "commit", "-qam", "KVM: other")
    second = git(moved, "rev-parse", "b4/topic").strip()[:12]
    said = refused(moved, "main..b4/topic", "other")
    assert f"{second} ('KVM: two') does not apply to" in said
    assert said.endswith("conflict in arch/arm64/kvm/mmu.c")
    git(moved, "checkout", "-q", "-b", "has", "main")
    git(moved, "cherry-pick", "b4/topic~1")
    said = refused(moved, "main..b4/topic", "has")
    assert "('KVM: one') does not apply to" in said and said.endswith("it is there already")


def test_a_file_that_has_another_name_on_the_base(moved: Path, git: Git) -> None:
    """Git finds it when it sees all files: the worktree is used, and nothing of it stays."""
    git(moved, "checkout", "-q", "-b", "renamed", "main")
    git(moved, "mv", "arch/arm64/kvm/mmu.c", "arch/arm64/kvm/mem.c")
    git(moved, "commit", "-qm", "KVM: mem.c")
    job = job_of("main..b4/topic", Options(tree=str(moved), base="renamed"), each=False)
    base = source.prepare(job.steps[1].kernel.source, print)
    made = series.apply(base, series.patches(job.steps[1].kernel.series))
    text = (base.tree.work / "arch/arm64/kvm/mem.c").read_text()
    assert "line ten\n" in text and "line forty\n" in text
    assert own_git(base.tree.work, "log", "--format=%s", f"{base.commit}..{made}").split("\n") == [
        "KVM: two", "KVM: one", "",
    ]  # fmt: skip


def test_on_a_kernel_of_another_repository(moved: Path, git: Git, tmp_path: Path) -> None:
    """As `--kernel debian-6.1`: the objects come along, none is borrowed for good."""
    other = tmp_path / "other"
    git(tmp_path, "clone", "-q", "--no-hardlinks", "-b", "moved", str(moved), str(other))
    git(other, "update-ref", "-d", "refs/remotes/origin/HEAD")
    taken = intake.take("main..latin1", tree=moved)
    base = at(other, "moved")
    made = series.commit_of(base, series.patches([taken.folder.name]))
    shutil.rmtree(moved)
    text = own_git(base.tree.work, "ls-tree", made, "Documentation/latin1.txt")
    assert own_git(base.tree.work, "cat-file", "-t", text.split()[2]).strip() == "blob"
    series.apply(base, series.patches([taken.folder.name]))
    assert own_git(base.tree.work, "fsck", "--no-dangling", made) == ""


def test_a_named_kernel_is_said_to_be_another_base(
    field_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(field_tree)
    job = job_of("main..b4/topic", Options(kernel="debian-6.1"), each=False)
    (note,) = [note for note in job.notes if "picked" in note]
    assert note == f"its commits stand on {job.series.start[:12]}; they are picked on debian-6.1"


def test_a_range_that_is_gone_from_its_repository(moved: Path, git: Git, tmp_path: Path) -> None:
    other = tmp_path / "other"
    git(tmp_path, "clone", "-q", "--single-branch", "-b", "moved", f"file://{moved}", str(other))
    taken = intake.take("main..latin1", tree=moved)
    base = at(other, "moved")
    commits = commit_range.read(taken.folder)
    assert commits and commits.last.commit == git(moved, "rev-parse", "latin1").strip()
    shutil.rmtree(moved)
    with pytest.raises(UsageError, match=r"is no longer in .*: name the range anew"):
        series.commit_of(base, series.patches([taken.folder.name]))


def test_commits_that_change_nothing(own_tree: Path, git: Git) -> None:
    git(own_tree, "checkout", "-q", "-b", "empty", "main")
    git(own_tree, "commit", "-q", "--allow-empty", "-m", "Nothing")
    with pytest.raises(UsageError, match=r"main\.\.empty: .* its commits change nothing"):
        intake.take("main..empty", tree=own_tree)
    (own_tree / "virt/kvm/kvm_main.c").write_text("new\n")
    git(own_tree, "commit", "-qam", "Something")
    git(own_tree, "commit", "-q", "--allow-empty", "-m", "Nothing again")
    taken = intake.take("main..empty", tree=own_tree)
    assert taken.subjects == ("Something",)
    assert [note[13:] for note in taken.notes] == [
        "'Nothing' changes nothing: it is no patch",
        "'Nothing again' changes nothing: it is no patch",
    ]
    base = at(own_tree)
    assert series.commit_of(base, series.patches([taken.folder.name])) == (
        git(own_tree, "rev-parse", "empty").strip()
    )


@pytest.mark.parametrize(
    ("author", "more", "message"),
    [
        ("Dev <dev@localhost> 1 +0000", "", b""),
        (" <> 1 +0000", "", b"x\n"),
        ("Dev <dev@localhost> 99999999999 +1459", "", b"x"),
        ("Dev <dev@localhost> 1 +9999", "encoding x-none\n", b"caf\xe9\n\n\xff\xfe\n"),
        ("Dev <dev@localhost> 1 +0000", "gpgsig -----BEGIN\n x\n -----END\n", b"signed\n"),
        ("Dev <dev@localhost> 1 +0000", "", b"From x Mon Sep 17 00:00:00 2001\nFrom: y\n\n---\n"),
        ("Dev <dev@localhost> 1 +0000", "", b"data 5\nfrom :1\n\x01\x1b[31m" + b"long " * 400),
    ],
)
def test_odd_commits(author: str, more: str, message: bytes, moved: Path, git: Git) -> None:
    """As other programs write them: taken on their base, and picked on another one."""
    tree, main = git(moved, "rev-parse", "latin1^{tree}", "main").split()
    head = f"tree {tree}\nparent {main}\nauthor {author}\ncommitter {author}\n{more}\n"
    (moved / "commit").write_bytes(head.encode() + message)
    write = ("hash-object", "-t", "commit", "-w", "--literally", str(moved / "commit"))
    commit = git(moved, *write).strip()
    (moved / "commit").unlink()
    taken = intake.take(f"main..{commit}", tree=moved)
    assert all(subject.isprintable() for subject in taken.subjects)
    files = series.patches([taken.folder.name])
    assert series.commit_of(at(moved), files) == commit
    base = at(moved, "moved")
    made = series.commit_of(base, files)
    assert "line 3" in own_git(base.tree.work, "show", f"{made}:Documentation/latin1.txt")


def test_a_branch_with_the_name_of_a_folder(
    own_tree: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(own_tree, "branch", "virt", "latin1")
    git(own_tree, "config", "branch.virt.remote", ".")
    git(own_tree, "config", "branch.virt.merge", "refs/heads/main")
    monkeypatch.chdir(own_tree)
    taken = intake.take("virt", tree=own_tree)
    assert taken.subjects == ("docs: near a Latin-1 line",)
    assert taken.notes == ("there is a folder virt, which is no series: the commits",)
    patch = git(own_tree, "format-patch", "--stdout", "-1", "numbers-in-subject")
    (own_tree / "virt/1.patch").write_text(patch)
    taken = intake.take("virt", tree=own_tree)
    assert taken.start == "" and taken.notes[-1].endswith("named virt as well: they are not meant")


def test_what_the_user_configured_shapes_no_patch(own_tree: Path, git: Git) -> None:
    plain = intake.take("main..b4/topic", tree=own_tree).folder
    for key, value in (("diff.noprefix", "true"), ("format.attach", "x"), ("diff.context", "0"),
                       ("format.numbered", "false"), ("color.ui", "always"),
                       ("format.signOff", "true"), ("format.notes", "true"),
                       ("diff.external", "false"), ("log.showSignature", "true")):  # fmt: skip
        git(own_tree, "config", key, value)
    (own_tree / ".gitattributes").write_text("*.c -diff\n")
    assert intake.take("main..b4/topic", tree=own_tree).folder == plain


def test_two_dots_of_a_path_are_no_range(
    field_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UsageError, match="no such file or folder"):
        intake.take("../missing.patch", tree=field_tree)
    (tmp_path / "no.patch").write_text("no patch\n")
    with pytest.raises(UsageError, match="no patch in it"):
        intake.take("../no.patch", tree=field_tree)
