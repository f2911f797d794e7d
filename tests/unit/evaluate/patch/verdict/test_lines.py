# SPDX-License-Identifier: GPL-2.0-only
"""What the states of added lines come to in one line."""

from __future__ import annotations

from harness.evaluate.patch.verdict.lines import AddedLine, LineState, PatchReach, summary


def line(number: int, state: LineState, file: str = "a/x.c") -> AddedLine:
    return AddedLine(file=file, line=number, state=state)


def test_no_line_at_all() -> None:
    assert PatchReach.of([]).summary == "the series adds no line"


def test_a_single_line_that_ran() -> None:
    assert summary([line(3, LineState.RAN)]) == "1 of 1 added line ran"


def test_lines_of_two_files_do_not_follow_each_other() -> None:
    lines = [line(1, LineState.NEVER), line(2, LineState.NEVER, "b/y.h")]
    assert summary(lines) == "0 of 2 added lines ran; never: x.c:1, y.h:2"


def test_many_places_are_counted() -> None:
    lines = [line(number, LineState.NOT_BUILT) for number in range(0, 14, 2)]
    assert summary(lines).endswith("; not built: x.c:0, x.c:2, x.c:4, x.c:6 and 3 more")
