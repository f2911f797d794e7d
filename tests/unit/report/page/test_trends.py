# SPDX-License-Identifier: GPL-2.0-only
"""Observations over runs, as the page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.report.page import trends as trends_module
from harness.report.page.past import known_trends
from harness.report.page.trends import Trends, trend, trends
from harness.results.history.history import History
from harness.results.history.values import Point
from tests.unit.report.format_runs import expected, failing
from tests.unit.report.report_runs import recorded


def points(*seen: tuple[str, str | float | None], unit: str = "") -> list[Point]:
    return [
        Point(f"2026-01-{day:02}T00:00:00", f"run-{day}", status, value, unit)
        for day, (status, value) in enumerate(seen, 1)
    ]


class Past:
    """A history in memory."""

    def __init__(self, found: list[Point]) -> None:
        self.found = found
        self.asked: list[str] = []

    def series(
        self, path: str, kernel: str | None, machine: str | None, limit: int, suite: str | None
    ) -> Sequence[Point]:
        self.asked.append(f"{kernel}/{machine}/{suite} {path}")
        return self.found[-limit:]


def test_words_are_bars_and_a_change_is_marked() -> None:
    seen = points(("PASS", "works"), ("PASS", "works"), ("FAIL", "faults"))
    line = trend(0, "c", "p", seen)
    assert [bar.status for bar in line.bars] == ["PASS", "PASS", "FAIL"]
    assert [bar.other for bar in line.bars] == [False, False, True]
    assert line.bars[2].height > line.bars[1].height
    assert line.summary == "FAIL guest faults since 2026-01-03; before: 2 x PASS works"
    assert (
        trend(0, "c", "p", points(("DONE", "x"), ("DONE", "x"))).summary == "DONE x in all 2 runs"
    )


def test_figures_are_a_line() -> None:
    line = trend(0, "c", "p", points(("DONE", 1.0), ("DONE", 3.0), ("DONE", 2.0), unit="ns"))
    assert line.line == "3,14.0 9,2.0 15,8.0" and line.bars == []
    assert line.summary == "2 ns now, 1 to 3 in 3 runs"
    flat = trend(0, "c", "p", points(("DONE", 1.0), ("DONE", 1.0), unit="ns"))
    assert flat.line == "3,14.0 9,14.0"


def test_what_is_asked_of_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    past = Past(points(("PASS", "a"), ("FAIL", "b")))
    found = trends(recorded(), past)
    assert past.asked[0].endswith(" wcprobe.ioremap_wc.unaligned_load")
    assert "debian-6.1/nested-tcg/wcprobe audit.ioremap_wc.stage2" in past.asked
    assert not any("throughput" in asked for asked in past.asked)  # TCG's
    assert len(found.lines) == len(past.asked) and found.left_out == 0
    trends(recorded(), past, every=True)
    assert any("throughput" in asked for asked in past.asked)
    monkeypatch.setattr(trends_module, "SOME", 1)
    assert trends(recorded(), past).left_out > 0
    assert trends(recorded(), Past(points(("PASS", "a")))).lines == []
    assert trends(expected(failing()), past).lines[0].path == "wcprobe.a.bad"


def test_the_trends_of_a_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'h.sqlite'}"
    said: list[str] = []
    assert known_trends(recorded(), url, every=False, say=said.append) == Trends([])
    with pytest.raises(UsageError, match="s2eval history --rebuild"):
        known_trends(recorded(), url, every=True, say=said.append)
    assert list(tmp_path.iterdir()) == [] and said == []
    for day in (17, 18):
        run = recorded()
        run.run.id, run.run.started = f"202601{day}-101530-q", f"2026-01-{day}T10:15:30+00:00"
        History(url).record(run, tmp_path / run.run.id)
    few = known_trends(recorded(), url, every=False, say=said.append).lines
    many = known_trends(recorded(), url, every=True, say=said.append).lines
    assert "audit.ioremap_wc.stage2" in [line.path for line in few]
    assert not any(line.line for line in few) and any(line.line for line in many)
    assert all(line.summary.endswith("in all 2 runs") for line in few) and said == []


def test_a_page_does_not_fail_for_want_of_a_history() -> None:
    said: list[str] = []
    assert known_trends(recorded(), "nonsense", every=False, say=said.append) == Trends([])
    assert len(said) == 1 and said[0].startswith("warning: a page without history: ")
    with pytest.raises(UsageError):
        known_trends(recorded(), "nonsense", every=True, say=said.append)
