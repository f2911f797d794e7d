# SPDX-License-Identifier: GPL-2.0-only
"""A guest's log as it comes: kept for the post-mortem, and looked at line by line."""

from __future__ import annotations

from harness.deadline import Deadline
from harness.guest import classify
from harness.guest.classify import FailureClass, Source
from harness.results.records import Failure

KEPT = 20_000  # lines for the post-mortem; the log file has them all


class GuestLog:
    """Lines of one log; `where` is whose it is, `name` its file in the cell's folder."""

    def __init__(self, where: str, name: str, source: Source = "kernel") -> None:
        self.where = where
        self.name = name
        self.lines: list[str] = []
        self._watch = classify.Watch(source)

    def feed(self, line: str) -> FailureClass | None:
        """Take a line; its class when it hurts or ends the guest."""
        if len(self.lines) < KEPT:
            self.lines.append(line)
        return self._watch.line(line)

    def failure(self) -> Failure | None:
        """The first cause among the lines so far; None when nothing worse than a WARN is there."""
        if self._watch.first is None:
            return None
        return classify.console(self.lines, self.where, self.name)

    def quiet(self, deadline: Deadline, silence: float, what: str) -> Failure:
        """What to say when a wait for `what` ended without an answer."""
        if deadline.over:
            return classify.deadline(deadline.seconds, what, self.lines, self.where, self.name)
        return classify.silence(silence, self.lines, self.where, self.name)
