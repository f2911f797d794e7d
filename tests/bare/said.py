# SPDX-License-Identifier: GPL-2.0-only
"""Which tool a failing command lacked, by what it and its tools said."""

from __future__ import annotations

import re

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_INSTALLING = "bootstrap: installing "
# Each has the tool's name, or the file that a tool's package brings, as its only group.
_MISSING = tuple(
    re.compile(pattern, re.M)
    for pattern in (
        r"^  (\S[^:\n]*?) +(?:missing|too old|[\d.]+ is too old)[: ]",  # bootstrap, s2eval doctor
        r"(?:^|[\s:])([\w.+-]+) is missing\b",  # s2eval
        r"^E: Unable to locate package (\S+)",
        r"^\S*sh: (?:\d+: |line \d+: )?(\S+): (?:command )?not found",
        r"(\S+): command not found",
        r"^make.*: (\S+): No such file or directory$",
        r"env: .(\S+).: No such file",
        r"No such file or directory: '([^'/]+)'",  # Python
        r"fatal error: (\S+\.h): No such file",
        r"cannot find -l(\w+)",
        r"failed to find romfile \"([^\"]+)\"",
        r"error while loading shared libraries: (\S+?):",
    )
)


def plain(text: str) -> str:
    """`text` without what colours it or moves a terminal's cursor."""
    # A terminal in a terminal, as tox gives to pytest, ends lines with two of them.
    return re.sub(r"\r+\n|\r", "\n", _ESCAPES.sub("", text))


def missing(text: str) -> list[str]:
    """The tools that `text` says are not there, each once, in its order.

    What ./bootstrap says before it installs is not lacking any more.
    """
    text = plain(text)
    text = text[max(text.rfind(_INSTALLING), 0) :]
    found = [(match.start(), match[1]) for wanted in _MISSING for match in wanted.finditer(text)]
    return list(dict.fromkeys(name for _, name in sorted(found)))


def tail(text: str, lines: int = 60) -> str:
    """The last lines of `text`, as they are to read."""
    return "\n".join(plain(text).splitlines()[-lines:])
