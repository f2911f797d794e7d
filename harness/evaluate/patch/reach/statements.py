# SPDX-License-Identifier: GPL-2.0-only
"""The statements of a C file by their lines. Pure.

A compiler gives the code of a statement that takes several lines to any of them, so that these
lines count together. Nothing is parsed but what ends a statement: a semicolon or a brace outside of
parentheses, the condition of an `if` or a loop, a label, the end of a preprocessor's line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Comments and literals, which may hold any of the characters that are looked for.
_OPAQUE = re.compile(
    r"""/\*.*?(?:\*/|\Z) | //(?:\\\n|[^\n])* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""",
    re.DOTALL | re.VERBOSE,
)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:\\\n|[^\n])*", re.MULTILINE)
_LABEL = re.compile(r"^\s*(?:case\b[^:?]*|default\s*|[A-Za-z_]\w*\s*):(?!:)")
# What another statement follows, without a semicolon or a brace between them.
_CONTROL = re.compile(r"(?:else\s+)?(?:if|for|while|switch|\w*for_each\w*)\s*\(")
_ALONE = re.compile(r"\s*(?:else|do)\s*")
_BARE = re.compile(r"[\s{};]*")  # braces alone have no code that is theirs


@dataclass(frozen=True)
class Statement:
    """The lines `first` to `last` of a statement, or of a directive of the preprocessor."""

    first: int
    last: int
    directive: bool = False

    @property
    def lines(self) -> range:
        """Return the numbers of the statement's lines."""
        return range(self.first, self.last + 1)


def statements(text: str) -> dict[int, Statement]:
    """Return the statement that each line of a C file belongs to.

    Lines that hold nothing but comments, white space and braces belong to none. A line with several
    statements belongs to the first of them.
    """
    plain = _OPAQUE.sub(_blanked, text)
    found: dict[int, Statement] = {}
    for match in _DIRECTIVE.finditer(plain):
        first = plain.count("\n", 0, match.start()) + 1
        _add(found, Statement(first, first + match[0].count("\n"), directive=True))
    code = _DIRECTIVE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), plain)
    lines = code.split("\n")
    for statement in _of_code(lines):
        _add(found, statement)
    return {
        line: statement
        for line, statement in found.items()
        if statement.directive or not _BARE.fullmatch(lines[line - 1])
    }


def _add(found: dict[int, Statement], statement: Statement) -> None:
    for line in statement.lines:
        found.setdefault(line, statement)


def _blanked(match: re.Match[str]) -> str:
    """Return a literal without its characters, and nothing but line ends for a comment."""
    text = match[0]
    if text[0] in "\"'":
        return f"{text[0]}{' ' * (len(text) - 2)}{text[-1]}" if len(text) > 1 else text
    return re.sub(r"[^\n]", " ", text)


def _of_code(lines: list[str]) -> Iterator[Statement]:
    """Yield the statements of code without comments and directives."""
    reader = _Reader()
    for number, line in enumerate(lines, 1):
        label = _LABEL.match(line) if not reader.first else None
        if label:
            yield Statement(number, number)
        for character in line[label.end() if label else 0 :]:
            if reader.ends(number, character):
                yield Statement(reader.first, reader.last)
                reader.start_anew()
        if _ALONE.fullmatch(reader.text):
            yield Statement(reader.first, reader.last)
            reader.start_anew()
    if reader.first:
        yield Statement(reader.first, reader.last)


class _Reader:
    """Follows code, a character at a time; the statement has lines `first` (or 0) to `last`."""

    def __init__(self) -> None:
        self.start_anew()

    def start_anew(self) -> None:
        """Forget the statement that has ended."""
        self.first, self.last, self.depth, self.text = 0, 0, 0, ""

    def ends(self, number: int, character: str) -> bool:
        """Take a character of line `number`; return whether a statement ends with it."""
        if not self.first:
            if character.isspace() or character in "{};":
                return False
            self.first = number
        self.text += character
        if not character.isspace() and character not in "{}":
            self.last = number
        if character in "([":
            self.depth += 1
        elif character in ")]":
            self.depth = max(self.depth - 1, 0)
            return not self.depth and bool(_CONTROL.match(self.text))
        # A brace ends what is before it, also inside of parentheses: `({ … })`.
        return character in "{}" or (character == ";" and not self.depth)
