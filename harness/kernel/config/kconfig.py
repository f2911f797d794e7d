# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel's Kconfig files say of a symbol (Documentation/kbuild/kconfig-language.rst).

That is its own definitions, the `if`, `menu` and `choice` blocks around them, and what stands
around the `source` lines that lead there. A `source` line whose path holds a variable ends the way
up. Files of other architectures are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.kernel.config.expression import terms as split
from harness.kernel.git import GitError, git

_ENTRY = re.compile(
    r"^\s*(config|menuconfig|choice|comment|menu|if|endif|endmenu|endchoice|o?r?source)\b"
)
_TYPE = re.compile(r'\s*(bool|tristate|int|hex|string|prompt)\b(?:\s+"((?:[^"\\]|\\.)*)"(.*))?$')
_DEFAULT = re.compile(r"\s*(?:(def_)(bool|tristate)|default)\s+(.+)$")
_SELECT = re.compile(r"\s*(?:select|imply)\s+(\w+)(.*)$")
_RANGE = re.compile(r"\s*range\s+(\S+)\s+(\S+)(.*)$")
_FOREIGN = re.compile(r"arch/(?!arm64/)[^/]+/|scripts/kconfig/tests/|Documentation/")
_DEPTH = 10  # files that source one another


@dataclass
class Choice:
    """One `choice` block: its prompt, and where it stands."""

    file: str
    line: int
    prompt: str = ""

    @property
    def place(self) -> tuple[str, int]:
        """Return what tells two choices apart."""
        return self.file, self.line


@dataclass
class Definition:
    """One definition of a symbol. `terms` must all hold.

    `prompt` is the condition of its prompt: "y" when unconditional, None without a prompt.
    A default, a select and a range carry their condition, "y" when unconditional.
    """

    symbol: str
    terms: list[str]
    kind: str = ""
    prompt: str | None = None
    defaults: list[tuple[str, str]] = field(default_factory=list)
    selects: list[tuple[str, str]] = field(default_factory=list)
    ranges: list[tuple[str, str, str]] = field(default_factory=list)
    choice: Choice | None = None


class KconfigFiles:
    """The Kconfig files of a worktree; each is read once."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._parsed: dict[str, list[Definition]] = {}

    def definitions(self, symbol: str) -> list[Definition]:
        """Return the definitions of `symbol`, with what must hold around their files."""
        found = []
        for name in self._with_line(rf"^\s*(menu)?config\s+{symbol}\s*$"):
            outer = self._around(name)
            found += [
                replace(one, terms=[*outer, *one.terms])
                for one in self._definitions_of(name)
                if one.symbol == symbol
            ]
        return found

    def selectors(self, symbol: str) -> list[Definition]:
        """Return the definitions of the symbols that select (or imply) `symbol`."""
        names = self._with_line(rf"^\s*(select|imply)\s+{symbol}(\s|$)")
        every = [one for name in names for one in self._definitions_of(name)]
        return [one for one in every if any(name == symbol for name, _ in one.selects)]

    def choices(self) -> dict[str, Choice]:
        """Return the choice that each member of one is in, by the member's symbol."""
        names = self._with_line(r"^\s*choice(\s|$)")
        every = [one for name in names for one in self._definitions_of(name)]
        return {one.symbol: one.choice for one in every if one.choice}

    def _definitions_of(self, name: str) -> list[Definition]:
        if name not in self._parsed:
            text = (self._work / name).read_text(errors="replace")
            self._parsed[name] = definitions(text, name)
        return self._parsed[name]

    def _around(self, name: str) -> list[str]:
        """What the files that source `name`, directly or not, demand around it."""
        terms: list[str] = []
        for _ in range(_DEPTH):
            parents = self._with_line(rf'^\s*o?r?source\s+"{name}"')
            if not parents:
                break
            text = (self._work / parents[0]).read_text(errors="replace")
            around = sources(text).get(name, [])
            terms = [*around, *terms]
            name = parents[0]
        return terms

    def _with_line(self, pattern: str) -> list[str]:
        """The Kconfig files with a line that matches, from the tree's root."""
        try:
            names = git(self._work, "grep", "-lE", pattern, "--", "*Kconfig*").splitlines()
        except GitError:
            return []
        return [name for name in names if not _FOREIGN.match(name)]


def definitions(text: str, name: str = "Kconfig") -> list[Definition]:
    """Return the definitions of a Kconfig file, in order; `name` is that of the file."""
    return _parse(text, name).definitions


def sources(text: str) -> dict[str, list[str]]:
    """Return what must hold around each `source` line of a Kconfig file, by what is sourced."""
    return _parse(text, "").sources


def _parse(text: str, name: str) -> _Parser:
    parser = _Parser(name)
    for number, line in _without_help(text):
        parser.read(number, line)
    return parser


class _Parser:
    """Reads the lines of one file."""

    def __init__(self, name: str) -> None:
        self.definitions: list[Definition] = []
        self.sources: dict[str, list[str]] = {}
        self._name = name
        self._around: list[tuple[list[str], Choice | None]] = []  # the blocks that are open
        self._terms: list[str] | None = None  # where `depends on` lines go now
        self._definition: Definition | None = None

    def read(self, number: int, line: str) -> None:
        """Take one line, the `number`th of the file."""
        entry = _ENTRY.match(line)
        if entry:
            rest = line.split(None, 1)[1:]
            self._begin(entry[1], _bare(rest[0]) if rest else "", number)
        elif self._terms is not None and (depends := _bare(line)).startswith("depends on "):
            wanted, condition = _conditional(depends.removeprefix("depends on "))
            whole = wanted if condition == "y" else f"!({condition}) || ({wanted})"
            self._terms += split(whole)
        elif self._definition:
            _attribute(self._definition, _bare(line))
        elif self._around and (choice := self._around[-1][1]):
            prompt = _TYPE.match(line)
            choice.prompt = choice.prompt or (prompt[2] if prompt else "") or ""

    def _begin(self, keyword: str, rest: str, number: int) -> None:
        self._terms, self._definition = None, None
        if keyword in {"if", "menu", "choice"}:
            self._terms = split(rest) if keyword == "if" else []
            choice = Choice(self._name, number) if keyword == "choice" else None
            self._around.append((self._terms, choice))
        elif keyword.startswith("end") and self._around:
            self._around.pop()
        elif keyword in {"config", "menuconfig"}:
            self._terms = self._outer()
            choices = [choice for _, choice in self._around if choice]
            choice = choices[-1] if choices else None
            self._definition = Definition(rest, self._terms, choice=choice)
            self.definitions.append(self._definition)
        elif keyword.endswith("source"):
            self.sources.setdefault(rest.strip('"'), self._outer())

    def _outer(self) -> list[str]:
        return [term for terms, _ in self._around for term in terms]


def _attribute(definition: Definition, line: str) -> None:
    """Take a line of a definition: its type, prompt, a default, a select or a range."""
    kind, default = _TYPE.match(line), _DEFAULT.match(line)
    select, limits = _SELECT.match(line), _RANGE.match(line)
    if kind:
        if kind[1] != "prompt":
            definition.kind = kind[1]
        if kind[2] is not None:
            definition.prompt = _conditional(f"y{kind[3]}")[1]
    elif default:
        definition.kind = default[2] or definition.kind
        definition.defaults.append(_conditional(default[3]))
    elif select:
        definition.selects.append((select[1], _conditional(f"y{select[2]}")[1]))
    elif limits:
        definition.ranges.append((limits[1], limits[2], _conditional(f"y{limits[3]}")[1]))


def _conditional(text: str) -> tuple[str, str]:
    """`A if B` as its two parts; B is "y" when it is not there."""
    wanted, _, condition = text.partition(" if ")
    return wanted.strip(), condition.strip() or "y"


def _bare(line: str) -> str:
    """A line without the comment behind it."""
    match = re.match(r'(?:[^"#]|"(?:[^"\\]|\\.)*"?)*', line)
    return (match[0] if match else line).strip()


def _without_help(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a Kconfig file with their numbers, continued ones joined, help texts left out.

    A help text ends at the first line that is indented less than its own first line.
    """
    deep: int | None = None  # the help text's indentation; 0 before its first line
    before = ""  # the lines that the one now goes on
    first = 0
    for number, part in enumerate(text.splitlines(), start=1):
        first = first if before else number
        if part.endswith("\\"):
            before += f"{part[:-1]} "
            continue
        line, before = f"{before}{part}", ""
        indent = len(line.expandtabs()) - len(line.expandtabs().lstrip())
        if deep is not None and line.strip():
            deep = deep or indent
            if deep > indent or indent == 0:
                deep = None
        if deep is None:
            yield first, line
            if line.strip() in {"help", "---help---"}:
                deep = 0
