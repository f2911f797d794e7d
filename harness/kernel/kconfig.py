# SPDX-License-Identifier: GPL-2.0-only
"""Why a symbol is not what was asked for: its `depends on` lines, read from the Kconfig files.

Kconfig drops an unmet option silently. This looks at the symbol's own definitions, at the `if`
and `menu` blocks around them and around the `source` lines that lead there, and at the condition
of its prompt (Documentation/kbuild/kconfig-language.rst). A `source` line whose path holds a
variable ends the way up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.kernel.git import GitError, git

_TOKEN = re.compile(r'&&|\|\||!=|<=|>=|[!()=<>]|"[^"]*"|\$\([^)]*\)|[\w.-]+')
_ENTRY = re.compile(
    r"^\s*(config|menuconfig|choice|comment|menu|if|endif|endmenu|endchoice|o?r?source)\b"
)
_PROMPT = re.compile(r'\s*(?:bool|tristate|int|hex|string|prompt)\s+"[^"]*"(.*)$')
_DEPTH = 10  # files that source one another
_LEVEL = {"n": 0, "m": 1, "y": 2}


def why(work: Path, symbol: str, config: Mapping[str, str]) -> str:
    """Return why `symbol` is not on, in one clause: `depends on PCI (n)`.

    `config` is SYMBOL to value.
    """
    reasons = []
    for name in _files(work, rf"^\s*(menu)?config {symbol}\s*$"):
        outer = _around_file(work, name)
        for terms, prompt in definitions((work / name).read_text(errors="replace"), symbol):
            unmet = [term for term in (*outer, *terms) if not holds(term, config)]
            if unmet:
                missing = " and ".join(_valued(term, config) for term in unmet)
                reasons.append(f"depends on {missing}")
            elif prompt is None:
                reasons.append("it has no prompt: only other options select it")
            elif not holds(prompt, config):
                reasons.append(f"its prompt needs {_valued(prompt, config)}")
            else:
                reasons.append("kconfig does not tell why (a choice or another fragment?)")
    return reasons[0] if reasons else "this kernel has no such symbol"


def definitions(text: str, symbol: str) -> list[tuple[list[str], str | None]]:
    """Return what each definition of `symbol` in a Kconfig file depends on, and its prompt's.

    What it depends on are terms that must all hold. The prompt's condition is "y" when
    unconditional, None without a prompt.
    """
    return _entries(text, {"config", "menuconfig"}, symbol)


def _around_file(work: Path, name: str) -> list[str]:
    """What the files that source `name`, directly or not, demand around it."""
    terms: list[str] = []
    for _ in range(_DEPTH):
        parents = _files(work, rf'^\s*o?r?source "{name}"')
        if not parents:
            break
        text = (work / parents[0]).read_text(errors="replace")
        lines = _entries(text, {"source", "orsource"}, f'"{name}"')
        terms = [*(lines[0][0] if lines else []), *terms]
        name = parents[0]
    return terms


def _files(work: Path, pattern: str) -> list[str]:
    """The Kconfig files with a line that matches, from the tree's root."""
    try:
        return git(work, "grep", "-lE", pattern, "--", "*Kconfig*").splitlines()
    except GitError:
        return []


def _entries(text: str, keywords: set[str], name: str) -> list[tuple[list[str], str | None]]:
    """The entries `KEYWORD NAME` of a Kconfig file, as `definitions` tells them."""
    entries: list[tuple[list[str], str | None]] = []
    around: list[list[str]] = []
    terms: list[str] | None = None  # where `depends on` lines go now
    ours = False
    for line in _without_help(text):
        entry = _ENTRY.match(line)
        if entry:
            keyword, rest = entry[1], line.split(None, 1)[1:]
            terms, ours = None, False
            if keyword in {"if", "menu", "choice"}:
                terms = [rest[0].split("#")[0].strip()] if keyword == "if" and rest else []
                around.append(terms)
            elif keyword.startswith("end") and around:
                around.pop()
            elif keyword in keywords and rest and rest[0].strip() == name:
                terms, ours = [term for block in around for term in block], True
                entries.append((terms, None))
        elif terms is not None and line.strip().startswith("depends on "):
            terms.append(line.split("depends on ", 1)[1].split("#")[0].strip())
        elif ours:
            prompt = _PROMPT.match(line)
            if prompt:
                entries[-1] = (entries[-1][0], prompt[1].partition("if ")[2].strip() or "y")
    return [([part for term in terms for part in _split(term)], p) for terms, p in entries]


def _without_help(text: str) -> Iterator[str]:
    """The lines of a Kconfig file, continued ones joined, help texts left out.

    A help text ends at the first line that is indented less than its own first line.
    """
    deep: int | None = None  # the help text's indentation; 0 before its first line
    for line in text.replace("\\\n", " ").splitlines():
        indent = len(line.expandtabs()) - len(line.expandtabs().lstrip())
        if deep is not None and line.strip():
            deep = deep or indent
            if deep > indent or indent == 0:
                deep = None
        if deep is None:
            yield line
            if line.strip() == "help":
                deep = 0


def holds(expression: str, config: Mapping[str, str]) -> bool:
    """Return whether a Kconfig expression is m or y. Macros ($(…)) count as y: they are not run."""
    try:
        return _Expression(expression, config).either() > 0
    except IndexError:
        return True  # what this reader does not understand is no reason


class _Expression:
    """Kconfig's expressions by recursive descent; levels are 0 for n, 1 for m, 2 for y."""

    def __init__(self, text: str, config: Mapping[str, str]) -> None:
        self.words: list[str] = _TOKEN.findall(text)
        self.config = config

    def either(self) -> int:
        level = self.both()
        while self._next_is("||"):
            level = max(level, self.both())
        return level

    def both(self) -> int:
        level = self.one()
        while self._next_is("&&"):
            level = min(level, self.one())
        return level

    def one(self) -> int:
        if self._next_is("!"):
            return 2 - self.one()
        if self._next_is("("):
            level = self.either()
            self.words.pop(0)
            return level
        left = self._value()
        for sign in ("=", "!="):
            if self._next_is(sign):
                return 2 if (left == self._value()) == (sign == "=") else 0
        if self.words and self.words[0] in {"<", ">", "<=", ">="}:
            del self.words[:2]
            return 2  # versions of the compiler and linker: the kernel builds, so they are met
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
        return self.config.get(word, word if constant else "n")


def _split(expression: str) -> list[str]:
    """The terms of an expression that `&&` joins at the top level."""
    depth, start, terms = 0, 0, []
    if "||" in re.sub(r"\([^()]*\)", "", expression):
        return [expression]
    for match in re.finditer(r"&&|[()]", expression):
        if match[0] == "&&" and depth == 0:
            terms.append(expression[start : match.start()].strip())
            start = match.end()
        elif match[0] != "&&":
            depth += 1 if match[0] == "(" else -1
    return [*terms, expression[start:].strip()]


def _valued(expression: str, config: Mapping[str, str]) -> str:
    """An expression with the values of its symbols, e.g. `INET (n) && NET_9P (y)`."""

    def with_value(match: re.Match[str]) -> str:
        token = match[0]
        return f"{token} ({config.get(token, 'n')})" if re.match(r"[A-Z]\w*$", token) else token

    return re.sub(r'"[^"]*"|\$\([^)]*\)|\w+', with_value, expression)
