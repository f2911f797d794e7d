# SPDX-License-Identifier: GPL-2.0-only
"""Standard output whose reader may leave before all is written (`s2eval show | head`)."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """Run a block that prints; a reader that leaves early does not change the exit code."""
    try:
        yield
        sys.stdout.flush()  # raises BrokenPipeError here, not when Python exits
    except BrokenPipeError:
        discard_stdout()


def discard_stdout() -> None:
    """Discard all further output on standard output, also that of Python's flush on exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
