# SPDX-License-Identifier: GPL-2.0-only
"""A kernel that is wrong on purpose, and every stage-1 type, in real nested guests."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.app.run import run_plan
from harness.app.surroundings import Options
from harness.base.errors import ExitCode
from harness.evaluate.plan.mutants import CAUGHT, Caught
from harness.evaluate.plan.plan import Plan
from harness.report.view.matrix import ROWS, matrix
from harness.results.records import Cell, Status

RIGHT = "debian-6.1+stage2-normal-nc"
# Right without FEAT_S2FWB; with it, MemAttr 7 instead of 5: no probe can tell.
MUTANT = "debian-6.1+mutants/fwb-stage1"
GIC = "debian-6.1+mutants/gic-mapped"  # a page that no suite comes to
BAR = {  # pages of the BAR that no audit reads
    "debian-6.1+mutants/bar-next-page": "census.leads-to-the-right-place",
    "debian-6.1+mutants/bar-two-types": "census.one-type-in-a-bar",
}


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EVAL_RESULTS", str(tmp_path))


def test_a_mutant_is_caught_where_it_is_one_and_survives_elsewhere() -> None:
    machines = ["nested-tcg", "nested-tcg-cortex-a72"]
    rule = Caught(kernel=MUTANT, reference=RIGHT)
    plan = Plan(kernels=[RIGHT, MUTANT], machines=machines, suites=["wcprobe"], caught=[rule])
    outcome = run_plan(plan, "mutant", ["pytest"], Options())
    right, also_right, caught, survived = outcome.run.cells
    assert (right.status, also_right.status) == (Status.PASS, Status.PASS)
    assert _caught(caught) == (Status.PASS, "audit.ioremap")
    assert _caught(survived) == (Status.FAIL, None)
    assert survived.status is Status.PASS
    assert outcome.exit_code is ExitCode.FAIL


def test_a_page_of_the_gic_is_caught_by_the_census_alone() -> None:
    (cell,) = caught_on_nested_tcg([GIC])
    assert _caught(cell) == (Status.PASS, "census.nothing-outside-memslots")
    failed = [item for item in cell.outcomes() if item.status is Status.FAIL]
    assert len(failed) == 1 and "GIC has 1 x 4K" in failed[0].detail["reason"]


@pytest.mark.extended
def test_pages_of_a_bar_that_no_audit_reads_are_caught_by_the_census() -> None:
    for cell, rule in zip(caught_on_nested_tcg(list(BAR)), BAR.values(), strict=True):
        (record,) = [item for item in cell.expectations if item.path == CAUGHT]
        assert record.status is Status.PASS
        by = [check["path"] for check in record.detail["by"]]
        assert rule in by and not any(path.startswith("audit.") for path in by)


def caught_on_nested_tcg(mutants: list[str]) -> list[Cell]:
    """The cells of `mutants`, judged against the kernel that is right."""
    rules = [Caught(kernel="*+mutants/*", reference=RIGHT)]
    kernels = [RIGHT, *mutants]
    plan = Plan(kernels=kernels, machines=["nested-tcg"], suites=["wcprobe"], caught=rules)
    _, *cells = run_plan(plan, "mutant", ["pytest"], Options()).run.cells
    return cells


def _caught(cell: Cell) -> tuple[Status, object]:
    (record,) = [item for item in cell.expectations if item.path == CAUGHT]
    return record.status, record.value


def test_all_seven_types_over_normal_nc_and_over_device() -> None:
    kernels = [RIGHT, "debian-6.1"]
    plan = Plan(kernels=kernels, machines=["nested-tcg"], suites=["stage-types"])
    outcome = run_plan(plan, "types", ["pytest"], Options())
    (table,) = matrix(outcome.run.cells)
    assert table.fwb
    assert [column.kernels for column in table.columns] == [["debian-6.1"], [RIGHT]]
    assert table.agrees
    device, normal = (column.entries for column in table.columns)
    assert [normal[row].text for row in ROWS] == [
        *("nGnRnE, faults", "nGnRE, faults", "nGRE, faults", "GRE, faults"),
        *("NC, works", "NC, works", "NC, works"),
    ]
    assert device["Device-GRE"].behaviours == {"faults"}
    assert device["Normal-NC"].text == "nGnRE, kills VM"
    assert device["Normal-WB"].text == "nGnRE"
