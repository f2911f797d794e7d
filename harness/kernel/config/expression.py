# SPDX-License-Identifier: GPL-2.0-only
"""Kconfig's expressions (Documentation/kbuild/kconfig-language.rst): what they are worth, in words.

A `config` is SYMBOL to value, as a .config has them; what is off is absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

MACRO = r"\$\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"  # $(name,arguments), three levels deep
_TOKEN = re.compile(rf'&&|\|\||!=|<=|>=|[!()=<>]|"[^"]*"|{MACRO}|[\w.-]+')
_NUMBER = re.compile(r"-?\d+|0[xX][0-9a-fA-F]+")
_LEVEL = {"n": 0, "m": 1, "y": 2}
_SIGNS = ("=", "!=", "<", ">", "<=", ">=")


def level(expression: str, config: Mapping[str, str]) -> int:
    """Return what a Kconfig expression is: 0 for n, 1 for m, 2 for y.

    Macros ($(…)) count as y: they are not run. So does what this reader does not understand.
    """
    try:
        return _Reader(expression, config).either()
    except IndexError:
        return 2


def holds(expression: str, config: Mapping[str, str]) -> bool:
    """Return whether a Kconfig expression is m or y, as level() has it."""
    return level(expression, config) > 0


class _Reader:
    """Kconfig's expressions by recursive descent."""

    def __init__(self, text: str, config: Mapping[str, str]) -> None:
        self.words: list[str] = _TOKEN.findall(text)
        self.config = config

    def either(self) -> int:
        found = self.both()
        while self._next_is("||"):
            found = max(found, self.both())
        return found

    def both(self) -> int:
        found = self.one()
        while self._next_is("&&"):
            found = min(found, self.one())
        return found

    def one(self) -> int:
        if self._next_is("!"):
            return 2 - self.one()
        if self._next_is("("):
            found = self.either()
            self.words.pop(0)
            return found
        left = self._value()
        if self.words and self.words[0] in _SIGNS:
            sign = self.words.pop(0)
            return 2 if _compared(left, sign, self._value()) else 0
        return _LEVEL.get(left, 0)

    def _next_is(self, word: str) -> bool:
        if self.words and self.words[0] == word:
            self.words.pop(0)
            return True
        return False

    def _value(self) -> str:
        word = self.words.pop(0)
        if word.startswith("$("):
            return "y"
        if word.startswith('"'):
            return word.strip('"')
        constant = word in _LEVEL or word[0].isdigit()
        value = self.config.get(word, word if constant else "n")
        return value.strip('"')


def _compared(left: str, sign: str, right: str) -> bool:
    if sign in {"=", "!="}:
        return (left == right) == (sign == "=")
    if not (_NUMBER.fullmatch(left) and _NUMBER.fullmatch(right)):
        return True  # a macro's value, which is not known here, is no reason
    one, other = int(left, 0 if "x" in left else 10), int(right, 0 if "x" in right else 10)
    return {"<": one < other, ">": one > other, "<=": one <= other, ">=": one >= other}[sign]


def terms(expression: str) -> list[str]:
    """Return the terms of an expression that `&&` joins at the top level."""
    if "||" in _without_groups(expression):
        return [expression]
    depth, start, found = 0, 0, []
    for match in re.finditer(rf"{MACRO}|&&|[()]", expression):
        if match[0] == "&&" and depth == 0:
            found.append(expression[start : match.start()].strip())
            start = match.end()
        elif match[0] in "()":
            depth += 1 if match[0] == "(" else -1
    return [*found, expression[start:].strip()]


def _without_groups(expression: str) -> str:
    inner = re.sub(MACRO, "y", expression)
    while (outer := re.sub(r"\([^()]*\)", "y", inner)) != inner:
        inner = outer
    return inner


def symbols(expression: str) -> Iterator[str]:
    """Yield the symbols of an expression, in the order in which they stand there."""
    for match in _TOKEN.finditer(expression):
        if re.fullmatch(r"[A-Z0-9]*[A-Z]\w*", match[0]):
            yield match[0]


def macros(expression: str) -> list[str]:
    """Return the macros of an expression, e.g. `$(cc-option,-fsanitize=kcfi)`."""
    return re.findall(MACRO, expression)


def with_values(expression: str, config: Mapping[str, str]) -> str:
    """Return an expression with the values of its symbols, e.g. `INET (n) && NET_9P (y)`."""

    def with_value(match: re.Match[str]) -> str:
        token = match[0]
        known = re.fullmatch(r"[A-Z0-9]*[A-Z]\w*", token)
        return f"{token} ({config.get(token, 'n')})" if known else token

    return re.sub(rf'"[^"]*"|{MACRO}|\w+', with_value, expression)
