# SPDX-License-Identifier: GPL-2.0-only
"""KTAP out, read back by what reads a guest's KTAP (harness/suites/ktap.py)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.report.formats import Source, export
from harness.results.failure_kinds import FailureKind
from harness.results.records import Failure, Observation, Run, Status
from harness.suites.ktap import Test, parse
from tests.unit.report.format_runs import HOSTILE, expected, failing, hostile
from tests.unit.report.report_runs import LINES, a_cell, a_run, quickstart, recorded


def tree(run: Run) -> list[Test]:
    """The tests of the top level; whatever the run, the document must keep to the protocol."""
    document = parse(export(Source(run), "ktap").encode(errors="replace"))
    assert document.findings == []
    assert document.plan == len(document.tests)
    return document.tests


def leaves(run: Run) -> dict[str, Test]:
    """The tests of the first kernel's first cell."""
    return {test.name: test for test in tree(run)[0].children[0].children[0].children}


def test_kernel_machine_suite_and_test_are_nested() -> None:
    run = a_run(*(a_cell(k, LINES, machine=m) for k in ("a", "b") for m in ("x", "y")))
    assert [kernel.name for kernel in tree(run)] == ["a", "b"]
    for kernel in tree(run):
        assert [machine.name for machine in kernel.children] == ["x", "y"]
        for machine in kernel.children:
            (suite,) = machine.children
            assert (suite.name, suite.ok, suite.plan) == ("wcprobe", True, len(suite.children))


def test_a_failure_fails_all_above_it() -> None:
    old, patched = tree(quickstart())
    assert (old.ok, old.children[0].ok, old.children[0].children[0].ok) == (False, False, False)
    assert patched.ok
    dead = leaves(quickstart())["ioremap_wc.unaligned_load"]
    assert (dead.ok, dead.directive) == (False, "")
    assert "Unsupported FSC" in dead.reason
    assert any("Unsupported FSC" in line for line in dead.diagnostics)


def test_what_the_plan_expects_is_no_failure() -> None:
    run = recorded()
    assert run.status is Status.PASS and all(kernel.ok for kernel in tree(run))
    assert any(test.directive == "XFAIL" and test.ok for test in leaves(run).values())
    run.cells[0].expectations = []
    assert not tree(run)[0].ok


@pytest.mark.parametrize(
    ("status", "kind", "ok", "directive"),
    [
        (Status.FAIL, "panic", False, ""),
        (Status.FAIL, "", False, ""),
        (Status.ERROR, "", False, "ERROR"),
        (Status.MISS, "vmm-exit", False, "ERROR"),
        (Status.MISS, "silence", False, "TIMEOUT"),
        (Status.MISS, "deadline", False, "TIMEOUT"),
        (Status.SKIP, "", True, "SKIP"),
    ],
)
def test_statuses(status: Status, kind: str, ok: bool, directive: str) -> None:
    test = leaves(failing(status, kind=kind))["a.bad"]
    assert (test.ok, test.directive) == (ok, directive)
    assert test.reason.endswith("why")


def test_an_expected_failure_keeps_its_status_in_words() -> None:
    test = leaves(expected(failing(Status.ERROR, kind="")))["a.bad"]
    assert (test.ok, test.directive, test.reason) == (True, "XFAIL", "ERROR: why")


def test_a_figure_is_no_test() -> None:
    run = failing()
    assert set(leaves(run)) == {"a.good", "a.bad"}
    assert "# | a.speed: 12.5 MB/s\n" in export(Source(run), "ktap")


def test_a_cell_that_never_ran_is_a_test_of_its_own() -> None:
    cell = a_cell("a", LINES)
    cell.observations, cell.status = [], Status.MISS
    cell.failure = Failure(kind=FailureKind.BUILD, summary="mmu.c:1: error: no", where="build")
    test = leaves(a_run(cell))["cell"]
    assert (test.ok, test.directive) == (False, "ERROR")
    assert test.reason == "MISS: build: mmu.c:1: error: no"


def test_all_skipped_is_skipped() -> None:
    cell = a_cell("a", LINES)
    cell.observations = [
        Observation(path="wcprobe.x", status=Status.SKIP, detail={"reason": "no KVM"})
    ]
    (kernel,) = tree(a_run(cell))
    assert (kernel.ok, kernel.directive) == (True, "SKIP")


@pytest.mark.parametrize("word", ["SKIP all", "TODO", "XFAIL", "ok 1 x", "not ok 1 x", "1..0"])
def test_a_guest_cannot_say_results_of_its_own(word: str) -> None:
    run = failing(reason=word)
    test = leaves(run)["a.bad"]
    assert (test.ok, test.directive) == (False, "")
    assert set(leaves(run)) == {"a.good", "a.bad"}


def test_hostile_words() -> None:
    text = export(Source(hostile()), "ktap")
    assert not any(mark in text for mark in "\x1b\x00\x08\x9b\u202e\ud800")
    assert not tree(hostile())[0].ok


@given(st.text(), st.text(), st.sampled_from(Status))
@example("\n", "0", Status.DONE)
def test_any_words_keep_to_the_protocol(path: str, reason: str, status: Status) -> None:
    run = failing(status, reason=reason, kind="")
    run.cells[0].observations[1].path = f"wcprobe.{path}"
    (kernel,) = tree(run)
    assert kernel.ok is (status not in (Status.FAIL, Status.ERROR, Status.MISS))


def test_nothing_was_run() -> None:
    assert export(Source(a_run()), "ktap") == "KTAP version 1\n1..0\n"
    assert HOSTILE not in export(Source(hostile()), "ktap")
