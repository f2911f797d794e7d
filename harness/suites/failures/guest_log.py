# SPDX-License-Identifier: GPL-2.0-only
"""A guest's log as it comes: kept for the post-mortem, and classified line by line."""

from __future__ import annotations

from collections import deque

from harness.base.deadline import Deadline
from harness.results.records import Failure
from harness.suites.failures import classify
from harness.suites.failures.classify import FailureClass, Source

KEPT = 2_000  # lines before the first failure, and again from there on; the log file has them all
LINE_KEPT = 1_000  # characters of a line


class GuestLog:
    """Lines of one log; `where` is its guest ("L1", "L2"), `name` its file in the cell's folder."""

    def __init__(self, where: str, name: str, source: Source = "kernel") -> None:
        self.where = where
        self.name = name
        self._watch = classify.Watch(source)
        self._before: deque[str] = deque(maxlen=KEPT)
        self._after: list[str] = []

    @property
    def lines(self) -> list[str]:
        """Return the kept lines: the last ones, or those around the first failure."""
        return [*self._before, *self._after]

    def feed(self, line: str) -> FailureClass | None:
        """Take a line; return its class when its effect is to hurt or end the guest, else None."""
        line = line[:LINE_KEPT]
        failure_class = self._watch.line(line)
        if self._watch.first is None:
            self._before.append(line)
        elif len(self._after) < KEPT:
            self._after.append(line)
        return failure_class

    def failure(self) -> Failure | None:
        """Return the first cause among the lines so far; None when there are none but remarks."""
        if self._watch.first is None:
            return None
        return classify.console(self.lines, self.where, self.name)

    def silence(self, seconds: float) -> Failure:
        """Return the failure of a log without output for `seconds`."""
        return classify.silence(seconds, self.lines, self.where, self.name)

    def quiet(self, deadline: Deadline, silence: float, what: str) -> Failure:
        """Return the failure of a wait for `what` that ended at `deadline` or after `silence` s."""
        if deadline.over:
            return classify.deadline(deadline.seconds, what, self.lines, self.where, self.name)
        return self.silence(silence)
