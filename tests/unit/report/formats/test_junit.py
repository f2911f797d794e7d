# SPDX-License-Identifier: GPL-2.0-only
"""JUnit XML out, read back by junitparser and by a parser that takes no bad XML."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Error, JUnitXml, Skipped, TestCase
from junitparser import Failure as Failed

from harness.report.formats import Source, export
from harness.results.records import Run, Status
from harness.results.store import cell_path
from tests.unit.report.format_runs import expected, failing, hostile
from tests.unit.report.report_runs import quickstart, recorded


def read(run: Run, folder: Path | None = None) -> JUnitXml:
    text = export(Source(run, folder), "junit")
    ElementTree.fromstring(text.encode())  # noqa: S314 - our own words, nothing to expand
    return JUnitXml.fromstring(text.encode())


def case(run: Run, name: str, folder: Path | None = None) -> TestCase:
    """The case of that name in the first cell that has it."""
    return next(c for suite in read(run, folder) for c in suite if c.name == name)


def test_a_suite_a_cell_and_a_case_an_observation() -> None:
    document = read(recorded())
    *suites, word = document
    assert [suite.name for suite in suites] == [cell.name for cell in recorded().cells]
    assert word.name == "verdict: debian-6.1 -> debian-6.1+stage2-normal-nc"
    for suite, cell in zip(suites, recorded().cells, strict=True):
        assert suite.tests == len(list(suite))
        assert suite.time == pytest.approx(sum(p.seconds for p in cell.phases), abs=0.001)
        assert {c.classname for c in suite} == {cell.name}
    assert document.tests == sum(suite.tests for suite in document)


def test_what_the_plan_expects_is_skipped_with_its_words() -> None:
    document = read(recorded())
    assert (document.failures, document.errors) == (0, 0)
    (result,) = case(recorded(), "ioremap_wc.unaligned_load").result
    assert isinstance(result, Skipped)
    assert "FAIL as expected: VM killed" in result.message


def test_a_crash_is_an_error_with_its_log(tmp_path: Path) -> None:
    run = quickstart()
    place = cell_path(tmp_path, run.cells[0].name)
    place.mkdir()
    log = b"before\n[ 1.0] \x1b[31mOops\xff\x00 <&>]]>\n"
    (place / "console.log").write_bytes(log)
    dead = case(run, "ioremap_wc.unaligned_load", tmp_path)
    (result,) = dead.result
    assert isinstance(result, Error) and result.type == "kvm-error"
    assert "Unsupported FSC" in result.message and "Unsupported FSC" in result.text
    assert dead.system_out == "before\n[ 1.0] Oops\ufffd <&>]]>"


def test_of_several_guests_that_died_the_first_has_the_log() -> None:
    run = failing(kind="panic")
    second = run.cells[0].observations[1].model_copy(deep=True)
    second.path, second.detail = "wcprobe.b.bad", {"failure": "oops", "reason": "too"}
    run.cells[0].observations.append(second)
    first, other = case(run, "a.bad"), case(run, "b.bad")
    assert [result.type for one in (first, other) for result in one.result] == ["panic", "oops"]
    assert first.system_out == "line 1\nwhy" and other.system_out is None


@pytest.mark.parametrize(
    ("status", "kind", "wanted"),
    [
        (Status.FAIL, "", Failed),
        (Status.FAIL, "panic", Error),
        (Status.ERROR, "", Error),
        (Status.MISS, "silence", Error),
        (Status.SKIP, "", Skipped),
    ],
)
def test_statuses(status: Status, kind: str, wanted: type) -> None:
    run = failing(status, kind=kind)
    (result,) = case(run, "a.bad").result
    assert isinstance(result, wanted) and "why" in result.message
    assert case(run, "a.good").result == []
    document = read(run)
    assert document.failures == (wanted is Failed)
    assert document.errors == (wanted is Error)
    assert document.skipped == (wanted is Skipped)


def test_an_expectation_that_is_not_met_fails() -> None:
    run = expected(failing())
    run.cells[0].expectations[0].status = Status.FAIL
    run.cells[0].expectations[0].detail = {"reason": "expected works, was faults"}
    (result,) = case(run, "expect.wcprobe.a.bad").result
    assert isinstance(result, Failed) and "expected works, was faults" in result.message


def test_a_figure_is_a_property() -> None:
    (suite,) = read(failing())
    assert {p.name: p.value for p in suite.properties()}["a.speed"] == "12.5 MB/s"  # type: ignore[no-untyped-call]
    assert [c.name for c in suite] == ["a.good", "a.bad"]


def test_hostile_words_are_text() -> None:
    text = export(Source(hostile()), "junit")
    assert "<script" not in text and "<img" not in text
    (suite,) = read(hostile())
    assert suite.errors == 2


@given(st.text(), st.sampled_from(Status))
def test_any_words_make_xml(words: str, status: Status) -> None:
    run = failing(status, reason=words, name=words)
    run.cells[0].observations[0].path = f"wcprobe.{words}"
    assert read(run).tests == 2 - (status is Status.DONE)
