# SPDX-License-Identifier: GPL-2.0-only
"""Standard output whose reader may leave before all is written (`s2eval show | head`)."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """Print within: a reader that leaves early does not change how the command ends."""
    try:
        yield
        sys.stdout.flush()  # that a reader has left shows here, not at Python's own end
    except BrokenPipeError:
        discard_stdout()


def discard_stdout() -> None:
    """Let what is still to be written go nowhere, Python's own flush at the end included."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
