# SPDX-License-Identifier: GPL-2.0-only
"""Of the samples' kinds what no sample has: other archives, parts, characters, copies, orders."""

from __future__ import annotations

import base64
import bz2
import email.message
import gzip
import lzma
import mailbox
import quopri
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from email.mime.application import MIMEApplication
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path
from typing import Any

import pytest

from harness.base.errors import UsageError
from harness.base.paths import ROOT
from harness.kernel.intake import intake
from harness.kernel.intake.kept import PatchSeries

Apply = Callable[[PatchSeries], Any]
SAMPLES = ROOT / "tests/data/field/samples"
THREAD = gzip.decompress((SAMPLES / "thread.mbox.gz").read_bytes()).decode()
FIRST = THREAD[: THREAD.index("From mboxrd", 1)].partition("\n")[2]
HEADERS, _, BODY = FIRST.partition("\n\n")
DIFF = BODY[BODY.index("diff --git") : BODY.index("-- \n")]
ONE, TWO = "line 10 changed", "line 25 changed"


def mail(subject: str = "[PATCH] KVM: one", body: str = BODY, **more: str) -> str:
    """A mail of a mailbox."""
    lines = [f"{key.replace('_', '-')}: {value}" for key, value in more.items()]
    head = "\n".join(["From: D <d@localhost>", f"Subject: {subject}", *lines])
    return f"From mboxrd@z Thu Jan  1 00:00:00 1970\n{head}\n\n{body}\n"


SECOND = THREAD[THREAD.index("From mboxrd", 1) :].partition("\n")[2]
BODY_TWO = SECOND.partition("\n\n")[2]


def write(folder: Path, text: str | bytes, name: str = "x.mbx") -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def refused(given: str) -> str:
    with pytest.raises(UsageError) as error:
        intake.take(given, tree=None)
    assert str(error.value).isprintable()
    return str(error.value)


# --- what a file is ---


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
def test_packed(pack: Callable[[bytes], bytes], tmp_path: Path, applied: Apply) -> None:
    assert applied(intake.take(write(tmp_path, pack(THREAD.encode())), tree=None)).lines() == [
        ONE,
        TWO,
    ]
    cut = pack(THREAD.encode())[:-20]
    assert "file is damaged or cut short" in refused(write(tmp_path, cut))


def test_what_is_no_text_is_named(tmp_path: Path, field_tree: Path) -> None:
    bundle = tmp_path / "x.bundle"
    command = ["git", "-C", str(field_tree), "bundle", "create", "-q", str(bundle), "main"]
    subprocess.run(command, check=True)
    assert "is a git bundle: git fetch it into the tree" in refused(str(bundle))
    patch = write(tmp_path, FIRST, "0001.patch")
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        tar.add(patch, "0001.patch")
    assert "is a tar archive: unpack it" in refused(str(tmp_path / "x.tar.gz"))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(patch, "0001.patch")
    assert "is a zip archive: unpack it" in refused(str(tmp_path / "x.zip"))
    for codec in ("utf-16", "utf-16-le", "utf-16-be"):
        said = refused(write(tmp_path, FIRST.encode(codec), f"{codec}.patch"))
        assert "is UTF-16 text: iconv -f UTF-16 -t UTF-8 it" in said
    page = "<!DOCTYPE html>\n<html><pre>" + DIFF
    assert "is a web page: save the mail itself" in refused(write(tmp_path, page, "x.html"))


def test_a_file_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.kernel.intake.mail.unpack.LIMIT", 1 << 20)
    assert "/dev/zero is larger than 1 MiB" in refused("/dev/zero")


@pytest.mark.parametrize("name", ["~nobody-has-this-name/x", "x" * 5000, "x\0y"])
def test_names_that_no_file_can_have(name: str) -> None:
    assert "no such file or folder" in refused(name)


# --- parts ---


def multipart(*parts: email.message.Message, subject: str = "KVM fix attached") -> bytes:
    whole = MIMEMultipart("mixed")
    whole["From"] = "Sender <s@localhost>"
    whole["Subject"] = subject
    for part in parts:
        whole.attach(part)
    return whole.as_bytes()


def attachment(text: str, name: str, kind: str = "x-patch") -> email.message.Message:
    part = MIMEText(text, kind, "utf-8")
    part.add_header("Content-Disposition", "attachment", filename=name)
    return part


def test_a_bare_diff_attached_is_the_mails(tmp_path: Path, applied: Apply) -> None:
    """As git format-patch --attach has it, and as a webmail does: author and words of the mail."""
    said = MIMEText("Because.\n\nSigned-off-by: S <s@localhost>\n")
    data = multipart(said, attachment(DIFF, "fix.diff", "plain"), subject="[PATCH] KVM: fix")
    made = applied(intake.take(write(tmp_path, data), tree=None))
    assert made.lines() == [ONE]
    assert made.log("%an|%s|%b")[:1] == ["Sender|KVM: fix|Because."]


def test_attachments_that_are_no_patches_are_not_looked_at(tmp_path: Path, applied: Apply) -> None:
    log = attachment("--- cut here ---\n+++ no diff\nOops: 1\n", "dmesg.txt", "plain")
    config = MIMEApplication(gzip.compress(b"CONFIG_X=y\n"), "gzip")
    config.add_header("Content-Disposition", "attachment", filename="config.gz")
    picture = MIMEApplication(bytes(range(256)), "octet-stream")
    picture.add_header("Content-Disposition", "attachment", filename="x.png")
    patch = attachment(FIRST, "0001-one.patch")
    data = multipart(MIMEText("Hi.\n"), log, config, picture, patch)
    assert applied(intake.take(write(tmp_path, data), tree=None)).lines() == [ONE]


def test_a_packed_attachment(tmp_path: Path, applied: Apply) -> None:
    part = MIMEApplication(gzip.compress(FIRST.encode()), "gzip")
    part.add_header("Content-Disposition", "attachment", filename="0001-one.patch.gz")
    data = multipart(MIMEText("Hi.\n"), part)
    assert applied(intake.take(write(tmp_path, data), tree=None)).lines() == [ONE]


def test_a_mail_forwarded_as_a_mail(tmp_path: Path, applied: Apply) -> None:
    inner = email.message_from_string(FIRST.replace("D <d@", "Author <a@"))
    data = multipart(MIMEText("See below.\n"), MIMEMessage(inner), subject="Fwd: [PATCH] KVM: one")
    taken = intake.take(write(tmp_path, data), tree=None)
    assert applied(taken).log("%an") == ["Author"]


def test_pasted_and_attached_is_one(tmp_path: Path, applied: Apply) -> None:
    data = multipart(MIMEText(BODY), attachment(DIFF, "x.patch"), subject="[PATCH] KVM: one")
    taken = intake.take(write(tmp_path, data), tree=None)
    assert len(taken.patches) == 1 and applied(taken).lines() == [ONE]


def test_html_alone_is_said(tmp_path: Path) -> None:
    data = multipart(MIMEText(f"<pre>{DIFF}</pre>", "html"))
    assert "no patch in it (1 mail): HTML is not read" in refused(write(tmp_path, data))


def test_flowed(tmp_path: Path, applied: Apply) -> None:
    """RFC 3676: a mailer has put a space in front of each line that began with one."""
    body = "".join(f" {line}" if line[:1] == " " else line for line in BODY.splitlines(True))
    text = mail(body=body, Content_Type="text/plain; charset=utf-8; format=flowed")
    assert applied(intake.take(write(tmp_path, text), tree=None)).lines() == [ONE]


@pytest.mark.parametrize("way", ["quoted-printable", "base64"])
def test_encodings_of_mails(way: str, tmp_path: Path, applied: Apply) -> None:
    raw = BODY.replace("changed\n line 11", "größer = 1\n line 11").encode()
    raw = raw.replace(b"\n", b"\r\n")
    data = quopri.encodestring(raw) if way != "base64" else base64.encodebytes(raw)
    more = {"Content_Type": "text/plain; charset=utf-8", "Content_Transfer_Encoding": way}
    taken = intake.take(write(tmp_path, mail(body=data.decode(), **more)), tree=None)
    assert applied(taken).lines() == ["line 10 größer = 1"]


# --- characters ---

ODD = BODY.replace("Why it is so.", "Größe").replace("10 changed", "10 größer")


@pytest.mark.parametrize(
    ("codec", "label"),
    [
        ("utf-8", ""), ("utf-8", "utf-8"), ("utf-8", "us-ascii"), ("utf-8", "iso-8859-1"),
        ("latin-1", "iso-8859-1"), ("cp1252", "windows-1252"), ("gb18030", "gb18030"),
        ("utf-8", "unicode_escape"), ("utf-8", "x-unknown"), ("utf-8", "base64"),
    ],
)  # fmt: skip
def test_characters_are_what_their_bytes_are(
    codec: str, label: str, tmp_path: Path, applied: Apply
) -> None:
    more = {"Content_Type": f"text/plain; charset={label}"} if label else {}
    data = mail(body="@@@", **more).encode().replace(b"@@@", ODD.encode(codec))
    made = applied(intake.take(write(tmp_path, data), tree=None))
    assert made.lines() == ["line 10 größer"]
    assert "Größe" in made.log("%b")


def test_bytes_of_no_charset_stay_in_a_diff(tmp_path: Path, applied: Apply) -> None:
    """A file of the tree is Latin-1, and git format-patch gives its bytes as they are."""
    diff = (
        "diff --git a/Documentation/latin1.txt b/Documentation/latin1.txt\n"
        "--- a/Documentation/latin1.txt\n+++ b/Documentation/latin1.txt\n@@ -1,4 +1,4 @@\n"
        " caf\xe9\n line two\n-line three\n+line 3\n line four\n"
    )
    data = mail(body=f"caf\xe9\n---\n{diff}").encode("latin-1")
    made = applied(intake.take(write(tmp_path, data), tree=None))
    assert made.lines() == ["line 3"] and made.log("%b")[0] == "café"


def test_lines_that_end_in_cr_lf_in_the_file(tmp_path: Path, applied: Apply) -> None:
    diff = (
        "diff --git a/Documentation/dos.txt b/Documentation/dos.txt\n"
        "--- a/Documentation/dos.txt\n+++ b/Documentation/dos.txt\n@@ -1,3 +1,3 @@\n"
        " one\r\n-two\r\n+zwei\r\n three\r\n"
    )
    made = applied(intake.take(write(tmp_path, mail(body=f"x\n---\n{diff}")), tree=None))
    assert made.git("show", f"{made.commit}:Documentation/dos.txt").startswith("one\r\nzwei\r\n")


def test_names_and_subjects(tmp_path: Path, applied: Apply) -> None:
    head = (
        "From: =?utf-8?q?=C3=9Cnal=2C_=C5=BDofie?= <z@localhost>\n"
        "Subject: [PATCH] =?iso-8859-1?q?KVM=3A_gr=F6?=\n =?iso-8859-1?q?=DFer?= and more\n"
    )
    made = applied(intake.take(write(tmp_path, f"{head}\n{BODY}"), tree=None))
    assert made.log("%an|%ae|%s") == ["Ünal, Žofie|z@localhost|KVM: größer and more"]
    raw = b"From: \xdcnal <z@localhost>\nSubject: [PATCH] gr\xf6\xdfer\n\n" + BODY.encode()
    made = applied(intake.take(write(tmp_path, raw), tree=None))
    assert made.log("%an|%s") == ["Ünal|größer"]


def test_a_sender_in_the_text(tmp_path: Path, applied: Apply) -> None:
    body = f"From: Author <a@localhost>\nSubject: [PATCH v2 1/3] KVM: rather this\n\n{BODY}"
    taken = intake.take(write(tmp_path, mail("[PATCH] KVM: one", body)), tree=None)
    assert taken.subjects == ("KVM: rather this",)
    assert applied(taken).log("%an|%s") == ["Author|KVM: rather this"]


def test_senders_and_dates_that_are_none(tmp_path: Path, applied: Apply) -> None:
    for head in ("From: \n", "From: nobody\n", "From: <@>\n", 'From: "\n', ""):
        for date in ("", "Date: never\n", "Date: Thu, 99 Sep 99999 25:61:61 +9999\n"):
            text = f"{head}{date}Subject: [PATCH] KVM: one\n\n{BODY}"
            assert applied(intake.take(write(tmp_path, text), tree=None)).lines() == [ONE]


def test_what_mboxrd_escapes(tmp_path: Path, applied: Apply) -> None:
    text = mail(body=f">From the manual:\n>>From x\n\n{BODY}")
    for sender, lines in (
        ("mboxrd@z", ["From the manual:", ">From x"]),
        ("git@z", [">From the manual:", ">>From x"]),
    ):
        given = write(tmp_path, text.replace("mboxrd@z", sender))
        assert applied(intake.take(given, tree=None)).log("%b")[:2] == lines


def test_a_from_line_in_a_message_begins_no_mail(tmp_path: Path, applied: Apply) -> None:
    line = "From me@localhost Thu Jan  1 00:00:00 1970"
    for text in (
        mail(body=f"It said:\n\n>{line}\nX: y\n\n{BODY}"),  # escaped as mboxrd has it
        mail(body=base64.encodebytes(f"It said:\n\n{line}\nX: y\n\n{BODY}".encode()).decode(),
             Content_Transfer_Encoding="base64"),
    ):  # fmt: skip
        made = applied(intake.take(write(tmp_path, text), tree=None))
        assert made.lines() == [ONE] and f">{line}" in made.log("%b")


# --- which mails, in what order ---


def series_of(*mails: str) -> str:
    return "".join(mails)


def test_what_was_sent_again(tmp_path: Path, applied: Apply) -> None:
    better = BODY.replace("10 changed", "10 better")
    text = series_of(mail("[PATCH 1/2] KVM: one"), mail("[PATCH 2/2] KVM: two", BODY_TWO),
                     mail("[PATCH RESEND 1/2] KVM: one", better))  # fmt: skip
    taken = intake.take(write(tmp_path, text), tree=None)
    assert applied(taken).lines() == ["line 10 better", TWO]
    assert any("left out, for it was sent again (RESEND)" in note for note in taken.notes)


@pytest.mark.parametrize("answers", ["", "<a1@x>", "<c3@x>"])
def test_a_part_sent_again_answers_its_own_patch_or_nothing(
    answers: str, tmp_path: Path, applied: Apply
) -> None:
    better = BODY.replace("10 changed", "10 better")
    more = {"In_Reply_To": answers} if answers else {}
    text = series_of(
        mail("[PATCH v2 1/2] KVM: one", Message_ID="<a1@x>"),
        mail("[PATCH v2 2/2] KVM: two", BODY_TWO, Message_ID="<a2@x>"),
        mail("[PATCH v3 1/2] KVM: one", better, Message_ID="<b1@x>", **more),
    )
    made = applied(intake.take(write(tmp_path, text), tree=None))
    assert made.lines() == ["line 10 better", TWO]


@pytest.mark.parametrize(
    "more",
    [
        mail("[PATCH v3 1/2] KVM: one", In_Reply_To="<a2@x>"),
        mail("[PATCH v3 0/2] KVM: cover", "Words.\n") + mail("[PATCH v3 1/2] KVM: one"),
        mail("[PATCH v3 1/3] KVM: one"),
    ],
)
def test_a_new_version_with_a_hole_is_no_part(more: str, tmp_path: Path) -> None:
    text = series_of(mail("[PATCH v2 1/2] KVM: one", Message_ID="<a1@x>"),
                     mail("[PATCH v2 2/2] KVM: two", BODY_TWO, Message_ID="<a2@x>"))  # fmt: skip
    assert "missing" in refused(write(tmp_path, text + more))


def test_versions_of_stable_branches_are_none(tmp_path: Path) -> None:
    text = series_of(mail("[PATCH v6.1 1/2] KVM: one"), mail("[PATCH v6.1 2/2] KVM: two", BODY_TWO))
    assert len(intake.take(write(tmp_path, text), tree=None).patches) == 2
    text += series_of(mail("[PATCH v6.6 1/2] KVM: one"), mail("[PATCH v6.6 2/2] KVM: t", BODY_TWO))
    assert "more than one series in it (for v6.1; for v6.6): give one" in refused(
        write(tmp_path, text)
    )


def test_one_more_than_there_are(tmp_path: Path, applied: Apply) -> None:
    text = series_of(mail("[PATCH 1/1] KVM: one"), mail("[PATCH 2/1] KVM: two", BODY_TWO))
    taken = intake.take(write(tmp_path, text), tree=None)
    assert taken.notes == ("2/1 stands at the end",) and applied(taken).lines() == [ONE, TWO]


def test_a_diff_in_the_cover_letter(tmp_path: Path, applied: Apply) -> None:
    cover = mail("[PATCH 0/1] KVM: cover", BODY_TWO)
    given = write(tmp_path, cover + mail("[PATCH 1/1] KVM: one"))
    taken = intake.take(given, tree=None)
    assert applied(taken).lines() == [ONE]
    assert taken.notes[0].endswith(f"a cover letter; to try it, give {given}#1")
    assert applied(intake.take(f"{given}#1", tree=None)).lines() == [TWO]


def test_the_base_is_that_of_the_version_that_is_taken(tmp_path: Path) -> None:
    old, new = "1" * 40, "2" * 40
    text = series_of(mail("[PATCH 0/1] KVM: cover", f"x\n\nbase-commit: {old}\n"),
                     mail("[PATCH 1/1] KVM: one"),
                     mail("[PATCH v2 1/1] KVM: one", f"{BODY}\nbase-commit: {new}\n"))  # fmt: skip
    assert intake.take(write(tmp_path, text), tree=None).base_commit == new


def test_two_replies_with_diffs(tmp_path: Path, applied: Apply) -> None:
    given = write(tmp_path, mail("Re: [BUG] x") + mail("Re: [BUG] x", BODY_TWO))
    said = refused(given)
    assert f"2 replies with a diff and no patch: take one, the first: give {given}#1" in said
    assert applied(intake.take(f"{given}#2", tree=None)).lines() == [TWO]


def test_below_scissors(tmp_path: Path, applied: Apply) -> None:
    body = f"On Thu, X wrote:\n> no\n\nSo?\n\n-- >8 --\nSubject: [PATCH] KVM: fix\n\n{BODY}"
    taken = intake.take(write(tmp_path, mail("Re: [BUG] x", body)), tree=None)
    assert taken.subjects == ("KVM: fix",)
    assert applied(taken).log("%s|%b")[0] == "KVM: fix|Why it is so."


def test_a_thread_with_replies_in_which_the_patch_is_quoted_whole(
    tmp_path: Path, applied: Apply
) -> None:
    quoted = "".join(f"> {line}" for line in BODY.splitlines(True)) + "\nAcked-by: X <x@y>\n"
    text = THREAD + mail("Re: [PATCH 1/2] KVM: one", quoted)
    taken = intake.take(write(tmp_path, text), tree=None)
    assert taken.notes == () and applied(taken).lines() == [ONE, TWO]


# --- folders ---


def test_an_mh_folder_in_its_order(tmp_path: Path, applied: Apply) -> None:
    box = mailbox.MH(tmp_path / "mh")
    for number in range(1, 11):
        box.add(email.message_from_string(f"Subject: [PATCH {number}/10] x\n\n{BODY}".replace(
            "10 changed", f"10 r{number}").replace("-line 10", f"-line 10 r{number - 1}"
            if number > 1 else "-line 10")))  # fmt: skip
    taken = intake.take(str(tmp_path / "mh"), tree=None)
    assert len(taken.patches) == 10 and applied(taken).lines() == ["line 10 r10"]


def test_files_with_other_names_of_patches(tmp_path: Path, applied: Apply) -> None:
    write(tmp_path, gzip.compress(mail("[PATCH 2/2] KVM: two", BODY_TWO).encode()), "b.patch.gz")
    write(tmp_path, mail("[PATCH 1/2] KVM: one"), "a.patch.txt")
    for name in ("a.patch.orig", "a.patch~", ".a.patch", "README.txt"):
        write(tmp_path, "not a patch\n", name)
    assert applied(intake.take(str(tmp_path), tree=None)).lines() == [ONE, TWO]


def test_a_file_name_of_a_thousand_digits_and_a_strange_one(tmp_path: Path) -> None:
    write(tmp_path, "words\n", f"{'9' * 200}.patch")
    write(tmp_path, "words\n", "new\nline.patch")
    assert "no patch in it" in refused(str(tmp_path))


# --- diffs ---


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


# --- git log ---


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
