# SPDX-License-Identifier: GPL-2.0-only
"""What a run is made of before its first cell: plans from a command line, refs, saved plans."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.app.run import (
    WAY_ON,
    Changes,
    Named,
    pinned,
    plan_of,
    resume_run,
    start,
)
from harness.app.surroundings import Options
from harness.base.errors import UsageError
from harness.evaluate.engine.engine import still_to_do
from harness.evaluate.engine.judging import run_status, summary_of
from harness.evaluate.engine.new_run import host_info
from harness.evaluate.plan.plan import CellRequest, Limits, Plan, cells_of
from harness.results.failure_kinds import FailureKind
from harness.results.records import (
    Cell,
    Failure,
    KernelRecord,
    MachineRecord,
    Observation,
    Run,
    RunInfo,
    Status,
    SuiteRecord,
)
from harness.results.store import RunStore

NOW = datetime(2026, 1, 17, tzinfo=UTC)


def git(tree: Path, *args: str) -> str:
    command = ["git", "-C", str(tree), "-c", "user.name=x", "-c", "user.email=x@localhost", *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A git tree that is a kernel's as far as anybody looks before the build."""
    folder = tmp_path / "linux"
    (folder / "arch/arm64").mkdir(parents=True)
    (folder / "arch/arm64/Kconfig").write_text("")
    (folder / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 0\n")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    return folder


def requests(*kernels: str) -> list[CellRequest]:
    plan = Plan(kernels=list(kernels), machines=["flat-tcg", "nested-tcg"], suites=["wcprobe"])
    return cells_of(plan)


def test_a_ref_is_resolved_once(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"tree:{tree}@main"
    first = git(tree, "rev-parse", "HEAD")
    cells, refs = pinned(requests(name, "debian-6.1"), {})
    assert refs == {name: first}
    assert [c.kernel.source.ref for c in cells if c.kernel.source.tree] == [first, first]
    assert [c.kernel.name for c in cells[:2]] == [name, name]  # it keeps the name it was given
    git(tree, "commit", "-q", "--allow-empty", "-m", "two")
    second = git(tree, "rev-parse", "HEAD")
    assert pinned(requests(name), {})[1] == {name: second}
    assert pinned(requests(name), refs)[1] == refs  # a run that is taken up again stays
    assert capsys.readouterr().err == ""


def test_edits_that_are_not_committed_are_told(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "Makefile").write_text("VERSION = 7\n")
    pinned(requests(f"tree:{tree}"), {})
    assert capsys.readouterr().err == f"{tree} has uncommitted changes: not part of HEAD\n"


def test_a_ref_that_is_not_there(tree: Path) -> None:
    with pytest.raises(UsageError, match="no branch, tag or commit nope"):
        pinned(requests(f"tree:{tree}@nope"), {})


def test_a_command_line_changes_a_plan() -> None:
    plan = plan_of(None, Named(["debian-6.1"]))
    assert (plan.machines, plan.suites, plan.retries, plan.repeat) == (
        *(["nested-tcg"], ["wcprobe"]),
        *(0, 1),
    )
    changed = Changes(repeat=3, retries=2, skip_unchanged=True).of(plan)
    assert (changed.repeat, changed.retries, changed.skip_unchanged) == (3, 2, True)
    assert Changes(skip_unchanged=False).of(changed).skip_unchanged is False
    assert Changes().of(plan) == plan
    limited = plan.model_copy(update={"limits": Limits(cell=5, run=6)})
    assert Changes(limits=Limits(run=9)).of(limited).limits == Limits(cell=5, run=9)


@pytest.mark.parametrize(
    ("path", "named", "changes"),
    [
        (Path("plan.toml"), Named(), Changes()),
        (None, Named(["debian-6.1"]), Changes()),
        (None, Named(), Changes(repeat=2)),
        (None, Named(), Changes(limits=Limits(cell=2))),
    ],
)
def test_a_run_that_is_taken_up_again_has_its_plan(
    path: Path | None, named: Named, changes: Changes
) -> None:
    with pytest.raises(UsageError, match="--resume goes on with a run's own plan"):
        start(path, named, changes, "latest", Options())


def record(**more: object) -> Run:
    info = RunInfo.model_validate(
        {"id": "r", "plan": "p", "started": "", "host": host_info(), **more}
    )
    return Run(run=info, status=Status.MISS)


def test_a_run_without_a_plan_cannot_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S2EVAL_RESULTS", str(tmp_path))
    store = RunStore.create("p", NOW)
    store.write(record(interrupted=True))
    with pytest.raises(UsageError, match=r"plan\.json: no plan to go on with: run the plan anew"):
        resume_run("latest", Options())
    (store.folder / "plan.json").write_text("{")
    with pytest.raises(UsageError, match="no plan to go on with"):
        resume_run(store.folder.name, Options())


def test_what_is_still_to_do() -> None:
    def said(**more: object) -> str:
        return still_to_do(record(**more), WAY_ON)

    assert said() == ""
    assert said(interrupted=True, stopped="no space") == (
        "stopped: no space: go on with 's2eval run --resume r'"
    )


def cell(*seen: Observation, **more: object) -> Cell:
    machine = MachineRecord(
        name="m", topology="flat", accel="tcg", cpu="max", smp=2, memory_mib=256
    )
    values = {
        "name": "k/m/s",
        "kernel": KernelRecord(name="k"),
        "machine": machine,
        "suite": SuiteRecord(name="s"),
        "status": Status.PASS,
        "observations": list(seen),
        **more,
    }
    return Cell.model_validate(values)


def test_the_line_of_a_finished_cell() -> None:
    passed = Observation(path="s.x", status=Status.PASS)
    hung = Failure(kind=FailureKind.SILENCE, summary="no output for 6 s")
    assert summary_of(cell(passed, passed)) == "2 PASS"
    assert summary_of(cell(passed, retried=[hung])) == "1 PASS (boot 2)"
    assert summary_of(cell(failure=hung, retried=[hung])) == "no output for 6 s (boot 2)"
    assert summary_of(cell(passed, carried="r0")) == "unchanged since r0"


def test_a_run_with_cells_missing_has_no_verdict() -> None:
    plan = Plan(kernels=["k"], machines=["m"], suites=["s"])
    run = record(interrupted=True)
    run.cells = [cell(Observation(path="s.x", status=Status.PASS))]
    assert run_status(run, plan) is Status.MISS
    run.run.interrupted = False
    assert run_status(run, plan) is Status.PASS
