# SPDX-License-Identifier: GPL-2.0-only
"""Diffs in a text, found by their own counts: what a hunk holds is never taken for a header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.base.errors import UsageError
from harness.base.text import clean

_HUNK = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")
_EXTENDED = (
    "old mode ", "new mode ", "deleted file mode ", "new file mode ", "copy from ", "copy to ",
    "rename from ", "rename to ", "similarity index ", "dissimilarity index ", "index ",
)  # fmt: skip
_NAMES = ("--- ", "+++ ", "rename from ", "rename to ", "copy from ", "copy to ")
_DATALESS = re.compile(r"Binary files (?:a/)?(.+?) and (?:b/)?(.+?) differ")
_ORIGINAL = re.compile(r"(?:\.orig|\.old|~)\Z")
# The folders at the top of the kernel's tree: where a path begins with one, it has no prefix.
_TOP = frozenset(
    {
        "arch", "block", "certs", "crypto", "Documentation", "drivers", "fs", "include", "init",
        "io_uring", "ipc", "kernel", "lib", "LICENSES", "mm", "net", "rust", "samples", "scripts",
        "security", "sound", "tools", "usr", "virt",
    }
)  # fmt: skip


@dataclass
class FileDiff:
    """The diff of one file: its header's lines, by their places in `Diffs.lines`, and its hunks.

    `end` is the line behind the last one.
    """

    start: int
    headers: list[int] = field(default_factory=list)
    hunks: int = 0
    binary: bool = False
    end: int = 0


@dataclass
class Diffs:
    """The diffs in a text. What stands between them, as git apply sees it, is left to stand."""

    lines: list[str]
    files: list[FileDiff] = field(default_factory=list)
    merge: bool = False

    @property
    def start(self) -> int:
        """Return the line of the first diff."""
        return self.files[0].start

    @property
    def end(self) -> int:
        """Return the line behind the last diff."""
        return self.files[-1].end

    @property
    def dashes_after_first(self) -> bool:
        """Return whether `---` stands between two diffs: the first one is part of a message."""
        between = zip(self.files, self.files[1:], strict=False)
        return any("---" in self.lines[one.end : other.start] for one, other in between)

    def content(self) -> str:
        """Return the diffs alone, to be compared."""
        parts = (line for one in self.files for line in self.lines[one.start : one.end])
        return "\n".join(parts)


def find(text: str) -> Diffs:
    """Return the diffs in a text, which has LF line ends."""
    found = Diffs(text.split("\n"))
    lines, at = found.lines, 0
    while at < len(lines):
        if lines[at].startswith(("diff --cc ", "diff --combined ")):
            found.merge = True
        one = _file(lines, at) if _may_begin(lines, at) else None
        if one:
            found.files.append(one)
        at = one.end if one else at + 1
    return found


def _may_begin(lines: Sequence[str], at: int) -> bool:
    line = lines[at]
    if line.startswith("--- "):
        return at + 1 < len(lines) and lines[at + 1].startswith("+++ ")
    return line.startswith(("diff ", "Index: "))


def _file(lines: Sequence[str], at: int) -> FileDiff | None:
    """The diff that begins here; None for words that only look like one."""
    found = FileDiff(at)
    while at < len(lines):
        line = lines[at]
        if _HUNK.match(line):
            at = _after_hunk(lines, at)
            found.hunks += 1
        elif found.hunks or found.binary:
            break
        elif line == "GIT binary patch" or line.startswith("Binary files "):
            found.headers.append(at)
            at = _after_binary(lines, at + 1) if line == "GIT binary patch" else at + 1
            found.binary = True
        elif (
            at == found.start
            or line.startswith((*_EXTENDED, "--- ", "+++ ", "==="))
            or (line.startswith("diff ") and lines[found.start].startswith("Index: "))
        ):
            found.headers.append(at)
            at += 1
        else:
            break
    found.end = at
    more = [n for n in found.headers[1:] if lines[n].startswith(_EXTENDED)]
    return found if found.hunks or found.binary or more else None


def _after_hunk(lines: Sequence[str], at: int) -> int:
    match = _HUNK.match(lines[at])
    if not match:
        raise AssertionError("a hunk begins with @@")
    old, new = (int(count or 1) for count in match.groups())
    at += 1
    while at < len(lines) and (old > 0 or new > 0):
        kind = lines[at][:1]
        if kind not in {"", " ", "-", "+", "\\"} or (not kind and at == len(lines) - 1):
            return at  # git will say that it is corrupt
        old -= kind in {"", " ", "-"}
        new -= kind in {"", " ", "+"}
        at += 1
    while at < len(lines) and lines[at].startswith("\\ "):  # No newline at end of file
        at += 1
    return at


def _after_binary(lines: Sequence[str], at: int) -> int:
    """git-diff: `literal N` or `delta N`, lines in base 85, an empty line; that twice."""
    for _ in range(2):
        if at < len(lines) and lines[at].startswith(("literal ", "delta ")):
            at = next((n for n in range(at, len(lines)) if not lines[n]), len(lines) - 1) + 1
    return at


def check(found: Diffs, source: str) -> None:
    """Raise UsageError for a patch that must not or cannot be applied anywhere."""
    if found.merge:
        raise UsageError(f"{source}: the combined diff of a merge: git am takes none")
    for one in found.files:
        for line in (found.lines[n] for n in one.headers):
            binary = _DATALESS.fullmatch(line)
            if binary:
                name = binary[2] if binary[1] == "/dev/null" else binary[1]
                raise UsageError(
                    f"{source}: {clean(name)} is binary and its content is not in the patch"
                    " (git format-patch --binary)"
                )
            if line.startswith(_NAMES):
                _check_path(_path(line), source)


def _check_path(path: str, source: str) -> None:
    inner = path[2:] if path[:2] in {"a/", "b/"} else path
    outside = inner.startswith(("/", "~")) and path != "/dev/null"
    if outside or set(inner.split("/")) & {"..", ".git"}:
        raise UsageError(f"{source}: the path {clean(path)} leaves the tree")


def _path(line: str) -> str:
    """The path of a header line, without quotes and what diff(1) writes behind a tab."""
    prefix = next(one for one in _NAMES if line.startswith(one))
    path = line[len(prefix) :].partition("\t")[0].rstrip()
    return path[1:-1] if len(path) > 1 and path[0] == path[-1] == '"' else path


def with_prefixes(found: Diffs) -> bool:
    """Add a/ and b/ where a diff was made without (diff.noprefix); return whether any was."""
    bare = [one for one in found.files if _has_no_prefix(found.lines, one)]
    for one in bare:
        for n in one.headers:
            found.lines[n] = _prefixed(found.lines[n])
    return bool(bare)


def _has_no_prefix(lines: Sequence[str], one: FileDiff) -> bool:
    first = lines[one.start]
    headers = [lines[n] for n in one.headers]
    if first.startswith("diff --git "):
        left, right = _halves(first)
        moved = next((line.partition(" from ")[2] for line in headers if " from " in line), "")
        return bool(left) and left in {right, moved}
    paths = [_path(line) for line in headers if line.startswith(("--- ", "+++ "))]
    named = [_ORIGINAL.sub("", path) for path in paths if path != "/dev/null"]
    if not named or len(set(named)) != 1:
        return False
    top, slash, _ = named[0].partition("/")
    return not slash or top in _TOP


def _halves(line: str) -> tuple[str, str]:
    """The two paths of a `diff --git` line; of paths with spaces only two that are the same."""
    words = line.removeprefix("diff --git ")
    middle = len(words) // 2
    if words[:middle] == words[middle + 1 :] and words[middle : middle + 1] == " ":
        return words[:middle], words[:middle]
    left, _, right = words.partition(" ")
    return ("", "") if " " in right else (left, right)


def _prefixed(line: str) -> str:
    if line.startswith("diff --git "):
        left, right = _halves(line)
        return f"diff --git {_with('a/', left)} {_with('b/', right)}"
    for start, prefix in (("--- ", "a/"), ("+++ ", "b/")):
        if line.startswith(start) and _path(line) != "/dev/null":
            return start + _with(prefix, line.removeprefix(start))
    return line


def _with(prefix: str, path: str) -> str:
    return f'"{prefix}{path[1:]}' if path.startswith('"') else prefix + path
