# SPDX-License-Identifier: GPL-2.0-only
"""KTAP version 1 as a tree of tests, with the facts of docs/guest-protocol.md in between.

Source: Documentation/dev-tools/ktap.rst of the kernel; kselftest nests with `# ` where the
specification nests with two spaces; both are read. Whatever a guest sends, nothing here raises
and memory stays bounded: irregularities of a stream are listed in its findings.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from harness.base.text import clean
from harness.suites.facts import End, Fact, make_fact

LINE_LIMIT = 4096  # bytes of one line that are parsed
MAX_LINES = 100_000  # a suite sends hundreds; lines after these are not parsed
MAX_DEPTH = 16
MAX_TESTS = 20_000
MAX_FACTS = 100_000
MAX_DIAGNOSTICS = 100  # lines a test
MAX_FINDINGS = 50
Weight = Literal["fault", "torn", "note"]
DIRECTIVES = ("SKIP", "TODO", "XFAIL", "TIMEOUT", "ERROR")


@dataclass
class Test:
    """A result line with the lines before it; `ok` is None when the result line never came."""

    name: str
    ok: bool | None = None
    number: int | None = None
    directive: str = ""  # one of DIRECTIVES or empty
    reason: str = ""  # the text behind the directive, or behind a bare '#'
    diagnostics: list[str] = field(default_factory=list)
    children: list[Test] = field(default_factory=list)
    plan: int | None = None  # of the children

    __test__ = False  # pytest collects classes of such a name


@dataclass(frozen=True)
class Irregularity:
    """A deviation of a stream from the protocol.

    `fault`: the suite violates the protocol; `torn`: a guest that died explains the deviation;
    `note`: harmless.
    """

    text: str
    weight: Weight = "fault"


@dataclass
class Document:
    """A whole stream; `facts` are in the order in which they came."""

    tests: list[Test] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    findings: list[Irregularity] = field(default_factory=list)
    plan: int | None = None
    diagnostics: list[str] = field(default_factory=list)  # behind the last test

    @property
    def ended(self) -> bool:
        """Return whether the guest sent the line for the end of the suite."""
        return any(isinstance(fact, End) for fact in self.facts)


_VERSION = re.compile(r"(?:K?TAP version) (\d+)\s*$")
_PLAN = re.compile(r"1\.\.(\d{1,9})(?:\s*#\s*(SKIP)\b\s*(.*))?\s*$", re.I)
_RESULT = re.compile(r"(not ok|ok)\b(?:\s+(\d{1,9})\b)?\s*(?:-\s+)?(.*)$", re.S)
_REMARK = re.compile(r"(not ok|ok)\b(?!\s+\d)")
_DIRECTIVE = re.compile(r"(" + "|".join(DIRECTIVES) + r")\b:?\s*(.*)$", re.S | re.I)
_FACT = re.compile(r"s2eval:\s+(\S+)\s*(.*)$")
_SUBTEST = re.compile(r"Subtest:\s*(.+)$")


@dataclass
class _Level:
    """An open nesting level: its tests have no parent line yet."""

    depth: int
    name: str = ""
    plan: int | None = None
    versioned: bool = False
    tests: list[Test] = field(default_factory=list)
    first: int = 0  # index of the first test of the current plan
    diagnostics: list[str] = field(default_factory=list)


class Parser:
    """Parses a stream in pieces of any size: `feed` bytes or `line` by line, then `close`."""

    def __init__(self) -> None:
        self.document = Document()
        self._levels = [_Level(0, versioned=True)]
        self._rest = b""
        self._lines = 0
        self._tests = 0
        self._noise = 0
        self._invalid = 0
        self._hidden = 0
        self._full: set[str] = set()
        self._seen_version = False

    def feed(self, data: bytes) -> list[Fact]:
        """Parse a piece of the stream; return the facts that it completed."""
        known = len(self.document.facts)
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._whole_line(self._rest + line)
            self._rest = b""
        # Only the beginning of an endless line is kept.
        self._rest = (self._rest + rest)[: LINE_LIMIT + 1]
        return self.document.facts[known:]

    def line(self, line: str) -> list[Fact]:
        """Parse one line without its end; return its facts."""
        known = len(self.document.facts)
        self._line(line)
        return self.document.facts[known:]

    def close(self) -> Document:
        """End the stream and return the document; levels still open are torn."""
        if self._rest:
            self._whole_line(self._rest)
            self._rest = b""
        while len(self._levels) > 1:
            self._find(f"{self._level_name()}: the line of its result never came", "torn")
            self._orphan()
        top = self._levels[0]
        self._check_plan(top)
        self.document.tests, self.document.diagnostics = top.tests, top.diagnostics
        self.document.plan = top.plan
        for count, text in (
            (self._noise, "lines are not KTAP"),
            (self._invalid, "lines are not UTF-8"),
            (self._hidden, "further findings"),
        ):
            if count:
                self.document.findings.append(Irregularity(f"{count} {text}", "note"))
        return self.document

    # -- one line -----------------------------------------------------------------------------

    def _whole_line(self, raw: bytes) -> None:
        if self._lines > MAX_LINES:
            return
        if len(raw) > LINE_LIMIT:
            self._once(f"a line is longer than {LINE_LIMIT} bytes")
            raw = raw[:LINE_LIMIT]
        self._line(raw.decode("utf-8", errors="replace"))

    def _line(self, line: str) -> None:
        self._lines += 1
        if self._lines > MAX_LINES:
            self._once(f"more than {MAX_LINES} lines")
            return
        self._invalid += "\ufffd" in line
        line = line[:LINE_LIMIT].rstrip()
        text = line.lstrip(" ")
        if not text:
            return
        depth = (len(line) - len(text) + 1) // 2
        # kselftest: each "# " before a KTAP line is a level.
        inner, nested = text, 0
        while inner.startswith("# ") and nested < MAX_DEPTH:
            inner, nested = inner[2:].lstrip(" "), nested + 1
            # "# ok so far" is a remark: only a numbered result is one here.
            if not _REMARK.match(inner) and self._ktap(inner, depth + nested):
                return
        if self._ktap(text, depth):
            return
        if text.startswith("#"):
            self._comment(text.lstrip("# "))
        elif text.lower().startswith("bail out!"):
            self._find(clean(text))
        else:
            self._noise += 1

    def _ktap(self, text: str, depth: int) -> bool:
        """Take `text` when it is a version, a plan or a result; return whether it is."""
        for pattern, take in (
            (_RESULT, self._result),
            (_PLAN, self._plan),
            (_VERSION, self._version),
        ):
            match = pattern.match(text)
            if match:
                if depth > MAX_DEPTH:
                    self._find(f"a line is nested deeper than {MAX_DEPTH} levels")
                else:
                    take(depth, match)
                return True
        return False

    def _version(self, depth: int, match: re.Match[str]) -> None:
        if match[1] not in ("1", "13", "14"):
            self._find(f"KTAP version {match[1]} is not known")
        level = self._open(depth)
        if depth == 0 and self._seen_version:
            self._check_plan(level)  # a second program of the same suite
            level.plan, level.first = None, len(level.tests)
        elif depth and level.versioned and level.tests:
            self._find(f"{self._level_name()}: the line of its result never came", "torn")
            self._orphan()
            level = self._open(depth)
        level.versioned = True
        self._seen_version |= depth == 0

    def _plan(self, depth: int, match: re.Match[str]) -> None:
        level = self._open(depth)
        if level.plan is not None:
            self._find(f"{self._level_name()}: a second plan")
        level.plan = int(match[1])
        if match[2]:
            level.diagnostics.append(clean(f"SKIP {match[3]}"))

    def _result(self, depth: int, match: re.Match[str]) -> None:
        level = self._open(depth, keep_children=True)
        if self._tests >= MAX_TESTS:
            self._once(f"more than {MAX_TESTS} tests")
            return
        self._tests += 1
        name, _, comment = match[3].partition("#")
        directive = _DIRECTIVE.match(comment.strip())
        test = Test(
            name=clean(name),
            ok=match[1] == "ok",
            number=int(match[2]) if match[2] else None,
            directive=directive[1].upper() if directive else "",
            reason=clean(directive[2] if directive else comment),
        )
        self._adopt(level, test)
        self._check_number(level, test)
        level.tests.append(test)

    def _comment(self, text: str) -> None:
        """Take a comment line, `text` without its `#` marks: a fact, a subtest or a diagnostic."""
        level = self._levels[-1]
        fact, subtest = _FACT.match(text), _SUBTEST.match(text)
        if fact:
            self._fact(fact[1], fact[2])
        elif subtest:
            level.name = level.name or clean(subtest[1])
        elif len(level.diagnostics) < MAX_DIAGNOSTICS:
            level.diagnostics.append(clean(text))
        else:
            self._once(f"more than {MAX_DIAGNOSTICS} diagnostic lines in one test")

    # -- levels -------------------------------------------------------------------------------

    def _open(self, depth: int, *, keep_children: bool = False) -> _Level:
        """Return the level at `depth`; deeper ones are closed, but for a result's children."""
        while self._levels[-1].depth > depth:
            above = self._levels[-2].depth
            if keep_children and above <= depth:
                if above < depth:  # the children were deeper than their parent's siblings
                    self._levels.insert(-1, _Level(depth))
                return self._levels[-2]
            self._orphan()
        if self._levels[-1].depth < depth:
            self._levels.append(_Level(depth))
        return self._levels[-1]

    def _adopt(self, level: _Level, test: Test) -> None:
        """Make the tests of the level below `level`, if there is one, the children of `test`."""
        if self._levels[-1] is level:
            test.diagnostics, level.diagnostics = level.diagnostics, []
            return
        below = self._levels.pop()
        test.diagnostics = level.diagnostics + below.diagnostics
        level.diagnostics = []
        test.children, test.plan = below.tests, below.plan
        if below.name and below.name != test.name:
            self._find(f"'{test.name}' ends the tests of '{below.name}'")
        below.name = test.name
        self._check_plan(below)

    def _orphan(self) -> None:
        """Close the deepest level without a line of its parent."""
        below = self._levels.pop()
        self._check_plan(below)
        if below.tests or below.name or below.plan is not None:
            parent = Test(below.name, diagnostics=below.diagnostics, children=below.tests)
            parent.plan = below.plan
            self._levels[-1].tests.append(parent)

    def _level_name(self) -> str:
        level = self._levels[-1]
        return level.name or ("the stream" if level.depth == 0 else "a nested test")

    # -- checks -------------------------------------------------------------------------------

    def _check_plan(self, level: _Level) -> None:
        tests = level.tests[level.first :]
        name = level.name or ("the stream" if level.depth == 0 else "a nested test")
        if level.plan is None:
            if tests:
                self._find(f"{name}: no plan")
        elif level.plan != len(tests):
            weight: Weight = "torn" if len(tests) < level.plan else "fault"
            self._find(f"{name}: {level.plan} tests planned, {len(tests)} came", weight)
        for test_name, count in Counter(test.name for test in tests).most_common(3):
            if count > 1:
                self._find(f"{name}: '{test_name}' came {count} times")

    def _check_number(self, level: _Level, test: Test) -> None:
        expected = len(level.tests) - level.first + 1
        if test.number is None:
            self._find(f"'{test.name}' has no number")
        elif test.number != expected:
            self._find(f"'{test.name}' has number {test.number}, not {expected}")

    def _find(self, text: str, weight: Weight = "fault") -> None:
        if len(self.document.findings) < MAX_FINDINGS:
            self.document.findings.append(Irregularity(clean(text), weight))
        else:
            self._hidden += 1

    def _once(self, text: str) -> None:
        """Record once that a limit was exceeded, also when there are MAX_FINDINGS already."""
        if text not in self._full:
            self._full.add(text)
            self.document.findings.append(Irregularity(text))

    def _fact(self, kind: str, rest: str) -> None:
        if len(self.document.facts) >= MAX_FACTS:
            self._once(f"more than {MAX_FACTS} facts")
            return
        try:
            self.document.facts.append(make_fact(kind, rest.split()))
        except ValueError as error:
            self._find(str(error))


def parse(data: bytes) -> Document:
    """Return the document of a whole stream."""
    parser = Parser()
    parser.feed(data)
    return parser.close()


def parse_lines(lines: Iterable[str]) -> Document:
    """Return the document of lines that are already decoded, without their ends."""
    parser = Parser()
    for line in lines:
        parser.line(line)
    return parser.close()
