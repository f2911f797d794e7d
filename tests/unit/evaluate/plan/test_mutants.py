# SPDX-License-Identifier: GPL-2.0-only
"""What counts as catching a kernel that is wrong on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.base import paths
from harness.base.errors import UsageError
from harness.evaluate.engine.judging import run_status
from harness.evaluate.engine.new_run import host_info
from harness.evaluate.plan.mutants import Caught, check_rules, concerning, expand, judge_caught
from harness.evaluate.plan.plan import Plan, cells_of, find_plan, load_plan
from harness.report.view.caught import lines
from harness.results.records import (
    VM_KILLED,
    Cell,
    KernelRecord,
    MachineRecord,
    Observation,
    Run,
    RunInfo,
    Status,
    SuiteRecord,
)

RIGHT, WRONG = "debian-6.1+right", "debian-6.1+mutants/wrong"
RULE = Caught(kernel="debian-6.1+mutants/*", reference=RIGHT)

CHECK = Observation(
    path="audit.ioremap", status=Status.FAIL, detail={"reason": "stage 2 gives Normal-WB"}
)
PASSED = Observation(path="wcprobe.ioremap.writel", status=Status.PASS)
# What the harness makes of a guest that died in a test, or never came that far.
DIED = Observation(path="wcprobe.ioremap_wc.unaligned_load", status=Status.FAIL, value=VM_KILLED)
DIED_FLAT = Observation(
    path="wcprobe.ioremap.writel", status=Status.FAIL, detail={"failure": "panic"}
)
DRAWN = Observation(
    path="witness.ioremap_wc",
    status=Status.FAIL,
    detail={"reason": "it had to work", "behaviour": VM_KILLED},
)


def cell(kernel: str, *seen: Observation, machine: str = "m", status: Status | None = None) -> Cell:
    return Cell(
        name=f"{kernel}/{machine}/wcprobe",
        kernel=KernelRecord(name=kernel),
        machine=MachineRecord(
            name=machine, topology="nested", accel="tcg", cpu="max", smp=2, memory_mib=2048
        ),
        suite=SuiteRecord(name="wcprobe"),
        status=status or (Status.FAIL if CHECK in seen else Status.PASS),
        observations=list(seen),
    )


GOOD = cell(RIGHT, PASSED)


def verdict(mutant: Cell, *others: Cell) -> Observation:
    (record,) = judge_caught(mutant, [RULE], others or [GOOD])
    return record


def test_a_check_that_fails_catches() -> None:
    record = verdict(cell(WRONG, PASSED, CHECK))
    assert (record.status, record.value) == (Status.PASS, "audit.ioremap")
    assert record.detail["by"] == [{"path": "audit.ioremap", "reason": "stage 2 gives Normal-WB"}]


@pytest.mark.parametrize("death", [DIED, DIED_FLAT, DRAWN])
def test_the_death_of_the_guest_catches_nothing(death: Observation) -> None:
    record = verdict(cell(WRONG, PASSED, death))
    assert record.status is Status.FAIL
    assert "survived" in record.detail["reason"]


def test_a_death_beside_a_check_does_no_harm() -> None:
    assert verdict(cell(WRONG, CHECK, DIED)).status is Status.PASS


def test_a_mutant_that_passes_has_survived() -> None:
    record = verdict(cell(WRONG, PASSED))
    assert record.status is Status.FAIL
    assert record.detail["reason"] == f"survived: no check tells {WRONG} from {RIGHT}"


def test_what_fails_without_the_mistake_too_does_not_catch_it() -> None:
    assert verdict(cell(WRONG, CHECK), cell(RIGHT, CHECK)).status is Status.FAIL
    elsewhere = cell(RIGHT, CHECK, machine="other")
    assert verdict(cell(WRONG, CHECK), elsewhere, GOOD).status is Status.PASS
    assert verdict(cell(WRONG, CHECK, machine="other"), GOOD, elsewhere).status is Status.FAIL


@pytest.mark.parametrize("status", [Status.SKIP, Status.DONE, Status.ERROR, Status.MISS])
def test_only_a_fail_is_a_check_that_fails(status: Status) -> None:
    odd = CHECK.model_copy(update={"status": status})
    assert verdict(cell(WRONG, odd)).status is Status.FAIL


def test_without_results_nobody_survived() -> None:
    broken = cell(WRONG, status=Status.MISS)
    assert verdict(broken).status is Status.MISS
    assert verdict(cell(WRONG, CHECK), cell(RIGHT, status=Status.MISS)).status is Status.MISS
    (record,) = judge_caught(cell(WRONG, CHECK), [RULE], [])
    assert record.detail["reason"] == f"no results of {RIGHT} on m"


def test_a_rule_is_about_the_cells_it_names() -> None:
    assert judge_caught(GOOD, [RULE], []) == []
    here = Caught(kernel="*wrong", reference=RIGHT, machine="m")
    assert concerning(cell(WRONG), [here, RULE]) is here
    # The first rule is the kernel's, even where its machine does not fit.
    assert concerning(cell(WRONG, machine="other"), [here, RULE]) is None
    assert concerning(cell(WRONG), [Caught(kernel="*", reference=RIGHT, suite="other")]) is None


def test_patterns_of_series_become_their_names() -> None:
    series = ["right", "mutants/b", "mutants/a", "mutants/fwb-a"]
    names = expand(["k+right", "k", "k+mutants/*", "k+right+mutants/fwb-?"], series)
    assert names == [
        *("k+right", "k", "k+mutants/a", "k+mutants/b", "k+mutants/fwb-a"),
        "k+right+mutants/fwb-a",
    ]
    with pytest.raises(UsageError, match=r"k\+mutant/\*: no series is named mutant/\*"):
        expand(["k+mutant/*"], series)


def test_a_rule_that_can_never_be_looked_at_is_refused() -> None:
    check_rules([RULE], [RIGHT, WRONG])
    with pytest.raises(UsageError, match="no kernel of the plan is left"):
        check_rules([RULE, RULE.model_copy(update={"machine": "m"})], [RIGHT, WRONG])
    for kernels in ([WRONG], [WRONG, RIGHT]):
        with pytest.raises(UsageError, match="has to be one of the plan's kernels, before"):
            check_rules([RULE], kernels)


def status_of(*cells: Cell) -> Status:
    """The run's verdict, with the records as the loop makes them."""
    plan = Plan(kernels=[RIGHT, WRONG], machines=["m"], suites=["wcprobe"], caught=[RULE])
    info = RunInfo(id="r", plan="p", started="", host=host_info())
    run = Run(run=info, status=Status.MISS)
    for each in cells:
        made = each.model_copy(deep=True)
        made.expectations = judge_caught(made, plan.caught, run.cells)
        run.cells.append(made)
    return run_status(run, plan)


def test_a_run_passes_when_every_mutant_is_caught() -> None:
    assert status_of(GOOD, cell(WRONG, PASSED, CHECK, DIED)) is Status.PASS
    assert status_of(GOOD, cell(WRONG, PASSED)) is Status.FAIL
    assert status_of(GOOD, cell(WRONG, PASSED, DIED)) is Status.FAIL
    assert status_of(cell(RIGHT, CHECK), cell(WRONG, CHECK)) is Status.FAIL


def test_every_mutant_of_the_project_is_in_the_plan() -> None:
    plan = load_plan(find_plan("mutants"))
    requests = cells_of(plan)
    folders = {p.parent.name for p in (paths.PROJECT / "kernels/patches/mutants").glob("*/*.patch")}
    assert len(folders) >= 12
    concerned = {
        Path(request.kernel.name).name
        for request in requests
        if concerning(cell(request.kernel.name, machine=request.machine.name), plan.caught)
    }
    assert concerned == folders


def test_the_report_names_the_checks() -> None:
    other = CHECK.model_copy(update={"path": "audit.ioremap_wc"})
    caught, survived = cell(WRONG, CHECK, other), cell(WRONG, PASSED, machine="n")
    for one in (caught, survived):
        one.expectations = judge_caught(one, [RULE], [GOOD, cell(RIGHT, PASSED, machine="n")])
    assert lines([GOOD, caught, survived]) == [
        WRONG,
        "  m: caught by audit.ioremap: stage 2 gives Normal-WB (also audit.ioremap_wc)",
        f"  n: FAIL: survived: no check tells {WRONG} from {RIGHT}",
    ]
