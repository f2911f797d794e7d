# SPDX-License-Identifier: GPL-2.0-only
"""Cases in every form of output: counts, and by name what is bad or differs."""

from __future__ import annotations

import json
import re

import pytest
from junitparser import JUnitXml

from harness.evaluate.patch.verdict.verdict import observed
from harness.evaluate.patch.verdict.word import ChangeKind
from harness.evaluate.plan.expect import Expect, judge
from harness.report.formats import Source, export
from harness.report.page import render
from harness.report.page.failures import flakes
from harness.report.view.case_rows import SHOWN
from harness.results.compare import Pair, difference
from harness.results.failure_kinds import FailureKind
from harness.results.records import Failure, Run, Status
from harness.results.repeats import merge_takes
from tests.unit.report.case_runs import BASE, FAIL, PASS, PATCHED, cased
from tests.unit.report.report_runs import a_run, shown


def run() -> Run:
    return a_run(BASE.model_copy(deep=True), PATCHED.model_copy(deep=True))


def rows(text: str) -> dict[str, list[str]]:
    """The block `cases` of a terminal's table."""
    lines = text.split("\ncases\n")[1].split("\n\n", maxsplit=1)[0].splitlines()
    split = [re.split(r"  +", line.strip()) for line in lines]
    return {label: entries for label, *entries in split}


def test_counts_and_what_is_bad_or_differs_by_name() -> None:
    found = rows(shown(run(), width=120))
    assert found == {
        "all": [
            "2 passed, 2 failed, 1 known to fail",
            "2 passed, 1 failed, 1 known to fail, 1 skipped",
        ],
        "broken": ["ok", "FAIL"],
        "mended": ["FAIL", "ok"],
        "gone": ["FAIL", "-"],
    }  # fmt: skip
    text = shown(run(), width=120)
    assert "FAIL  broken: why broken" in text and "SKIP  new: why new" in text
    assert "broken: PASS -> FAIL; mended: FAIL -> PASS; new: not observed -> SKIP;" in text


def test_many_failures_are_counted() -> None:
    many = {f"t{n}": FAIL for n in range(SHOWN + 3)}
    text = shown(a_run(cased("k", **many)))
    assert f"t{SHOWN - 1} " in text and re.search(r"\n +3 more\n", text)


def test_what_was_not_reached() -> None:
    dead = cased("dead", kept=PASS)
    dead.failure = Failure(kind=FailureKind.PANIC, summary="it panicked")
    found = rows(shown(a_run(BASE, dead), width=120))
    assert found["gone"] == ["FAIL", "not reached"]


def test_a_suite_without_cases_has_no_such_block() -> None:
    assert "\ncases\n" not in shown(a_run(cased("k")))


def test_a_patch_is_judged_by_its_cases() -> None:
    kinds = {change.path: change.kind for change in observed(Pair(BASE, PATCHED))}
    assert kinds == {
        "s.broken": ChangeKind.REGRESSED,
        "s.mended": ChangeKind.IMPROVED,
        "s.new": ChangeKind.CHANGED,
        "s.gone": ChangeKind.CHANGED,  # nobody mended what is not there
    }
    assert difference(Pair(BASE, PATCHED)).unchanged == 2
    (fresh,) = observed(Pair(cased("a", x=PASS), cased("b", x=PASS, y=FAIL)))
    assert (fresh.kind, fresh.base, fresh.patched) == (ChangeKind.REGRESSED, "not observed", "FAIL")


def test_a_plan_expects_a_case() -> None:
    expectations = [
        Expect(path="s.broken", status=Status.FAIL),
        Expect(path="s.kept", status=Status.FAIL),
        Expect(path="s.nobody", status=Status.PASS),
    ]
    assert [record.status for record in judge(PATCHED, expectations)] == [PASS, FAIL, FAIL]


def test_junit() -> None:
    document = JUnitXml.fromstring(export(Source(run()), "junit").encode())
    suite = list(document)[1]
    found = {case.name: case for case in suite}
    assert set(found) == {"kept", "broken", "mended", "new"}
    assert found["kept"].time == 1.5 and not found["kept"].result
    assert found["broken"].result[0].message == "why broken"


def test_kcidb() -> None:
    document = json.loads(export(Source(run()), "kcidb"))
    tests = {test["path"]: test for test in document["tests"] if "patched" in test["id"]}
    broken = tests["s2eval.s.broken"]
    assert (broken["status"], broken["duration"], broken["comment"]) == ("FAIL", 1.5, "why broken")
    assert any(one["report_subject"] == "s: broken: FAIL" for one in document["issues"])


@pytest.mark.parametrize("name", ["ktap", "markdown"])
def test_ktap_and_markdown(name: str) -> None:
    text = export(Source(run()), name)
    assert re.search(r"not ok \d broken # FAIL: why broken" if name == "ktap" else "broken", text)
    assert "ok 1 kept" in text or name == "markdown"
    assert "2 passed, 1 failed" in text or name == "ktap"


def test_the_page() -> None:
    page = render(run())
    assert "2 passed, 2 failed" in page and "why broken" in page


def test_json_has_them_apart() -> None:
    document = json.loads(export(Source(run()), "json"))
    cell = document["cells"][1]
    assert cell["observations"] == []
    assert cell["cases"][1] == {
        "name": "broken", "status": "FAIL", "message": "why broken", "seconds": 1.5, "flaky": {},
    }  # fmt: skip


def test_several_boots() -> None:
    takes = [cased("k", a=PASS, b=PASS), cased("k", a=FAIL, b=PASS), cased("k", a=PASS)]
    takes[2].cases[0].seconds = 9.5
    a, b = merge_takes(takes, []).cases
    assert (a.status, a.message, a.seconds) == (FAIL, "why a", 1.5)
    assert a.flaky == {"PASS": 2, "FAIL": 1}
    assert b.flaky == {"PASS": 2, "not observed": 1}
    assert "FAIL (flaky)" in shown(a_run(merge_takes(takes, [])))
    told = [(flake.path, flake.seen) for flake in flakes(a_run(merge_takes(takes, [])))]
    assert told == [("s.a", "2 x PASS, 1 x FAIL"), ("s.b", "2 x PASS, 1 x not observed")]
