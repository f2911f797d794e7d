# SPDX-License-Identifier: GPL-2.0-only
"""A mail's message to patches: its own, those attached to it, those pasted into it."""

from __future__ import annotations

import email
import email.utils
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from email.message import Message

from harness.base.errors import UsageError
from harness.base.text import clean
from harness.kernel.intake.mail import diff, mime, split, subject
from harness.kernel.intake.mail.subject import Subject
from harness.kernel.intake.mail.unpack import named, unpacked
from harness.kernel.intake.taken import Patch

_BASE = re.compile(r"^base-commit: ([0-9a-f]{7,64})\s*$", re.MULTILINE)
_NEEDED = re.compile(r"^prerequisite-patch-id: [0-9a-f]{40,64}\s*$", re.MULTILINE)
_STAT = re.compile(r"^ \d+ files? changed", re.MULTILINE)
_ID = re.compile(r"<([^<>\s]+)>")
_ADDRESS = re.compile(r"[^\s<>@]+@[^\s<>@]+")
_IN_BODY = re.compile(r"(From|Subject|Date): ?(.*)")
# git-mailinfo: what is above such a line is no part of the patch.
_SCISSORS = re.compile(r"^[-\s]*(?:>8|8<|>%|%<)[-\s<>8%]*$", re.MULTILINE)
_MAY_HOLD_DIFF = re.compile(rb"^(?:diff |--- |Index: )", re.MULTILINE)
_DIFF_HEADER = re.compile(r"^(?:diff --git |--- |\+\+\+ ).*?(\r?)$", re.MULTILINE)
# Where git mailsplit would begin another mail.
_BEGINS_MAIL = re.compile(r"^From .*\d:\d\d.*\d{4}", re.MULTILINE)
_NO_DATE = "Thu, 1 Jan 1970 00:00:00 +0000"
_YEARS = range(1970, 2100)  # what git takes


@dataclass(frozen=True)
class Head:
    """Who wrote a patch, when, and what it is called."""

    author: str = "s2eval"
    address: str = "s2eval@localhost"
    date: str = _NO_DATE
    subject: str = ""


@dataclass(frozen=True)
class Mail(Patch):
    """One mail, or one patch of it. `about` is what the subject says.

    `text` and `diff`, which is only its diffs, are empty for a mail without a patch. `place` is
    what names the mail alone on a command line, "" when nothing does. `needs` is how many patches
    must come before the series, as the mail says (git format-patch --base). `reply`: the patch
    stands in a reply. `html` and `stat`: it has an HTML part, a diffstat.
    """

    about: Subject = field(default_factory=Subject)
    diff: str = ""
    place: str = ""
    message_id: str = ""
    parent: str = ""
    base_commit: str = ""
    needs: int = 0
    reply: bool = False
    html: bool = False
    stat: bool = False
    notes: tuple[str, ...] = ()

    @property
    def cover(self) -> bool:
        """Return whether it is a cover letter."""
        return not self.text and self.about.total > 0 and not any(self.about.number)


def read_message(data: bytes, source: str, place: str) -> list[Mail]:
    """Return what one mail holds. Raise UsageError for what cannot be decoded."""
    try:
        return _mails(email.message_from_bytes(data), source, place, Head(), reply=False, depth=0)
    except UsageError:
        raise
    except Exception as error:  # the email package fails in many ways on what is no mail
        raise UsageError(f"{source}: no mail that can be read ({clean(str(error), 80)})") from None


def _mails(
    message: Message, source: str, place: str, outer: Head, *, reply: bool, depth: int
) -> list[Mail]:
    """The mail itself, with its diff or without, then what is attached to it or pasted into it."""
    if depth > 5:
        raise UsageError(f"{source}: mails within mails, more than 5 deep")
    head = _head(message, outer)
    about = subject.parse(head.subject)
    reply = reply or about.reply
    if head.subject:
        source += f"{', in it' if depth else ''} '{clean(head.subject, 60)}'"
    parts = mime.parts(message, source)
    whole = _lf("\n".join(parts.texts))
    pasted = split.FORMAT_PATCH.split(whole)
    body = pasted[0]
    if reply and (scissors := _SCISSORS.search(body)) and diff.find(body[scissors.end() :]).files:
        body = body[scissors.end() :]
    inside: list[Mail] = []
    for text in pasted[1:]:
        inner = email.message_from_bytes(_bytes(text.lstrip("\n")))
        inside += _mails(inner, source, place, head, reply=reply, depth=depth + 1)
    for inner in parts.mails:
        inside += _mails(inner, source, place, head, reply=reply, depth=depth + 1)
    bare, mails = _attached(parts.attachments, source, place, head, reply=reply, depth=depth)
    inside += mails
    if len(bare) == 1 and not diff.find(body).files:
        # git format-patch --attach: the message is the mail, the diff is attached.
        body, bare = f"{body.rstrip()}\n---\n{bare[0][1]}" if body.strip() else bare[0][1], []
    # The number of a reply's subject is that of the patch it answers.
    own = replace(
        patch(head, body, source, replace(about, number=(0, 0), total=0) if about.reply else about),
        place=place,
        message_id=_id(message, "Message-ID"),
        parent=_id(message, "In-Reply-To"),
        reply=reply,
        html=parts.html,
    )
    own = replace(own, notes=(*(f"{source}: {note}" for note in parts.notes), *own.notes))
    for name, text in bare:
        one = patch(replace(head, subject=name or head.subject), text, f"{source}, {name}")
        inside.append(replace(one, place=place, reply=reply))
    return [own, *(mail for mail in inside if not mail.text or mail.diff != own.diff)]


def _attached(
    attachments: Iterable[mime.Attachment],
    source: str,
    place: str,
    outer: Head,
    *,
    reply: bool,
    depth: int,
) -> tuple[list[tuple[str, str]], list[Mail]]:
    """Diffs without a mail around them, with their names, and mails."""
    bare: list[tuple[str, str]] = []
    mails: list[Mail] = []
    for one in attachments:
        place_of = f"{source}, {one.name or 'attachment'}"
        is_patch = one.name.lower().removesuffix(".gz").endswith(mime.MAILS)
        if not is_patch and (named(one.data) or not _MAY_HOLD_DIFF.search(one.data)):
            continue
        data = split.lf(unpacked(one.data, place_of)) if one.data.strip() else b""
        if not _MAY_HOLD_DIFF.search(data):
            continue
        if split.is_mail(data):
            for raw in split.messages(data):
                inner = email.message_from_bytes(raw)
                mails += _mails(inner, place_of, place, outer, reply=reply, depth=depth + 1)
            continue
        text = _lf(mime.characters(data, one.charset, place_of)[0])
        if diff.find(text).files:
            bare.append((one.name, text))
    return bare, mails


def patch(head: Head, body: str, source: str, about: Subject | None = None) -> Mail:
    """Return a mail with this text; its `text` is empty when there is no diff in `body`.

    `about` is what its subject says, when that is not the one of a mail. Raise UsageError for a
    patch that cannot be applied anywhere.
    """
    found = diff.find(body)
    about = about or subject.parse(head.subject)
    title = _in_body(body).get("Subject", "")
    base = _BASE.search(body)
    mail = Mail(
        subject=clean(subject.parse(mime.decoded(title)).title if title else about.title),
        text="",
        source=source,
        about=about,
        base_commit=base[1] if base else "",
        needs=len(_NEEDED.findall(body)),
        stat=bool(_STAT.search(body)),
    )
    if found.merge:
        diff.check(found, source)
    if not found.files:
        return mail
    notes = []
    if diff.with_prefixes(found):
        notes.append(f"{source}: made without a/ and b/ (diff.noprefix): they were added")
    if found.dashes_after_first:
        notes.append(f"{source}: a diff stands in its message, above ---: it is applied, too,"
                     " as git am does")  # fmt: skip
    diff.check(found, source)
    text = _text(head, about.title, found)
    if "\0" in text:
        raise UsageError(f"{source}: a NUL byte in it: git am takes none")
    return replace(mail, text=text, diff=found.content(), notes=tuple(notes))


def _text(head: Head, title: str, found: diff.Diffs) -> str:
    """The patch as a mail of git format-patch, in UTF-8; the diffs as they are, to the last one."""
    above = found.lines[: found.start]
    cut = next((n for n, line in enumerate(above) if line.rstrip() == "---"), found.start)
    message = "\n".join(_readable(line) for line in above[:cut]).strip()
    message = _BEGINS_MAIL.sub(r">\g<0>", message)
    rest = found.lines[cut : found.end]
    dashes = [] if rest[0].rstrip() == "---" else ["---"]
    return (
        "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n"
        f"From: {head.author} <{head.address}>\nDate: {head.date}\n"
        f"Subject: [PATCH] {title or 'no subject'}\n"
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n"
        f"Content-Transfer-Encoding: 8bit\n\n{message}\n\n" + "\n".join([*dashes, *rest]) + "\n"
    )


def _readable(line: str) -> str:
    """A line of a message as git-mailinfo guesses it: UTF-8, otherwise Latin-1."""
    try:
        line.encode()
    except UnicodeEncodeError:
        return _bytes(line).decode("latin-1")
    return line


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogateescape")


def _lf(text: str) -> str:
    """LF line ends; a CR stays where only what stands in a diff's hunks has one."""
    if "\r" not in text:
        return text
    headers = _DIFF_HEADER.findall(text)
    return text if headers and not any(headers) else text.replace("\r\n", "\n")


def _head(message: Message, outer: Head) -> Head:
    title = mime.header(message, "Subject")
    date = _date(mime.header(message, "Date"), outer.date)
    # Taken apart before it is decoded: a name may have a comma in it, encoded.
    sender = " ".join(mime.raw_header(message, "From").split())
    author, address = email.utils.parseaddr(sender)
    if not _ADDRESS.fullmatch(address):
        author, _, address = sender.rpartition("<")
    found = _ADDRESS.search(address)
    if not found:
        return replace(outer, subject=title, date=date)
    name = re.sub(r"[<>\x00-\x1f\x7f\"]", "", mime.decoded(author)).strip()
    return Head(name or found[0], mime.decoded(found[0]), date, title)


def _date(text: str, default: str) -> str:
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return default
    return email.utils.format_datetime(date) if date.year in _YEARS else default


def _id(message: Message, name: str) -> str:
    match = _ID.search(mime.header(message, name))
    return match[1] if match else ""


def _in_body(body: str) -> dict[str, str]:
    """The headers at the start of a mail's text, which git am prefers to those of the mail."""
    found: dict[str, str] = {}
    for line in body.strip("\n").split("\n"):
        match = _IN_BODY.fullmatch(line)
        if not match:
            break
        found[match[1]] = match[2]
    return found
