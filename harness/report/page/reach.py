# SPDX-License-Identifier: GPL-2.0-only
"""The diff of a series, each line that it adds marked with whether it ran (docs/reach.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from harness.base.text import clean
from harness.evaluate.patch.verdict.document import VerdictDocument
from harness.evaluate.patch.verdict.lines import AddedLine, LineState
from harness.results.store import PATCH, SERIES_DIFF

SHOWN = 4000  # lines of the diff; a page stays below 2 MB
WIDTH = 160  # characters of a line
_FILE = re.compile(r"\+\+\+ (?:b/)?(.+)")
_HUNK = re.compile(r"@@ -\S+ \+(\d+)(?:,\d+)? @@")
WORDS = {
    LineState.RAN: "ran",
    LineState.NEVER: "never",
    LineState.NO_CODE: "no code",
    LineState.NOT_BUILT: "not built",
}


@dataclass(frozen=True)
class MarkedLine:
    """A line of a diff: its number in the new file, "" for one that is removed.

    `state` is "" for what the series does not add; `where` names the cells that ran the line.
    """

    number: str
    sign: str
    text: str
    state: str = ""
    word: str = ""
    where: str = ""


@dataclass(frozen=True)
class MarkedHunk:
    """A hunk: its line `@@ … @@`, and its lines."""

    head: str
    lines: list[MarkedLine] = field(default_factory=list)


@dataclass(frozen=True)
class MarkedFile:
    """A file of the series with its hunks."""

    path: str
    hunks: list[MarkedHunk] = field(default_factory=list)


@dataclass(frozen=True)
class MarkedSeries:
    """The whole diff; `hidden` counts the lines that are left out."""

    summary: str
    files: list[MarkedFile]
    hidden: int


def marked_series(folder: Path | None) -> MarkedSeries | None:
    """Return the marked diff of the run in `folder`; None where it has none."""
    if folder is None:
        return None
    try:
        document = VerdictDocument.model_validate_json((folder / PATCH).read_text())
        diff = (folder / SERIES_DIFF).read_text(errors="replace")
    except (OSError, ValidationError):
        return None
    if document.reach is None:
        return None
    known = {(line.file, line.line): line for line in document.reach.lines}
    lines = diff.splitlines()
    files = list(_files(lines[:SHOWN], known))
    return MarkedSeries(document.reach.summary, files, max(len(lines) - SHOWN, 0))


def _files(lines: list[str], known: dict[tuple[str, int], AddedLine]) -> Iterator[MarkedFile]:
    file: MarkedFile | None = None
    hunk: MarkedHunk | None = None
    number = 0
    for line in lines:
        if line.startswith("diff --git "):
            hunk = None
        elif hunk is None and (named := _FILE.match(line)):
            if file and file.hunks:
                yield file
            file = MarkedFile(named[1])
        elif file and (begin := _HUNK.match(line)):
            hunk, number = MarkedHunk(clean(line, WIDTH)), int(begin[1])
            file.hunks.append(hunk)
        elif file and hunk and line[:1] in ("+", "-", " "):
            hunk.lines.append(_line(line, number, known.get((file.path, number))))
            number += line[0] != "-"
    if file and file.hunks:
        yield file


def _indented(text: str) -> str:
    """Return a line of code that is cleaned, with the white space that it begins with."""
    bare = text.lstrip(" ")
    return " " * min(len(text) - len(bare), WIDTH // 2) + clean(bare, WIDTH)


def _line(line: str, number: int, known: AddedLine | None) -> MarkedLine:
    text = _indented(line[1:].expandtabs(8))
    if line[0] != "+" or known is None:
        return MarkedLine("" if line[0] == "-" else str(number), line[0], text)
    where = clean(", ".join(known.where), WIDTH)
    return MarkedLine(str(number), "+", text, known.state.value, WORDS[known.state], where)
