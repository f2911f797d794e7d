# SPDX-License-Identifier: GPL-2.0-only
"""One deadline on the monotonic clock, handed down instead of separate time-outs."""

from __future__ import annotations

import time

from harness.base.errors import OutOfTimeError

EXTENSIONS = 3.0  # times its seconds that a deadline may be extended by in all


class Deadline:
    """Counts down from `seconds`; `left()` never goes below zero.

    `within` is the limit of the whole that this is a part of, e.g. of a cell. When that is over,
    `left()` and `over` raise OutOfTimeError with the limit's `reason`, in whatever thread. `key`
    says where a user can change `seconds`, "" where nobody can.
    """

    def __init__(
        self, seconds: float, *, within: Deadline | None = None, reason: str = "", key: str = ""
    ) -> None:
        self.seconds = seconds
        self.key = key
        self.reason = reason or f"took longer than {seconds:g} s"
        self._within = within
        self._extended = 0.0
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left, 0.0 when over. Raise OutOfTimeError when the limit is over."""
        now = time.monotonic()
        end, limit = self._end, self._within
        while limit is not None:
            if limit._end <= now:
                raise OutOfTimeError(limit.reason)
            end, limit = min(end, limit._end), limit._within
        return max(0.0, end - now)

    @property
    def over(self) -> bool:
        """Whether no time is left. Raise OutOfTimeError when the limit is over."""
        return self.left() == 0.0

    def extend(self, seconds: float) -> None:
        """Give `seconds` more, in which what is waited for could do nothing.

        In all that is no more than EXTENSIONS times the deadline's own seconds, and never beyond
        the limit that it is within.
        """
        more = min(seconds, EXTENSIONS * self.seconds - self._extended)
        self._extended += max(0.0, more)
        self._end += max(0.0, more)

    def at_most(self, seconds: float) -> Deadline:
        """Return a deadline for a part of the work, never later than this one."""
        return Deadline(min(seconds, self.left()), within=self._within)
