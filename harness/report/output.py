# SPDX-License-Identifier: GPL-2.0-only
"""Writes documents to a file or to standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.base.errors import UsageError
from harness.base.files import write_atomic


def deliver(text: str, output: Path | None) -> None:
    """Write `text` as UTF-8 to the file `output`, whole or not at all, or to standard output.

    Raise UsageError when the file cannot be written, BrokenPipeError when the reader has left.
    """
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(_encoded(text))
        sys.stdout.flush()  # raises BrokenPipeError here, not when Python exits
        return
    try:
        if output.exists() and not output.is_file():  # /dev/stdout, a pipe
            output.write_bytes(_encoded(text))
        else:
            write_atomic(output, _encoded(text))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(f"{output}: {error.strerror}: name a file you can write") from None


def _encoded(text: str) -> bytes:
    """Return `text` as UTF-8; `?` stands for half a surrogate pair, which UTF-8 cannot encode."""
    return text.encode(errors="replace")
