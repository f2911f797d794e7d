# SPDX-License-Identifier: GPL-2.0-only
"""A file's bytes to mails: mailboxes of every kind, single mails."""

from __future__ import annotations

import re

# mbox(5): `From SENDER Thu Jan  1 00:00:00 1970`, with a header below.
_FROM = re.compile(
    rb"^From \S[^\n]* (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]?\d \d\d:\d\d(?::\d\d)?"
    rb"[^\n]* \d{4}(?: [+-]\d{4})?\r?\n(?=>?[!-9;-~]+[: ])",
    re.MULTILINE,
)
# What git format-patch begins each patch with, so also one that was pasted into a mail.
FORMAT_PATCH = re.compile(r"^From [0-9a-f]{40,64} Mon Sep 17 00:00:00 2001$", re.MULTILINE)
_FORMAT_PATCH = re.compile(rb"From [0-9a-f]{40,64} Mon Sep 17 00:00:00 2001\s")
_ESCAPED = re.compile(rb"^>(>*From )", re.MULTILINE)
_FIELD = re.compile(rb"[!-9;-~]+:|[ \t]+\S")
_OF_MAILS = re.compile(
    rb"^(?:from|subject|date|message-id|mime-version|content-type|received|return-path):",
    re.IGNORECASE | re.MULTILINE,
)


def lf(data: bytes) -> bytes:
    """Return `data` with LF line ends where all of its lines end in CR LF."""
    every = data.count(b"\n") == data.count(b"\r\n") > 0
    return data.replace(b"\r\n", b"\n") if every else data


def is_mail(data: bytes) -> bool:
    """Return whether `data` begins with a mail's header, or a mailbox's `From ` line."""
    data = data.lstrip(b"\r\n")
    if data.startswith(b"From "):
        return True
    lines = data[:65536].split(b"\n\n", 1)[0].split(b"\r\n\r\n", 1)[0].splitlines()
    fields = bool(lines) and all(_FIELD.match(line) for line in lines)
    return fields and bool(_OF_MAILS.search(b"\n".join(lines)))


def messages(data: bytes) -> list[bytes]:
    """Return the mails of a mailbox, without their `From ` lines, or the one mail that `data` is.

    A line of git format-patch begins a mail only in a mailbox that begins with one: elsewhere it
    was pasted into a mail.
    """
    data = data.lstrip(b"\r\n")
    begins = list(_FROM.finditer(data))
    if not _FORMAT_PATCH.match(data):
        begins = [match for match in begins if not _FORMAT_PATCH.match(match[0])]
    starts = [0 if data.startswith(b"From ") else -1, *(match.start() for match in begins)]
    starts = sorted({start for start in starts if start >= 0} or {0})
    found = []
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        mail = data[start:end]
        line, _, rest = mail.partition(b"\n")
        if line.startswith(b"From "):
            mail = _ESCAPED.sub(rb"\1", rest) if line.startswith(b"From mboxrd@z ") else rest
        if mail.strip():
            found.append(lf(mail))
    return found
