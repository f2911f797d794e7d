# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

from pathlib import Path

import pytest

from harness.base import paths
from harness.base.errors import UsageError
from harness.evaluate.plan.expect import Expect, can_be_seen, judge, unexpected, was_seen
from harness.evaluate.plan.plan import Plan, cells_of, examine, load_plan
from harness.results.records import (
    Cell,
    KernelRecord,
    MachineRecord,
    Observation,
    Status,
    SuiteRecord,
)


def cell(*observations: Observation, status: Status = Status.FAIL) -> Cell:
    return Cell(
        name="k/m/s",
        kernel=KernelRecord(name="debian-6.1"),
        machine=MachineRecord(
            name="nested-tcg", topology="nested", accel="tcg", cpu="max", smp=2, memory_mib=2048
        ),
        suite=SuiteRecord(name="wcprobe"),
        status=status,
        observations=list(observations),
    )


KILLED = Observation(path="wcprobe.wc.load", status=Status.FAIL, value="vm-killed")
WORKS = Observation(path="wcprobe.wc.load", status=Status.PASS, value="works")
EXPECT = Expect(path="wcprobe.wc.load", value="vm-killed")


def test_a_met_expectation_makes_its_fail_expected() -> None:
    assert [r.status for r in judge(cell(KILLED), [EXPECT])] == [Status.PASS]
    assert unexpected(cell(KILLED), [EXPECT]) == []


def test_an_unmet_expectation_fails_and_says_what_was_seen() -> None:
    (record,) = judge(cell(WORKS), [EXPECT])
    assert record.status == Status.FAIL
    assert record.detail["reason"] == "expected value vm-killed, was works"


def test_a_fail_nobody_asked_for_is_unexpected() -> None:
    other = Expect(path="wcprobe.wc.load", value="works")
    assert unexpected(cell(KILLED), [other]) == [KILLED]
    assert unexpected(cell(KILLED), []) == [KILLED]
    elsewhere = EXPECT.model_copy(update={"kernel": "debian-7*"})
    assert unexpected(cell(KILLED), [elsewhere]) == [KILLED]


def test_nothing_observed_is_never_a_silent_pass() -> None:
    (record,) = judge(cell(), [EXPECT])
    assert record.status == Status.FAIL
    (record,) = judge(cell(status=Status.MISS), [EXPECT])
    assert record.status == Status.MISS


def test_patterns_choose_the_cells() -> None:
    for key, pattern in (("kernel", "tree*"), ("machine", "flat-*"), ("suite", "other")):
        assert judge(cell(WORKS), [EXPECT.model_copy(update={key: pattern})]) == []
    assert judge(cell(KILLED), [EXPECT.model_copy(update={"machine": "nested-*"})])


def test_a_pattern_of_paths_must_hold_for_all_of_them() -> None:
    store = Observation(path="wcprobe.wc.store", status=Status.PASS, value="faults")
    (record,) = judge(cell(WORKS, store), [Expect(path="wcprobe.wc.*", value="works")])
    assert record.status == Status.FAIL and record.path == "wcprobe.wc.store"


def test_a_plan_is_a_matrix_kernel_by_kernel() -> None:
    plan = Plan(
        kernels=["debian-6.1", "debian-6.12", "debian-6.1"],
        machines=["flat-tcg", "nested-tcg"],
        suites=["wcprobe"],
    )
    assert [c.name for c in cells_of(plan)] == [
        "debian-6.1/flat-tcg/wcprobe",
        "debian-6.1/nested-tcg/wcprobe",
        "debian-6.12/flat-tcg/wcprobe",
        "debian-6.12/nested-tcg/wcprobe",
    ]


@pytest.mark.parametrize("path", paths.PLANS.files().values(), ids=lambda p: p.stem)
def test_the_plans_that_come_with_the_project_are_good(path: Path) -> None:
    assert cells_of(load_plan(path))


def test_unknown_names_in_a_plan() -> None:
    with pytest.raises(UsageError, match="nested-tcg"):
        cells_of(Plan(kernels=["debian-6.1"], machines=["nested-tgc"], suites=["wcprobe"]))
    with pytest.raises(UsageError, match="wcprobe"):
        cells_of(Plan(kernels=["debian-6.1"], machines=["nested-tcg"], suites=["wcprob"]))


MATRIX = {
    "kernels": ["debian-6.1", "debian-6.12"],
    "machines": ["flat-tcg", "nested-tcg"],
    "suites": ["wcprobe", "stage-types"],
}


def names(**more: object) -> list[str]:
    return [c.name for c in cells_of(Plan.model_validate({**MATRIX, **more}))]


def test_include_and_exclude_choose_cells() -> None:
    assert len(names()) == 8
    only = names(include=[{"kernel": "debian-6.1"}, {"machine": "flat-*", "suite": "wcprobe"}])
    assert len(only) == 5 and "debian-6.12/flat-tcg/wcprobe" in only
    left = names(exclude=[{"suite": "stage-*", "kernel": "*12"}, {"machine": "nested-*"}])
    assert left == [
        "debian-6.1/flat-tcg/wcprobe",
        "debian-6.1/flat-tcg/stage-types",
        "debian-6.12/flat-tcg/wcprobe",
    ]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"exclude": [{"suite": "wcprob"}]}, "exclude: no cell of the plan is */*/wcprob"),
        ({"include": [{"kernel": "debian-7*"}]}, "include: no cell of the plan is debian-7*/*/*"),
        ({"exclude": [{"suite": "stage-types"}]}, "suite stage-types: no cell of the plan runs it"),
        ({"expect": [{"path": "wcprob.x", "value": 1}]}, "no suite here gives such a path"),
        (
            {"expect": [{"path": "wcprobe.x", "value": 1, "suite": "stage-types"}]},
            "no suite here gives such a path: stage-types, audit, witness",
        ),
        ({"machines": ["nested-tcg-nvme"], "suites": ["transactions"]}, ""),
        (
            {"machines": ["nested-tcg"], "suites": ["transactions"]},
            "suite transactions: no machine has nvme",
        ),
    ],
)
def test_what_would_never_be_looked_at_is_refused(more: dict[str, object], words: str) -> None:
    if not words:
        assert names(**more)
        return
    with pytest.raises(UsageError) as caught:
        names(**more)
    assert words in str(caught.value)


@pytest.mark.parametrize("path", ["audit.*", "witness.x", "*.ioremap.writel", "wc*.x", "ktap"])
def test_paths_that_may_come_true(path: str) -> None:
    assert names(expect=[{"path": path, "status": "PASS"}])


def test_two_machines_or_suites_of_one_name(tmp_path: Path) -> None:
    own = tmp_path / "nested-tcg.toml"
    own.write_text('extends = "nested-tcg"\n')
    with pytest.raises(UsageError, match=f"two machines of one name, nested-tcg: .* and {own}"):
        names(machines=["nested-tcg", str(own)])
    suite = tmp_path / "wcprobe"
    suite.mkdir()
    (suite / "suite.toml").write_text('extends = "wcprobe"\n')
    with pytest.raises(UsageError, match="two suites of one name, wcprobe"):
        names(suites=["wcprobe", str(suite)])


BASE = """\
kernels = ["debian-6.1"]
machines = ["flat-tcg"]
suites = ["wcprobe"]
[[expect]]
path = "wcprobe.ioremap.writel"
status = "PASS"
[limits]
cell = 5
run = 50
"""


def written(folder: Path, **plans: str) -> list[Path]:
    for name, text in plans.items():
        (folder / f"{name}.toml").write_text(text)
    return [folder / f"{name}.toml" for name in plans]


def test_a_plan_that_extends_another_one(tmp_path: Path) -> None:
    own = 'extends = "base.toml"\nmachines = ["nested-tcg"]\n[limits]\nrun = 60\n'
    own += '[[expect]]\npath = "audit.*"\nstatus = "PASS"\n'
    _, path = written(tmp_path, base=BASE, own=own)
    plan = load_plan(path)
    assert (plan.kernels, plan.machines) == (["debian-6.1"], ["nested-tcg"])
    assert (plan.limits.cell, plan.limits.run) == (5, 60)
    assert [e.path for e in plan.expect] == ["wcprobe.ioremap.writel", "audit.*"]


def test_plans_that_extend_each_other_or_nothing(tmp_path: Path) -> None:
    one, two, none = written(
        tmp_path,
        one='extends = "two.toml"\n',
        two='# two\nextends = "one.toml"\n',
        none='extends = "nothing.toml"\n',
    )
    with pytest.raises(UsageError, match=r"one\.toml:1: .* in a circle: one\.toml -> two\.toml"):
        load_plan(one)
    with pytest.raises(UsageError, match=r"none\.toml:1: extends: .*nothing\.toml: no such file"):
        load_plan(none)
    assert two.is_file()


def test_each_problem_has_the_line_of_the_file_it_is_in(tmp_path: Path) -> None:
    own = """\
extends = "base.toml"
kernels = [
    "debian-6.1",
    "debian-6.2",
]
suites = ["wcprob"]
"""
    base, path = written(tmp_path, base=BASE.replace("flat-tcg", "flat-tgc"), own=own)
    _, problems = examine(load_plan(path), path)
    starts = [problem.partition(": ")[0] for problem in problems]
    assert starts == [f"{path}:4", f"{base}:2", f"{path}:6"]
    more = 'extends = "base.toml"\n[[expect]]\npath = "audit.*"\nvalue = 1\n'
    more += '[[expect]]\npath = "audit.*"\nvalue = 1\nkernel = "x"\n'
    written(tmp_path, base=BASE.replace('path = "wc', 'machine = "y"\npath = "wc'), own=more)
    _, problems = examine(load_plan(path), path)
    starts = [problem.partition(": ")[0] for problem in problems]
    assert starts == [f"{base}:4", f"{path}:5"]
    with pytest.raises(UsageError, match=r"\(and 1 more: s2eval plan check\)"):
        cells_of(load_plan(path), path)


def test_an_error_of_the_schema_is_told_in_the_file_it_is_in(tmp_path: Path) -> None:
    base, path = written(tmp_path, base=BASE + "x = 1\n", own='extends = "base.toml"\n')
    with pytest.raises(UsageError, match=rf"{base}:10: unknown key 'limits\.x'"):
        load_plan(path)
    written(tmp_path, base=BASE, own='extends = "base.toml"\nrepeat = 0\n')
    with pytest.raises(UsageError, match=rf"{path}:2: repeat: input should be greater"):
        load_plan(path)


def test_what_was_seen_before_tells_a_misspelt_path() -> None:
    known = ["wcprobe.ioremap.writel", "audit.ioremap_wc.stage2"]
    assert was_seen("wcprobe.*.writel", known) and was_seen("audit.*_wc.stage2", known)
    assert not was_seen("wcprobe.ioremap.writl", known)
    # What comes and goes with how a guest fares may not have been seen yet.
    for path in ("wcprobe.guest", "wcprobe.x.not_reached", "ktap", "command.insmod"):
        assert was_seen(path, known)
    assert can_be_seen("wcprobe.x", ["wcprobe"]) and not can_be_seen("wcprob.x", ["wcprobe"])
