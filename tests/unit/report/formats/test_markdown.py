# SPDX-License-Identifier: GPL-2.0-only
"""Markdown and JSON out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.report.formats import Source, export
from harness.report.output import deliver
from harness.results.records import Run
from tests.unit.report.format_runs import hostile
from tests.unit.report.report_runs import a_run, quickstart, recorded


def markdown(run: Run) -> str:
    return export(Source(run), "markdown")


def test_the_verdict_comes_first() -> None:
    text = markdown(recorded())
    assert text.startswith("# PASS: ")
    assert "5 of 5 expectations met, exit code 0." in text.splitlines()[2]


def test_the_grid_says_what_stage_2_was() -> None:
    text = markdown(recorded())
    assert "| `debian-6.1` | **FAIL**, expected<br>`kvm-error`<br>stage 2 `Device-nGnRE` |" in text
    assert "| `debian-6.1+stage2-normal-nc` | **PASS**<br>stage 2 `Normal-NC` |" in text


def test_findings_and_what_differs() -> None:
    text = markdown(quickstart())
    assert "  - `ioremap_wc.unaligned_load: VM killed -> works`" in text
    assert "  - **FAIL** `ioremap_wc.unaligned_load: VM killed: kvm [55]: Unsupported FSC" in text


def test_tables_are_tables() -> None:
    for block in markdown(recorded()).split("\n\n"):
        if block.startswith("|"):
            bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(bars) == 1


def test_hostile_words_stay_in_code_spans() -> None:
    text = markdown(hostile())
    assert not any(mark in text for mark in "\x1b\x00\x08\x9b\u202e")
    outside = re.sub(r"`[^`\n]*`", "", text)
    assert "script" not in outside and "img" not in outside and "`" not in outside
    for line in outside.splitlines():
        assert not line.startswith("|") or line.endswith("|")


def test_nothing_was_run() -> None:
    assert markdown(a_run()).startswith("# FAIL: `q`\n")


def test_json_is_the_record() -> None:
    assert Run.model_validate_json(export(Source(recorded()), "json")) == recorded()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out.md"
    target.write_text("before")
    deliver("half a pair: \ud800", target)
    assert target.read_text() == "half a pair: ?"
    assert list(tmp_path.iterdir()) == [target]
    for wrong in (tmp_path / "no" / "out.md", tmp_path):
        with pytest.raises(UsageError, match=re.escape(str(wrong))):
            deliver("x", wrong)
