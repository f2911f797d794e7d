# SPDX-License-Identifier: GPL-2.0-only
"""The marked diff of a series on the page."""

from __future__ import annotations

from pathlib import Path

from harness.evaluate.patch.verdict.document import Side, VerdictDocument
from harness.evaluate.patch.verdict.lines import AddedLine, LineState, PatchReach
from harness.evaluate.patch.verdict.word import Verdict
from harness.report.page import reach as page_reach
from harness.report.page import render
from harness.report.page.reach import marked_series
from harness.results.records import Status
from harness.results.store import PATCH, SERIES_DIFF
from tests.data_files import DATA
from tests.unit.report.report_runs import a_run

PATCHES = DATA / "series/reach"
MMU = "arch/arm64/kvm/mmu.c"


def a_folder(folder: Path, **states: LineState) -> Path:
    """Make the folder of a run of the series, with lines of mmu.c in their states."""
    lines = [
        AddedLine(file=MMU, line=int(number.removeprefix("at_")), state=state, where=["m/<s>"])
        for number, state in states.items()
    ]
    document = VerdictDocument(
        verdict=Verdict.UNCHANGED, status=Status.PASS, exit_code=0, headline="h",
        base=Side(name="a"), patched=Side(name="b"), reach=PatchReach.of(lines),
    )  # fmt: skip
    (folder / PATCH).write_text(document.model_dump_json(by_alias=True))
    (folder / SERIES_DIFF).write_text(next(PATCHES.glob("*.patch")).read_text())
    return folder


def test_each_added_line_has_its_number_and_state(tmp_path: Path) -> None:
    told = marked_series(a_folder(tmp_path, at_1403=LineState.RAN, at_1405=LineState.NEVER))
    assert told
    assert [file.path.rpartition("/")[2] for file in told.files] == ["arm.c", "switch.h", "mmu.c"]
    lines = {line.number: line for line in told.files[2].hunks[0].lines}
    assert (lines["1403"].word, lines["1405"].word, lines["1402"].word) == ("ran", "never", "")
    assert lines["1403"].text.startswith("        if (fault_ipa > BIT_ULL(56)")
    assert lines["1405"].sign == "+"
    removed = [line for line in told.files[0].hunks[0].lines if line.sign == "-"]
    assert [line.number for line in removed] == [""]


def test_the_page_has_it_and_no_markup_of_others(tmp_path: Path) -> None:
    page = render(a_run(), a_folder(tmp_path, at_1403=LineState.RAN))
    assert 'class="ran" title="m/&lt;s&gt;"' in page
    assert "1 of 1 added line ran" in page


def test_a_long_diff_is_cut(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    more = "".join(f"+line {number}\n" for number in range(5000))
    (folder / SERIES_DIFF).write_text(
        f"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -0,0 +1,5000 @@\n{more}"
    )
    told = marked_series(folder)
    assert told
    assert told.hidden == 5004 - page_reach.SHOWN
    assert len(render(a_run(), folder)) < 2_000_000


def test_a_run_without_a_series_has_none(tmp_path: Path) -> None:
    assert marked_series(None) is None
    assert marked_series(tmp_path) is None
    assert "Which lines of the series ran" not in render(a_run(), tmp_path)
