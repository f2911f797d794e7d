# SPDX-License-Identifier: GPL-2.0-only
"""What a guest printed is data: made fit for a record and a terminal here, and nowhere else."""

from __future__ import annotations

import re

LINE_LIMIT = 400  # characters; nobody reads more of one line

# Escape sequences (ECMA-48: CSI; OSC and other strings up to their end; the short ones), then
# every control character that is left, and the marks that turn the direction of writing round.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]?"
    r"|\x9b[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
    r"|[\ud800-\udfff]"
)


def clean(text: str | bytes, limit: int = LINE_LIMIT) -> str:
    """Return one line of `text` without control sequences, cut to `limit` characters.

    Bytes that are no UTF-8 show as U+FFFD.
    """
    if isinstance(text, bytes):
        text = text[: 4 * limit].decode("utf-8", errors="replace")
    # What is cut off is not looked at: a line may be megabytes long.
    line = _CONTROL.sub("", text[: 4 * limit]).replace("\t", " ").strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"
