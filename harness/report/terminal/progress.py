# SPDX-License-Identifier: GPL-2.0-only
"""Progress on standard error: live on a terminal, lines elsewhere, nothing when quiet."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from harness.evaluate.progress import Progress, View
from harness.report.terminal.lines import LineView


def shown_progress(*, quiet: bool, stream: TextIO | None = None) -> Progress:
    """Return a Progress that shows itself on `stream`, default standard error."""
    return Progress(*([] if quiet else [_view(stream or sys.stderr)]))


def _view(stream: TextIO) -> View:
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        from harness.report.terminal.live import LiveView  # noqa: PLC0415 - rich takes 0.1 s

        return LiveView(stream)
    return LineView(stream)
