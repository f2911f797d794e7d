# SPDX-License-Identifier: GPL-2.0-only
"""Tests that only pass or fail, in a real guest: the suite `cases`, whole and with failures."""

from __future__ import annotations

import json

from harness.results.records import Cell, Status
from tests.system.commands import KERNEL, S2Eval

SUITE = """
extends = "cases"
description = "one check fails, and a test fails although its checks hold"
script = "exec /bin/cases fail status"
"""
PLAN = """
kernels = ["{kernel}"]
machines = ["flat-tcg"]
suites = ["cases", "./bad"]
[[expect]]
suite = "bad"
path = "bad.memory.page_is_zero"
status = "FAIL"
[[expect]]
suite = "bad"
path = "bad.system"
status = "FAIL"
"""


def statuses(cell: Cell) -> dict[str, str]:
    return {case.name: case.status.value for case in cell.cases}


def test_cases_of_a_real_guest(s2eval: S2Eval) -> None:
    folder = s2eval.home / "bad"
    folder.mkdir()
    (folder / "suite.toml").write_text(SUITE)
    (s2eval.home / "plan.toml").write_text(PLAN.format(kernel=KERNEL))
    ran = s2eval("run", "plan.toml")
    assert ran.code == 0, ran.err + ran.out
    good, bad = s2eval.cell("/cases"), s2eval.cell("/bad")
    assert (good.status, good.observations) == (Status.PASS, [])
    assert statuses(good) == {
        "memory.page_is_zero": "PASS",
        "memory.child_shares": "PASS",
        "system.clock_goes_on": "PASS",
        "system.kvm_opens": "SKIP",
    }
    slept = good.cases[2].seconds
    assert slept is not None and 0.002 <= slept < 5
    changed = {"memory.page_is_zero": "FAIL", "system": "FAIL"}
    assert statuses(bad) == statuses(good) | changed
    assert bad.cases[0].message == "a fresh page is not zero"
    assert "3 passed, 1 skipped" in ran.out and "2 passed, 2 failed, 1 skipped" in ran.out
    document = json.loads(s2eval("show", "--json").out)
    assert [case["status"] for case in document["cells"][0]["cases"]].count("PASS") == 3
