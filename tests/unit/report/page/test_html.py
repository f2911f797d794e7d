# SPDX-License-Identifier: GPL-2.0-only
"""The page as text: what is in it, and that nobody's words become markup."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from harness.report.page import failures, render
from harness.report.page.trends import Bar, Trend, Trends
from harness.results.failure_kinds import FailureKind
from harness.results.places import CpuPlace, CpuState, place_of
from harness.results.readings import AuditRecord, FidelityRecord
from harness.results.records import Failure, Observation, Run, Status
from tests.unit.report.format_runs import HOSTILE, expected, failing, hostile
from tests.unit.report.report_runs import LINES, a_cell, a_run, quickstart, recorded

VOID = {"meta", "br", "input", "rect", "path", "use", "polyline", "line"}


class Reader(HTMLParser):
    """Elements, their attributes and texts; every element that is opened must be closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


RUNS = [quickstart(), recorded(), failing(), expected(failing()), hostile(), a_run()]


@pytest.mark.parametrize("run", RUNS)
def test_the_page_is_well_formed_and_needs_nothing_else(run: Run) -> None:
    page = Reader(render(run))
    for tag, attributes in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed")
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "action"):
            assert (attributes.get(name) or "#").startswith("#")
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {str(a["href"])[1:] for tag, a in page.elements if tag == "a"}
    assert links <= set(ids)


def test_the_same_run_gives_the_same_page() -> None:
    assert render(recorded()) == render(recorded())


def test_the_only_script_is_the_one_that_the_policy_names() -> None:
    page = render(hostile())
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page


def test_hostile_words_are_shown_as_words() -> None:
    page = render(hostile())
    assert not any(mark in page for mark in "\x1b\x00\x08\x9b\u202e\ud800")
    assert "</pre><script>alert(1)</script><img src=x onerror=alert(2)>" in Reader(page).text
    assert HOSTILE not in page


def test_the_verdict_comes_first() -> None:
    text = Reader(render(recorded())).text
    place = text.index("5 of 5 expectations met, exit code 0")
    assert place < text.index("kvm-error")
    assert "All that failed was expected." in text
    assert "1 cell needs a look" in Reader(render(quickstart())).text


def test_a_failure_has_its_log_and_a_way_to_see_it_again(tmp_path: Path) -> None:
    run = quickstart()
    place = tmp_path / "debian-6.1_nested-tcg_wcprobe"
    place.mkdir()
    (place / "reproduce.sh").write_text("#!/bin/sh\n\techo '<&>'\n")
    text = Reader(render(run, tmp_path)).text
    assert "Unsupported FSC: EC=0x24 xFSC=0x21" in text
    again = "s2eval show 20260117-101530-quickstart --reproduce debian-6.1/nested-tcg/wcprobe"
    assert again in text and "echo '<&>'" in text
    assert str(place / "console.log") in text


def test_a_silent_guest_shows_the_end_of_its_log(tmp_path: Path) -> None:
    run = failing(Status.MISS, kind="silence")
    cell = run.cells[0]
    cell.failure = Failure(kind=FailureKind.SILENCE, summary="no output", where="L2", log="l2.log")
    place = tmp_path / "debian-6.1_nested-tcg_wcprobe"
    place.mkdir()
    (place / "l2.log").write_bytes(b"x\n" * 500 + b"\xff\x1b[2Jlast <b>words</b>\n")
    assert "\ufffdlast <b>words</b>" in Reader(render(run, tmp_path)).text


def test_a_guest_that_hangs_shows_where_its_cpus_are() -> None:
    run = failing(Status.MISS, kind="silence")
    cpu = CpuPlace(cpu=1, where="L1", state=CpuState.STUCK, el=2, interrupts="masked",
                   function="f", at="f+0x8/0x<b>40</b>")  # fmt: skip
    place = place_of([cpu], [])
    run.cells[0].failure = Failure(kind=FailureKind.SILENCE, summary="no output", place=place)
    text = Reader(render(run)).text
    assert "CPU 1, L1: stuck in f+0x8/0x<b>40</b>, EL2, interrupts masked" in text


def test_what_is_too_long_for_a_page_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "BUDGET", 10)
    text = Reader(render(quickstart())).text
    assert "not in this page, to keep it small" in text and "--reproduce" in text


def test_both_stages_with_what_is_expected() -> None:
    cell = a_cell("debian-6.1", LINES)
    leaf = {"memattr": "0x5", "descriptor": "0x1"}
    wrong = {"mapping": "Normal-WB", "stage1": "Normal-WB", "combined": "Device-GRE"}
    right = {"mapping": "Normal-NC", "stage1": "Normal-NC", "combined": "Normal-NC"}
    for audit in (wrong, right):
        read = {"status": "DONE", "detail": {"fwb": False, "stage2": leaf}}
        cell.audits.append(AuditRecord.model_validate({**audit, **read}))
    text = Reader(render(a_run(cell))).text
    assert "FEAT_S2FWB off: NOT as the architecture says where marked" in text
    assert "Device-GRE , no load reached it NOT as expected: Normal-NC, works" in text
    assert "Normal-NC , no load reached it expected Normal-NC, works" in text


def test_limits_flakes_and_skips_are_said() -> None:
    cell = a_cell("debian-6.1", LINES)
    cell.status = Status.PASS
    sentences = {"a": "QEMU 1 has no MTE", "b": "QEMU 1 has no FWB"}
    cell.fidelity = FidelityRecord(limits=sentences)
    reason = {"reason": "this machine has no MTE"}
    cell.observations = [
        Observation(path="wcprobe.x", status=Status.SKIP, detail=reason),
        Observation(path="wcprobe.y", status=Status.PASS, detail={"flaky": {"PASS": 3, "SKIP": 1}}),
    ]
    text = Reader(render(a_run(cell))).text
    assert "nested-tcg QEMU 1 has no" in text and "MTE FWB" in text
    assert "x: this machine has no MTE" in text
    assert "wcprobe.y: 3 x PASS, 1 x SKIP" in text


def test_trends() -> None:
    bars = [Bar(0, 6, "PASS", False, "t1"), Bar(6, 16, "FAIL", True, "t2 <b>")]
    words = Trend(0, "cell", "path.a", bars, "", 12, "FAIL since 2026-01-17")
    figures = Trend(1, "cell", "path.b", [], "3,8 9,2", 12, "7 ns now")
    page = render(quickstart(), trends=Trends([words, figures], 3))
    assert '<polyline points="3,8 9,2"/>' in page and "t2 &lt;b&gt;" in page
    assert "FAIL since 2026-01-17" in page and "3 more:" in page
