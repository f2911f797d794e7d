# SPDX-License-Identifier: GPL-2.0-only
"""Diffs as diff(1), git diff and git log print them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.kernel.intake import intake
from tests.unit.kernel.intake.mail.mails import DIFF, ONE, Apply, mail, refused, write


def test_without_prefixes(tmp_path: Path, applied: Apply, field_tree: Path) -> None:
    """What git diff --no-prefix prints: a file that moves, one that is new, one that goes."""
    patch = (
        "diff --git virt/kvm/kvm_main.c virt/kvm/main.c\nsimilarity index 100%\n"
        "rename from virt/kvm/kvm_main.c\nrename to virt/kvm/main.c\n"
        "diff --git virt/new.c virt/new.c\nnew file mode 100644\n--- /dev/null\n+++ virt/new.c\n"
        "@@ -0,0 +1 @@\n+new\n"
        "diff --git Documentation/dash.txt Documentation/dash.txt\ndeleted file mode 100644\n"
        "--- Documentation/dash.txt\n+++ /dev/null\n@@ -1,7 +0,0 @@\n-a\n"
        "--- /dev/kvm is the device\n"
        "--- ../include\n-b\n-c\n-d\n-e\n"
    )
    taken = intake.take(write(tmp_path, f"KVM: move\n---\n{patch}", "x.diff"), tree=None)
    made = applied(taken)
    names = made.git("diff", "--name-status", "-M", made.base, made.commit).split("\n")
    assert names[:3] == ["D\tDocumentation/dash.txt", "R100\tvirt/kvm/kvm_main.c\tvirt/kvm/main.c",
                         "A\tvirt/new.c"]  # fmt: skip
    assert "made without a/ and b/" in taken.notes[0]


def test_diffs_of_diff(tmp_path: Path, applied: Apply) -> None:
    """diff -u from above the tree has a folder to drop, one from within has none."""
    hunk = DIFF[DIFF.index("@@") :]
    for before, after, notes in (
        ("linux-6.1.orig/arch/arm64/kvm/mmu.c", "linux-6.1/arch/arm64/kvm/mmu.c", 0),
        ("linux/arch/arm64/kvm/mmu.c.orig", "linux/arch/arm64/kvm/mmu.c", 0),
        ("arch/arm64/kvm/mmu.c.orig", "arch/arm64/kvm/mmu.c", 1),
        ("arch/arm64/kvm/mmu.c\t(revision 1)", "arch/arm64/kvm/mmu.c\t(working copy)", 1),
        ("i/arch/arm64/kvm/mmu.c", "w/arch/arm64/kvm/mmu.c", 0),
    ):
        for above in ("", f"Index: {after}\n{'=' * 60}\n"):
            text = f"KVM: one\n\n{above}--- {before}\n+++ {after}\n{hunk}"
            taken = intake.take(write(tmp_path, text, "x.diff"), tree=None)
            assert len(taken.notes) == notes and taken.subjects == ("KVM: one",)
            assert applied(taken).lines() == [ONE]


def test_a_diff_of_a_patch(tmp_path: Path, applied: Apply) -> None:
    """A hunk that adds a patch to the tree: its lines are no headers, of whatever path."""
    inner = "--- a/../../etc/passwd\n+++ b/../../etc/passwd\n@@ -1 +1 @@\n-x\n+y\n-- \n2.39\n"
    added = "".join(f"+{line}\n" for line in inner.splitlines())
    diff = (f"diff --git a/x.patch b/x.patch\nnew file mode 100644\n--- /dev/null\n+++ b/x.patch\n"
            f"@@ -0,0 +1,7 @@\n{added}")  # fmt: skip
    made = applied(intake.take(write(tmp_path, mail(body=f"x\n---\n{diff}-- \n2.39\n")), tree=None))
    assert made.git("show", f"{made.commit}:x.patch") == inner


def test_binary_and_modes(tmp_path: Path, applied: Apply) -> None:
    diff = (
        "diff --git a/Makefile b/Makefile\nold mode 100644\nnew mode 100755\n"
        "diff --git a/x.bin b/x.bin\nnew file mode 100644\n"
        "index 0000000000000000000000000000000000000000..f76dd238ade08917e6712764a16a22005a50573d\n"
        "GIT binary patch\nliteral 1\nIcmZPo000310RR91\n\nliteral 0\nHcmV?d00001\n\n"
    )
    text = mail(body=f"x\n---\n{diff}{DIFF}-- \n2.39\n")
    made = applied(intake.take(write(tmp_path, text), tree=None))
    names = made.git("diff", "--name-status", made.base, made.commit).split()
    assert names == ["M", "Makefile", "M", "arch/arm64/kvm/mmu.c", "A", "x.bin"]


def test_a_merge_is_named(tmp_path: Path) -> None:
    text = (
        "commit 1234567890\nMerge: 1 2\nAuthor: A <a@x>\n\n    Merge\n\ndiff --cc x.c\n@@@ -1 -1\n"
    )
    assert "the combined diff of a merge" in refused(write(tmp_path, text, "x.patch"))


@pytest.mark.parametrize(
    "options",
    [["log", "-p", "-3"], ["log", "-p", "-3", "--reverse"], ["log", "--format=fuller", "-p", "-3"],
     ["log", "-p", "--stat", "--decorate", "-3"], ["show", "history", "history~1", "history~2"]],
)  # fmt: skip
def test_what_git_log_prints(
    options: list[str], tmp_path: Path, field_tree: Path, applied: Apply
) -> None:
    command, *more = options
    names = [] if command == "show" else ["history"]
    done = subprocess.run(
        ["git", "-C", str(field_tree), command, *more, *names], capture_output=True, check=True
    )
    taken = intake.take(write(tmp_path, done.stdout, "x.patch"), tree=None)
    assert taken.subjects == ("step 1", "step 2", "step 3")
    made = applied(taken)
    assert made.lines() == ["line 30 r3"] and made.log("%an") == ["Dev"] * 3


def test_git_log_in_lines_is_named(tmp_path: Path) -> None:
    text = f"1234567 KVM: one\n{DIFF}"
    assert "a commit each: use git format-patch" in refused(write(tmp_path, text, "x.patch"))


def test_nothing_but_a_separator_above(tmp_path: Path, applied: Apply) -> None:
    """What is left of a patch whose message was cut off: the file's name is the title."""
    taken = intake.take(write(tmp_path, f"---\n{DIFF}", "x.diff"), tree=None)
    assert taken.subjects == ("x.diff",)
    assert applied(taken).lines() == [ONE]
