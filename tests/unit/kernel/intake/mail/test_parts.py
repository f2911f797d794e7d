# SPDX-License-Identifier: GPL-2.0-only
"""Parts of mails, encodings and characters: what is read, and as what."""

from __future__ import annotations

import base64
import email.message
import gzip
import quopri
from email.mime.application import MIMEApplication
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path

import pytest

from harness.kernel.intake import intake
from tests.unit.kernel.intake.mail.mails import BODY, DIFF, FIRST, ONE, Apply, mail, refused, write


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


def test_a_mail_that_is_a_patch_by_its_type(tmp_path: Path, applied: Apply) -> None:
    text = mail("[PATCH] KVM: one", Content_Type="text/x-patch; charset=utf-8")
    made = applied(intake.take(write(tmp_path, text), tree=None))
    assert made.lines() == [ONE] and made.log("%b")[0] == "Why it is so."


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
