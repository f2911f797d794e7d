# SPDX-License-Identifier: GPL-2.0-only
"""What a subject says of its patch, by the rules of b4: number, version, RESEND, reply.

b4 splits the brackets at the start into words (b4, LoreSubject). `1.5/3` and `v2.1`, which it
does not read, are read here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Version = tuple[int, int]  # v2.1 is (2, 1), v2 is (2, 0), none is (1, 0)
Number = tuple[int, int]  # 1.5/3 is (1, 5), 1/3 is (1, 0)

_BRACKET = re.compile(r"\s*\[([^\[\]]*)\]\s*")
_NESTED = re.compile(r"\[([^\[\]]*)\[([^\[\]]*)\]")
# Re: of mail programs in the languages of people who send patches, with and without a count.
_REPLY = re.compile(
    r"\s*(?:re|aw|antw|sv|vs|odp|res|rv|fwd?|wg|tr|\u56de\u590d|\u7b54\u590d|\u8f6c\u53d1|\u8fd4\u4fe1)\s*(?:\[\d+\]|\(\d+\))?\s*[:\uff1a]",
    re.IGNORECASE,
)
_COUNT = re.compile(r"(?:.*?\D)?(\d{1,4})(?:/| of )(\d{1,4})")
_HALF = re.compile(r"(\d{1,4})\.(\d{1,3})/(\d{1,4})")
_VERSION = re.compile(r"(?:patch|rfc)?[-_]?v(\d{1,4})(?:\.(\d{1,3}))?", re.IGNORECASE)
_BRANCH = re.compile(r"v?\d{1,2}\.\d{1,3}(?:\.\d{1,3}|\.[xy])?(?:-stable)?", re.IGNORECASE)


@dataclass(frozen=True)
class Subject:
    """A subject taken apart. `number` of `total` is (0, 0) of 0 without any; `title` is the rest.

    `branches` are those of a list for stable kernels, e.g. 5.10 and 5.15.
    """

    title: str = ""
    number: Number = (0, 0)
    total: int = 0
    version: Version = (1, 0)
    resend: bool = False
    reply: bool = False
    branches: tuple[str, ...] = ()

    @property
    def count(self) -> str:
        """Return `2/3` or `1.5/3`, "" without a number."""
        return f"{number_text(self.number)}/{self.total}" if self.total else ""


def number_text(number: Number) -> str:
    """Return a number as a subject has it."""
    return f"{number[0]}.{number[1]}" if number[1] else str(number[0])


def version_text(version: Version) -> str:
    """Return a version as a subject has it."""
    return f"v{number_text(version)}"


def parse(text: str) -> Subject:
    """Return what a decoded subject says."""
    text = " ".join(text.split())
    rest, reply = _without_reply(text)
    words: list[str] = []
    while match := _BRACKET.match(rest := _flat(rest)):
        words += _words(match[1])
        rest = rest[match.end() :]
    number, total = _count(words)
    return Subject(
        title=rest.strip() or text,
        number=number,
        total=total,
        version=_version(words),
        resend=any(word.lower().startswith("resend") for word in words),
        reply=reply,
        branches=tuple(branch for word in words for branch in _branches(word)),
    )


def _without_reply(text: str) -> tuple[str, bool]:
    """The text without `Re:`, also when the list's name stands before it: `[list] Re: [PATCH]`."""
    reply = False
    while True:
        bracket = _BRACKET.match(text)
        start = bracket.end() if bracket and "patch" not in bracket[1].lower() else 0
        match = _REPLY.match(text, start)
        if not match:
            return text, reply
        text, reply = text[match.end() :], True


def _flat(text: str) -> str:
    """Brackets within the first brackets belong to these: `[PATCH [v2] 1/3]`."""
    while text.lstrip().startswith("[") and (match := _NESTED.match(text.lstrip())):
        text = text.lstrip()
        text = f"[{match[1]} {match[2]} {text[match.end() :]}"
    return text


def _words(bracket: str) -> list[str]:
    # `PATCH 1 of 3` is what Mercurial writes.
    joined = re.sub(r"\b(\d{1,4}) of (\d{1,4})\b", r"\1/\2", bracket)
    return [word for word in re.split(r"[\s,;]+", joined) if word]


def _count(words: list[str]) -> tuple[Number, int]:
    """The last word that is a count; `5.10/5.15` is none, that is a list of branches."""
    for word in reversed(words):
        if re.fullmatch(r"[A-Za-z]*\d{1,4}/\d{1,4}", word) and (match := _COUNT.fullmatch(word)):
            return (int(match[1]), 0), int(match[2])
    for word in reversed(words):
        if match := _HALF.fullmatch(word):
            return (int(match[1]), int(match[2])), int(match[3])
    return (0, 0), 0


def _version(words: list[str]) -> Version:
    for word in reversed(words):
        if match := _VERSION.fullmatch(word):
            return int(match[1]), int(match[2] or 0)
    return 1, 0


def _branches(word: str) -> list[str]:
    parts = re.split(r"[/&+]", word)
    return parts if all(_BRANCH.fullmatch(part) for part in parts) else []
