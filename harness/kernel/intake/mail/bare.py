# SPDX-License-Identifier: GPL-2.0-only
"""Text that is no mail: a diff with words above, and what `git log -p` or `git show` prints."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.base.errors import UsageError
from harness.base.text import clean
from harness.kernel.intake.mail import diff, mime, split
from harness.kernel.intake.mail.mails import Head, Mail, patch
from harness.kernel.intake.mail.subject import Subject

# git-log(1), all but the formats of one line: `commit HASH (main)`, then fields, then the message.
_COMMIT = re.compile(r"^commit ([0-9a-f]{7,64})(?: .*)?$", re.MULTILINE)
_ONELINE = re.compile(r"\A[0-9a-f]{7,64} .*\n(?=diff )")
_AUTHOR = re.compile(r"^Author: +(.*?) *<(.*)>$", re.MULTILINE)
_DATE = re.compile(r"^(?:Author)?Date: +(.*)$", re.MULTILINE)
_INDEX = re.compile(r"^index ([0-9a-f]{7,64})\.\.([0-9a-f]{7,64})", re.MULTILINE)


def read_text(data: bytes, source: str, place: str) -> list[Mail]:
    """Return the patches of a text that is no mail. Raise UsageError as patch() does."""
    text = mime.characters(split.lf(data), "", source)[0]
    if _COMMIT.match(text.lstrip("\n")):
        return _log(text.lstrip("\n"), source, place)
    if _ONELINE.match(text):
        raise UsageError(f"{source}: git log in lines of a commit each: use git format-patch")
    found = diff.find(text)
    diff.check(found, source)
    if not found.files:
        return [Mail("", "", source, place=place)]
    above = "\n".join(found.lines[: found.start]).strip()
    words = [line for line in above.split("\n") if line.strip() != "---"]
    title = clean(next(iter(words), "")) or Path(source).name
    body = "\n".join([*words[1:], "---", *found.lines[found.start :]])
    one = patch(Head(), body, source, Subject(title))
    return [replace(one, place=place)]


@dataclass(frozen=True)
class _Commit:
    mail: Mail
    before: frozenset[str]  # blobs that its diff begins with
    after: frozenset[str]


def _log(text: str, source: str, place: str) -> list[Mail]:
    """The commits, oldest first: git prints the newest first unless it is told --reverse."""
    starts = [match.start() for match in _COMMIT.finditer(text)]
    commits = [
        _commit(text[start:end], source, place)
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True)
    ]
    found = [one for one in commits if one.mail.text]
    if not _is_reversed(found):
        found.reverse()
    mails = [one.mail for one in found]
    if len(mails) > 1:
        note = f"{source} is what git log -p prints: the oldest of its commits is first"
        mails[0] = replace(mails[0], notes=(*mails[0].notes, note))
    return mails or [Mail("", "", source, place=place)]


def _commit(text: str, source: str, place: str) -> _Commit:
    hash_ = text.partition("\n")[0].split()[1][:12]
    head, _, rest = text.partition("\n\n")
    author, date = _AUTHOR.search(head), _DATE.search(head)
    found = diff.find(rest)
    start = found.start if found.files else len(found.lines)
    words = [line.removeprefix("    ").rstrip() for line in found.lines[:start]]
    title = words[0] if words else ""
    body = "\n".join([*words[1:], "---", *found.lines[start:]])
    named = Head(date=_date(date[1] if date else ""))
    if author and "@" in author[2]:
        named = replace(named, author=clean(author[1]) or author[2], address=clean(author[2]))
    one = patch(named, body, f"{source}, commit {hash_}", Subject(title))
    blobs = _INDEX.findall("\n".join(found.lines[start:]))
    return _Commit(
        replace(one, place=place),
        frozenset(before for before, _ in blobs),
        frozenset(after for _, after in blobs),
    )


def _date(text: str) -> str:
    """git prints `Thu Sep 7 11:14:59 2023 -0700`."""
    try:
        return email.utils.format_datetime(email.utils.parsedate_to_datetime(text))
    except (ValueError, TypeError, IndexError, OverflowError):
        return Head().date


def _is_reversed(commits: Sequence[_Commit]) -> bool:
    """Whether a later commit of the text begins with a blob that an earlier one made."""
    made: set[str] = set()
    for one in commits:
        if made & one.before:
            return True
        made |= one.after
    return False
