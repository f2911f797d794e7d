# SPDX-License-Identifier: GPL-2.0-only
"""What a mail consists of: text/plain, attachments, mails within it; characters by their bytes."""

from __future__ import annotations

import codecs
import contextlib
import email.errors
import re
from dataclasses import dataclass, field
from email.header import decode_header
from email.message import Message

from harness.base.errors import UsageError
from harness.base.text import clean

MAILS = (".patch", ".diff", ".mbox", ".mbx", ".eml")
# Content-Transfer-Encoding: what RFC 2045 has; git takes anything else as it comes.
_ENCODINGS = {"", "7bit", "8bit", "binary", "quoted-printable", "base64"}
_PATCH_TYPES = {"x-patch", "x-diff", "x-mbox", "mbox"}
_DEEPEST = 20  # parts within parts
# Python's codecs that are no character sets of mails.
_NO_CHARSETS = {"unicode_escape", "raw-unicode-escape", "raw_unicode_escape", "idna", "punycode",
                "undefined", "utf-7", "hz"}  # fmt: skip
# Text in these is ASCII, or may by chance look like UTF-8: the label decides.
_BY_LABEL = ("iso2022", "gb", "big5", "euc", "shift", "cp9", "johab")
_UTF8 = {"utf-8", "ascii"}


@dataclass
class Attachment:
    """A part that is a file. `charset` is its label."""

    name: str
    data: bytes
    charset: str


@dataclass
class Parts:
    """What a mail holds. `html`: a part of it is HTML, which is never read."""

    texts: list[str] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    mails: list[Message] = field(default_factory=list)
    html: bool = False
    notes: list[str] = field(default_factory=list)


def parts(message: Message, source: str) -> Parts:
    """Return the parts of a mail. Raise UsageError for one whose text cannot be decoded."""
    found = Parts()
    _walk(message, found, source, 0)
    return found


def _walk(part: Message, found: Parts, source: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise UsageError(f"{source}: parts within parts, more than {_DEEPEST} deep")
    kind, payload = part.get_content_type(), part.get_payload()
    if kind == "message/rfc822" and isinstance(payload, list):
        found.mails += [inner for inner in payload if isinstance(inner, Message)]
    elif isinstance(payload, list):
        for inner in payload:
            if isinstance(inner, Message):
                _walk(inner, found, source, depth + 1)
    elif kind == "text/html":
        found.html = True
    elif _is_file(part, kind):
        label = part.get_content_charset() or ""
        found.attachments.append(Attachment(_name(part), _data(part, source), label))
    elif kind == "text/plain":
        text, note = characters(_data(part, source), part.get_content_charset() or "", source)
        found.notes += [note] if note else []
        found.texts.append(_unflowed(part, text))


def _is_file(part: Message, kind: str) -> bool:
    main, _, sub = kind.partition("/")
    if sub in _PATCH_TYPES or part.get_content_disposition() == "attachment":
        return main in {"text", "application"}
    return main in {"text", "application"} and _name(part).lower().endswith(MAILS)


def _name(part: Message) -> str:
    try:
        return clean(part.get_filename() or "", 80)
    except (LookupError, ValueError, TypeError):  # RFC 2231, in a character set of its own making
        return ""


def _data(part: Message, source: str) -> bytes:
    way = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    if way not in _ENCODINGS:
        raise UsageError(f"{source}: a part in the encoding {clean(way, 40)}: save it as text")
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def characters(data: bytes, label: str, source: str) -> tuple[str, str]:
    """Return the text that `data` is, and a note where that is not what the label says.

    Bytes that are neither UTF-8 nor what the label says stay as they are (surrogateescape), as
    git leaves them in a diff. Raise UsageError where the label is unknown as well.
    """
    codec = _codec(label)
    if codec.startswith(_BY_LABEL):
        try:
            return data.decode(codec), ""
        except ValueError:
            pass
    try:
        text = data.decode()
    except UnicodeDecodeError:
        if label and not codec:
            raise UsageError(
                f"{source}: a part in the character set {clean(label, 40)}: save it as UTF-8"
            ) from None
        return _labelled(data, codec), ""
    odd = label and not codec and not data.isascii()
    return text, f"the character set {clean(label, 40)} is unknown: read as UTF-8" if odd else ""


def _labelled(data: bytes, codec: str) -> str:
    if codec and codec not in _UTF8:
        try:
            return data.decode(codec)
        except ValueError:
            pass
    return data.decode(errors="surrogateescape")


def _codec(label: str) -> str:
    """Python's name of a character set, "" for an unknown one."""
    try:
        name = codecs.lookup(label).name
        b"".decode(name)  # a LookupError for what encodes no text: base64, zip
    except (LookupError, ValueError):
        return ""
    return "" if name in _NO_CHARSETS else name


def _unflowed(part: Message, text: str) -> str:
    """RFC 3676, format=flowed: lines that end in a space go on, a first space is stuffing."""
    if str(part.get_param("format", "")).lower() != "flowed":
        return text
    drop = str(part.get_param("delsp", "")).lower() == "yes"
    lines, begun = [], ""
    for line in text.replace("\r\n", "\n").split("\n"):
        if line == "-- ":  # the line above a signature ends in a space and does not go on
            lines += [begun, line] if begun else [line]
            begun = ""
            continue
        line = line.removeprefix(" ")  # noqa: PLW2901
        if line.endswith(" "):
            begun += line[:-1] if drop else line
        else:
            lines.append(begun + line)
            begun = ""
    return "\n".join(lines + ([begun] if begun else []))


def header(message: Message, name: str) -> str:
    """Return the first header of a name as one line of text, "" when there is none."""
    return decoded(raw_header(message, name))


def raw_header(message: Message, name: str) -> str:
    """Return the first header of a name as it stands there; bytes that are no UTF-8 escaped."""
    items = ((key.lower(), str(value)) for key, value in message.raw_items())
    return next((value for key, value in items if key == name.lower()), "")


def decoded(value: str) -> str:
    """Return a header's text: encoded words (RFC 2047), or raw bytes by what they are."""
    raw = value.encode("utf-8", errors="surrogateescape")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if "=?" in text:
        # What cannot be decoded is shown as it is.
        with contextlib.suppress(email.errors.HeaderParseError, ValueError, LookupError, TypeError):
            text = "".join(_word(word, label) for word, label in decode_header(text))
    return " ".join(re.sub(r"[\ud800-\udfff]", "\ufffd", text).split())


def _word(word: bytes | str, label: str | None) -> str:
    if isinstance(word, str):
        return word
    if label is None:
        return word.decode("raw-unicode-escape")
    try:
        return word.decode() if not _codec(label) else word.decode(_codec(label))
    except ValueError:
        return word.decode("latin-1")
