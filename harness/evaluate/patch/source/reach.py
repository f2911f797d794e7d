# SPDX-License-Identifier: GPL-2.0-only
"""Whether a patch can make another kernel of this configuration at all. Pure but for a look at O=.

A guess, told before anything is built, that errs on the side of yes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

# What no build of an arm64 kernel reads.
_APART = ("Documentation/", "LICENSES/", "samples/", "tools/")
_FILES = {"COPYING", "CREDITS", "MAINTAINERS", ".mailmap", ".gitignore", ".clang-format"}
_TEXTS = {".rst", ".txt", ".md", ".json"}
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_LINE = re.compile(r"^[ \t]*(?:\*(?:[ \t/].*)?|/\*.*)$", re.MULTILINE)
_PATH = re.compile(r"^(?:---|\+\+\+) (?:[ab]/)?(\S+)", re.MULTILINE)


def may_change(patches: Iterable[str], out: Path) -> bool:
    """Return whether patches (their text) touch more than comments of what `out` is compiled of."""
    return any(
        _is_read(path, out) and _is_code(path, diff)
        for text in patches
        for path, diff in _files(text)
    )


def _files(text: str) -> Iterable[tuple[str, str]]:
    """Each file of a patch and its part of the diff."""
    for part in re.split(r"^(?=diff --git |Index: )", text, flags=re.MULTILINE)[1:] or [text]:
        for path in dict.fromkeys(_PATH.findall(part)):
            if path != "/dev/null":
                yield path, part


def _is_read(path: str, out: Path) -> bool:
    name = PurePosixPath(path)
    if path.startswith(_APART) or name.name in _FILES or name.suffix in _TEXTS:
        return False
    if path.startswith("arch/") and not path.startswith("arch/arm64/"):
        return False
    if name.suffix in {".c", ".S"}:
        folder = out / name.parent
        return not folder.parent.is_dir() or any(folder.glob(f".{name.stem}.*cmd"))
    return True


def _is_code(path: str, diff: str) -> bool:
    """Whether anything but comments and white space changes."""
    if PurePosixPath(path).suffix not in {".c", ".h", ".S"}:
        return True
    before, after = (
        "\n".join(
            line[1:]
            for line in diff.splitlines()
            if line.startswith((sign, " ")) and not line.startswith(sign * 3)
        )
        for sign in "-+"
    )
    return _bare(before) != _bare(after)


def _bare(text: str) -> str:
    """Code without comments and white space; a hunk may begin or end inside a comment."""
    return "".join(_LINE.sub("", _COMMENT.sub("", text)).split())
