# SPDX-License-Identifier: GPL-2.0-only
"""One deadline on the monotonic clock, handed down instead of separate time-outs."""

from __future__ import annotations

import time


class Deadline:
    """Counts down from `seconds`; `left()` never goes below zero."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, 0.0 when over."""
        return max(0.0, self._end - time.monotonic())

    @property
    def over(self) -> bool:
        return self.left() == 0.0

    def at_most(self, seconds: float) -> Deadline:
        """A deadline for a part of the work, never later than this one."""
        return Deadline(min(seconds, self.left()))
