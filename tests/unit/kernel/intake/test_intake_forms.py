# SPDX-License-Identifier: GPL-2.0-only
"""Every form a series comes in, written by git, quilt's rules and b4: the same patches come out."""

from __future__ import annotations

import email
import email.message
import io
import mailbox
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base.errors import MachineError
from harness.evaluate.patch.request import Options, job_of
from harness.kernel import series, source
from harness.kernel.build import build
from harness.kernel.git import git as own_git
from harness.kernel.intake import intake, kept
from harness.kernel.intake.mail import b4
from harness.kernel.spec import KernelSource, find_series

Git = Callable[..., str]
State = Callable[[Path], list[tuple[str, int, str]]]
NOWHERE = "http://127.0.0.1:9"  # nobody listens there


@pytest.fixture
def topic(tree: Path, git: Git) -> Path:
    """The tree with a branch `topic`: three commits on top of `main`, one by an author abroad."""
    git(tree, "checkout", "-q", "-b", "topic")
    for number, author in enumerate(("Dev <d@localhost>", "Žofie Ünal <z@localhost>", ""), 1):
        text = (tree / "kvm.c").read_text().replace("return 0", f"return 0 + {number}", 1)
        (tree / "kvm.c").write_text(text.replace(f"0 + {number}", "0") + f"/* {number} über */\n")
        options = [f"--author={author}"] if author else []
        git(tree, "commit", "-qam", f"kvm: Step {number} über\n\nWhy it is so.", *options)
    git(tree, "checkout", "-q", "main")
    return tree


def result(tree: Path, taken: kept.PatchSeries) -> str:
    """The git tree that the patches give on top of main."""
    base = source.prepare(KernelSource(tree=str(tree), ref="main"), print)
    commit = series.apply(base, series.patches([str(taken.folder)]))
    return own_git(base.tree.work, "rev-parse", f"{commit}^{{tree}}").strip()


def written(tree: Path, git: Git, *options: str) -> str:
    return git(tree, "format-patch", "-q", "--stdout", *options, "main..topic")


def a_file(tree: Path, git: Git, folder: Path) -> str:
    (folder / "one.patch").write_text(written(tree, git))
    return str(folder / "one.patch")


def base64_mail(tree: Path, git: Git, folder: Path) -> str:
    """What a mail server makes of an 8-bit mail."""
    whole = mailbox.mbox(folder / "base64.mbox")
    (folder / "plain").write_text(written(tree, git))
    for mail in mailbox.mbox(folder / "plain"):
        body = mail.get_payload(decode=True)
        assert isinstance(body, bytes)
        text = body.decode()
        del mail["Content-Transfer-Encoding"]
        mail.set_payload(text.replace("\n", "\r\n"), "utf-8")
        assert mail["Content-Transfer-Encoding"] == "base64"
        whole.add(mail)
    whole.close()
    return str(folder / "base64.mbox")


def attached(tree: Path, git: Git, folder: Path) -> str:
    (folder / "attached.mbox").write_text(written(tree, git, "--attach"))
    return str(folder / "attached.mbox")


def maildir(tree: Path, git: Git, folder: Path) -> str:
    """With a cover letter and a reply, delivered in no order."""
    (folder / "plain").write_text(written(tree, git, "--cover-letter"))
    box = mailbox.Maildir(folder / "maildir")
    for mail in reversed(list(mailbox.mbox(folder / "plain"))):
        box.add(mail)
    reply = email.message.Message()
    reply["Subject"] = "Re: [PATCH 2/3] kvm: Step 2"
    reply.set_payload("rather so:\n\n--- a/kvm.c\n+++ b/kvm.c\n@@ -1 +1 @@\n-a\n+b\n")
    box.add(reply)
    return str(folder / "maildir")


def a_folder(tree: Path, git: Git, folder: Path) -> str:
    git(tree, "format-patch", "-q", "--cover-letter", "-o", str(folder / "out"), "main..topic")
    return str(folder / "out")


def older_versions(tree: Path, git: Git, folder: Path) -> str:
    """A thread with v1 and v2 in it."""
    git(tree, "checkout", "-q", "-b", "old", "main")
    (tree / "kvm.c").write_text("int v1;\n")
    git(tree, "commit", "-qam", "kvm: The first try")
    first = git(tree, "format-patch", "-q", "--stdout", "-1", "old")
    git(tree, "checkout", "-q", "main")
    (folder / "thread.mbox").write_text(first + written(tree, git, "-v2"))
    return str(folder / "thread.mbox")


def quilt_folder(tree: Path, git: Git, folder: Path) -> str:
    """Bare diffs with a word above, in an order that is not the alphabet's."""
    patches = folder / "quilt" / "patches"
    patches.mkdir(parents=True)
    lines = ["# a stack", ""]
    for name, commit in (("zebra", "topic~2"), ("yak", "topic~1"), ("ape", "topic")):
        diff = git(tree, "diff", "--no-prefix", f"{commit}^", commit).replace("kvm.c", "new/kvm.c")
        diff = git(tree, "diff", f"{commit}^", commit)
        (patches / f"{name}.patch").write_text(f"Make it {name}.\n\n{diff}")
        lines.append(f"{name}.patch  # why")
    (patches / "series").write_text("\n".join(lines) + "\n")
    return str(folder / "quilt")


def a_range(tree: Path, git: Git, folder: Path) -> str:
    # A configuration that would make another patch of it.
    for key, value in (("diff.noprefix", "true"), ("format.attach", "x"), ("diff.context", "0"),
                       ("format.numbered", "false"), ("color.ui", "always")):  # fmt: skip
        git(tree, "config", key, value)
    return "main..topic"


def with_b4(tree: Path, git: Git, folder: Path) -> str:
    """`b4 am -m` on the mailbox of a thread."""
    thread = written(tree, git, "--thread", "--cover-letter", "--subject-prefix=PATCH v3")
    (folder / "thread.mbox").write_text(thread.replace("*** SUBJECT HERE ***", "kvm: Three steps"))
    message_id = str(email.message_from_string(thread)["Message-ID"]).strip("<>")
    (folder / "b4").mkdir()
    return str(b4.fetch(message_id, folder / "b4", mailbox=folder / "thread.mbox"))


FORMS = [a_file, base64_mail, attached, maildir, a_folder, older_versions, quilt_folder, a_range,
         with_b4]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_what_comes_in_is_what_git_would_apply(
    form: Callable[[Path, Git, Path], str],
    topic: Path,
    git: Git,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    state: State,
) -> None:
    offline(tmp_path, monkeypatch)
    (tmp_path / "in").mkdir()
    before = state(topic)
    taken = intake.take(form(topic, git, tmp_path / "in"), tree=topic)
    assert len(taken.patches) == 3
    assert result(topic, taken) == git(topic, "rev-parse", "topic^{tree}").strip()
    if form not in (quilt_folder, older_versions, a_range):
        assert taken.subjects == tuple(f"kvm: Step {n} über" for n in (1, 2, 3))
        assert state(topic) == before
        base = source.prepare(KernelSource(tree=str(topic), ref="main"), print)
        authors = git(base.tree.work, "log", "--format=%an", "-3").splitlines()
        assert authors == ["Dev", "Žofie Ünal", "Dev"]


def test_the_users_tree_is_not_touched(
    topic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    """From the request to the last build, by hash: files, index, refs, reflogs."""
    monkeypatch.chdir(topic)
    (topic / "core.c").write_text("an edit\n")
    (tmp_path / "kept.config").write_text("CONFIG_KEPT=y\n")
    before = state(topic)
    job = job_of("main..topic", Options(machines=("flat-tcg",)), each=True)
    assert job.tree == topic and [step.count for step in job.steps] == [0, 1, 2, 3]
    for step in job.steps:
        (kernel,) = step.kernels
        fragments = (str(tmp_path / "kept.config"),)
        build(kernel.model_copy(update={"fragments": fragments}), progress=lambda _: None)
    assert state(topic) == before


def offline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test leaves this machine, and b4 keeps its own things here."""
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, NOWHERE)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(folder / name))


def test_standard_input(topic: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.TextIOWrapper(io.BytesIO(written(topic, git).encode()))
    monkeypatch.setattr(sys, "stdin", data)
    taken = intake.take("-", tree=None)
    assert taken.name == "standard input" and len(taken.patches) == 3


def test_a_pipe(topic: Path, git: Git, tmp_path: Path) -> None:
    """As a shell gives it for <(git format-patch ...)."""
    plain = tmp_path / "plain"
    plain.write_text(written(topic, git))
    with subprocess.Popen(["cat", str(plain)], stdout=subprocess.PIPE) as cat:
        assert cat.stdout
        taken = intake.take(f"/dev/fd/{cat.stdout.fileno()}", tree=None)
    assert len(taken.patches) == 3


def test_one_patch_of_a_series_may_be_tried_alone(topic: Path, git: Git, tmp_path: Path) -> None:
    git(topic, "format-patch", "-q", "-o", str(tmp_path / "out"), "main..topic")
    taken = intake.take(str(sorted((tmp_path / "out").iterdir())[0]), tree=None)
    assert taken.notes == ("patch 1 of 3, alone",)


def test_a_commit_is_itself_and_a_branch_what_it_has_on_its_base(topic: Path, git: Git) -> None:
    one = intake.take("topic~1", tree=topic)
    assert one.subjects == ("kvm: Step 2 über",)
    assert one.start == git(topic, "rev-parse", "topic~2").strip()
    whole = intake.take("topic", tree=topic, base="main")
    assert len(whole.patches) == 3 and whole.start == git(topic, "rev-parse", "main").strip()
    git(topic, "branch", "-q", "--set-upstream-to=main", "topic")
    assert len(intake.take("topic", tree=topic).patches) == 3


def test_two_hundred_patches(tree: Path, git: Git, tmp_path: Path) -> None:
    for number in range(200):
        (tree / "kvm.c").write_text(f"int kvm_{number};\n")
        git(tree, "commit", "-qam", f"kvm: Number {number}")
    (tmp_path / "many.mbox").write_text(git(tree, "format-patch", "--stdout", "HEAD~200"))
    git(tree, "reset", "-q", "--hard", "HEAD~200")
    taken = intake.take(str(tmp_path / "many.mbox"), tree=None)
    assert len(taken.patches) == 200
    base = source.prepare(KernelSource(tree=str(tree)), print)
    commit = series.apply(base, series.patches([str(taken.folder)]))
    assert own_git(base.tree.work, "show", f"{commit}:kvm.c") == "int kvm_199;\n"


def test_the_base_commit_is_read_from_the_cover_letter_or_the_patch(
    topic: Path, git: Git, tmp_path: Path
) -> None:
    main = git(topic, "rev-parse", "main").strip()
    for cover in (["--cover-letter"], []):
        (tmp_path / "x.mbox").write_text(written(topic, git, "--base=main", *cover))
        assert intake.take(str(tmp_path / "x.mbox"), tree=None).base_commit == main


def test_what_a_series_builds_on_and_does_not_hold_is_told(
    topic: Path, git: Git, tmp_path: Path
) -> None:
    for first, words in ((0, []), (1, ["1 patch "]), (2, ["2 patches "])):
        span = f"topic~{3 - first}..topic"
        text = git(topic, "format-patch", "-q", "--stdout", "--base=main", span)
        (tmp_path / "x.mbox").write_text(text)
        notes = intake.take(str(tmp_path / "x.mbox"), tree=None).notes
        assert [note.partition("that")[0].removeprefix("it builds on ") for note in notes] == words


def test_the_same_patches_are_the_same_kernel(topic: Path, git: Git, tmp_path: Path) -> None:
    (tmp_path / "x.mbox").write_text(written(topic, git))
    first, again = (intake.take(str(tmp_path / "x.mbox"), tree=None) for _ in range(2))
    assert first.folder == again.folder
    assert find_series(first.folder.name) == first.folder
    assert len(list(kept.first(first, 2).glob("*.patch"))) == 2


def test_no_b4_and_no_network_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(tmp_path, monkeypatch)
    with pytest.raises(MachineError, match="x@localhost: b4 does not reach the archive"):
        intake.take("<x@localhost>", tree=None)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(MachineError, match="b4 is missing"):
        intake.take("x@localhost", tree=None)
