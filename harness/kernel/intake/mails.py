# SPDX-License-Identifier: GPL-2.0-only
"""Mails to patches: git takes mailboxes apart and decodes them, this puts the series in order."""

from __future__ import annotations

import codecs
import email
import email.header
import email.message
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import UsageError
from harness.base.text import clean
from harness.kernel.git import GitError, git, run

# Content-Transfer-Encoding: what RFC 2045 has; git takes anything else as it comes.
_ENCODINGS = {"", "7bit", "8bit", "binary", "quoted-printable", "base64"}
_BRACKETS = re.compile(r"^\s*((?:\[[^\]]*\]\s*)+)")
_REPLY = re.compile(r"^\s*(re|aw|sv|fwd?)\s*:", re.IGNORECASE)
_DIFF = re.compile(r"^(?:diff --git |--- \S.*\n\+\+\+ \S|GIT binary patch|Binary files )", re.M)
_BASE = re.compile(r"^base-commit: ([0-9a-f]{7,64})\s*$", re.MULTILINE)
_NEEDED = re.compile(r"^prerequisite-patch-id: [0-9a-f]{40,64}\s*$", re.MULTILINE)
_HEADER = re.compile(rb"\A(?:From |[A-Za-z][A-Za-z-]*:[ \t])")


@dataclass(frozen=True)
class Mail:
    """One mail. `number` of `total` and `version` are those of its subject, 0 without any.

    `text` is the whole patch as `git am` takes it, in UTF-8; empty for a mail without a patch.
    `source` says where the mail came from, for messages. `needs` is how many patches must come
    before the series, as the mail says (git format-patch --base).
    """

    subject: str
    number: int
    total: int
    version: int
    text: str
    source: str
    base_commit: str = ""
    needs: int = 0
    cover: bool = False


def read_mails(path: Path, source: str) -> list[Mail]:
    """Return the mails of a mailbox, a maildir, a single mail or a bare diff, without replies.

    `source` names the input in messages. Raise UsageError for what cannot be decoded.
    """
    if path.is_file():
        data = path.read_bytes()
        if not data.strip():
            raise UsageError(f"{source} is empty")
        if not _HEADER.match(data.lstrip()):
            return [_bare(data, source)]
    with tempfile.TemporaryDirectory(prefix="s2eval-mails-") as scratch:
        folder = Path(scratch)
        try:
            git(folder, "mailsplit", "-b", f"-o{folder}", "--", str(path.resolve()))
        except GitError as error:
            raise UsageError(f"{source}: not a mailbox: {error}") from None
        files = sorted(p for p in folder.iterdir() if p.name.isdigit())
        many = len(files) > 1
        parsed = (
            _mail(p, f"{source}, mail {n}" if many else source) for n, p in enumerate(files, 1)
        )
        return [mail for mail in parsed if mail is not None]


def in_order(mails: Sequence[Mail], source: str) -> tuple[list[Mail], list[str]]:
    """Return the patches of the one series among `mails`, and what was left out, a line each.

    Raise UsageError: no patch, a hole (it is named), two series.
    """
    patches = [mail for mail in mails if mail.text]
    if not patches:
        count = "1 mail" if len(mails) == 1 else f"{len(mails)} mails"
        raise UsageError(f"{source}: no patch in it ({count})")
    notes = []
    newest = max(mail.version for mail in patches)
    older = sorted({mail.version for mail in patches} - {newest})
    if older:
        notes.append(f"v{newest} is taken; left out: {', '.join(f'v{v or 1}' for v in older)}")
        patches = [mail for mail in patches if mail.version == newest]
    numbered = [mail for mail in patches if mail.total]
    if not numbered:
        return patches, notes
    totals = sorted({mail.total for mail in numbered})
    if len(totals) > 1 or len(numbered) != len(patches):
        kinds = [f"n/{total}" for total in totals]
        kinds += ["patches without a number"] if len(numbered) != len(patches) else []
        raise UsageError(f"{source}: more than one series in it ({', '.join(kinds)}): give one")
    return _numbered(numbered, totals[0], source), notes


def _numbered(mails: Iterable[Mail], total: int, source: str) -> list[Mail]:
    """The mails in the order of their numbers; the same mail twice counts once."""
    by_number: dict[int, Mail] = {}
    for mail in mails:
        other = by_number.setdefault(mail.number, mail)
        if _diff_of(other) != _diff_of(mail):
            raise UsageError(f"{source}: two different patches are {mail.number}/{total}")
    missing = [f"{n}/{total}" for n in range(1, total + 1) if n not in by_number]
    if missing:
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        verb = "is" if len(missing) == 1 else "are"
        raise UsageError(f"{source}: {', '.join(missing[:4])}{more} {verb} missing")
    return [by_number[n] for n in sorted(by_number) if n]


def _diff_of(mail: Mail) -> str:
    diff = _DIFF.search(mail.text)
    return mail.text[diff.start() :] if diff else ""


def _mail(path: Path, source: str) -> Mail | None:
    """One mail decoded by git; None for a reply, whose diff is a remark."""
    data = path.read_bytes()
    message = email.message_from_bytes(data)
    subject = _decoded(message.get("Subject", ""))
    if _REPLY.match(subject):
        return None
    source = f"{source} '{clean(subject, 60)}'" if subject else source
    _check_encodings(message, source)
    log, patch = path.with_suffix(".msg"), path.with_suffix(".patch")
    command = ["mailinfo", "-b", "--encoding=UTF-8", "--quoted-cr=strip", str(log), str(patch)]
    done = run(path.parent, *command, stdin=data)
    if done.returncode:
        complaints = done.stderr.strip().splitlines() or ["not a mail"]
        raise UsageError(f"{source}: {clean(complaints[-1])}")
    info = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    text, diff = _text(log), _text(patch)
    number, total, version = numbers(subject)
    base = _BASE.search(text) or _BASE.search(diff)
    has_diff = bool(_DIFF.search(diff))
    return Mail(
        subject=clean(_title(info.get("Subject", subject))),
        number=number,
        total=total,
        version=version,
        text=_patch(info, text, diff) if has_diff else "",
        source=source,
        base_commit=base[1] if base else "",
        needs=len(_NEEDED.findall(text) or _NEEDED.findall(diff)),
        cover=not has_diff and total > 0 and number == 0,
    )


def numbers(subject: str) -> tuple[int, int, int]:
    """Return number, total and version of `[PATCH v3 2/4] x`; 0 for each that is not there."""
    brackets = _BRACKETS.match(subject)
    inside = brackets[1] if brackets else ""
    count = re.search(r"\b(\d+)/(\d+)\b", inside)
    version = re.search(r"\bv(\d+)\b", inside, re.IGNORECASE)
    number, total = (int(count[1]), int(count[2])) if count else (0, 0)
    return number, total, int(version[1]) if version else 0


def _title(subject: str) -> str:
    """The subject without its brackets, which `git am` would drop as well."""
    return _BRACKETS.sub("", subject) or subject


def _patch(info: dict[str, str], text: str, diff: str) -> str:
    author = info.get("Author", "s2eval")
    address = info.get("Email", "s2eval@localhost")
    date = info.get("Date", "Thu, 1 Jan 1970 00:00:00 +0000")
    subject = " ".join(_title(info.get("Subject", "no subject")).split())
    return (
        "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n"
        f"From: {author} <{address}>\nDate: {date}\nSubject: [PATCH] {subject}\n"
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n"
        f"Content-Transfer-Encoding: 8bit\n\n{text.rstrip()}\n\n{_from_dashes(diff)}"
    )


def _from_dashes(diff: str) -> str:
    return diff if diff.startswith("---\n") else f"---\n{diff}"


def _bare(data: bytes, source: str) -> Mail:
    """A diff without a mail around it, as quilt has them, described by the text above it."""
    text = data.replace(b"\r\n", b"\n").decode("utf-8", errors="surrogateescape")
    start_of_diff = _DIFF.search(text) or re.search(r"^(Index: |diff )", text, re.MULTILINE)
    if not start_of_diff:
        return Mail("", 0, 0, 0, "", source)
    head, diff = text[: start_of_diff.start()].strip(), text[start_of_diff.start() :]
    head = "\n".join(line for line in head.splitlines() if line.strip() != "---")
    first, _, rest = head.partition("\n")
    subject = clean(first) or Path(source).name
    return Mail(subject, 0, 0, 0, _patch({"Subject": subject}, rest.strip(), diff), source)


def _check_encodings(message: email.message.Message, source: str) -> None:
    """UsageError for a part that git would take as it comes, without a word."""
    for part in message.walk():
        way = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
        if way not in _ENCODINGS:
            raise UsageError(f"{source}: a part in the encoding {clean(way, 40)}: save it as text")
        charset = part.get_content_charset()
        data = part.get_payload(decode=True)
        if not charset or not isinstance(data, bytes) or data.isascii():
            continue
        try:
            codecs.lookup(charset)
        except LookupError:
            name = clean(charset, 40)
            raise UsageError(
                f"{source}: a part in the character set {name}: save it as UTF-8"
            ) from None


def _decoded(header: object) -> str:
    try:
        return " ".join(
            str(email.header.make_header(email.header.decode_header(str(header)))).split()
        )
    except (LookupError, UnicodeError, ValueError):
        return " ".join(str(header).split())


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="surrogateescape")
