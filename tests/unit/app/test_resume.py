# SPDX-License-Identifier: GPL-2.0-only
"""Runs that are taken up again: from another folder, by the wrong command. No guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.app.patch import resume_patch
from harness.app.run import resume_run, run_plan
from harness.app.surroundings import Options
from harness.base.errors import UsageError
from harness.evaluate.plan.plan import CellRequest, Plan, Retention
from harness.results.records import Cell
from harness.results.store import run_names
from tests.unit.evaluate.engine.fake_cells import QEMU, FakeBatches, names, passed

OPTIONS = Options()
PLAN = Plan(
    kernels=["debian-6.1+./fix.patch"],
    machines=["./mine.toml"],
    suites=["./one", "./two"],
    retention=Retention(keep_runs=2),
)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> FakeBatches:
    fake = FakeBatches()
    monkeypatch.setattr("harness.evaluate.engine.execute.run_batch", fake)
    monkeypatch.setattr("harness.evaluate.engine.engine.is_built", lambda _: True)
    monkeypatch.setattr("harness.app.surroundings.find_qemu", lambda: QEMU)
    return fake


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that PLAN names; results go to `results` in whatever folder one is in."""
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("S2EVAL_RESULTS", "results")
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "fix.patch").write_text("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n")
    (folder / "mine.toml").write_text('extends = "flat-tcg"\n')
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "suite.toml").write_text('extends = "wcprobe"\n')
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(folder)
    return folder


def interrupted_in_the_second(batches: FakeBatches) -> None:
    def boot(request: CellRequest) -> Cell:
        if request.suite.name == "two":
            raise KeyboardInterrupt
        return passed(request)

    batches.boot = boot


def test_a_run_goes_on_from_any_folder(
    batches: FakeBatches, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names are looked up where it began; all else is as it is for who resumes it."""
    for _ in range(2):
        run_plan(PLAN, "p", ["s2eval"], OPTIONS)
    interrupted_in_the_second(batches)
    with pytest.raises(KeyboardInterrupt):
        run_plan(PLAN, "p", ["s2eval"], OPTIONS)
    (*_, name) = run_names(here / "results")
    elsewhere = here.parent / "elsewhere"
    monkeypatch.chdir(elsewhere)
    seen: list[tuple[Path, tuple[str, ...]]] = []

    def boot(request: CellRequest) -> Cell:
        seen.append((Path.cwd(), request.kernel.series))
        return passed(request)

    batches.boot = boot
    outcome = resume_run(str(here / "results" / name), OPTIONS)
    assert seen == [(elsewhere, (str(here / "fix.patch"),))]
    assert names(outcome.run.cells) == [
        f"debian-6.1+./fix.patch/mine/{suite}" for suite in ("one", "two")
    ]
    # The retention is that of the results that the run is in.
    assert len(run_names(here / "results")) == 2 and name in run_names(here / "results")


def test_a_folder_that_is_gone(batches: FakeBatches, here: Path) -> None:
    interrupted_in_the_second(batches)
    with pytest.raises(KeyboardInterrupt):
        run_plan(PLAN, "p", ["s2eval"], OPTIONS)
    saved = next(here.glob("results/*/plan.json"))
    saved.write_text(saved.read_text().replace(str(here), f"{here}/gone"))
    with pytest.raises(UsageError, match="gone is gone, where the names of the run begin"):
        resume_run("latest", OPTIONS)


def test_the_wrong_command_names_the_right_one(batches: FakeBatches, here: Path) -> None:
    folder = run_plan(PLAN, "p", ["s2eval"], OPTIONS).folder
    with pytest.raises(UsageError, match=r"job\.json: no series to go on with"):
        resume_patch("latest", OPTIONS)
    (folder / "job.json").write_text("{}")
    with pytest.raises(UsageError, match=f"go on with 's2eval patch --resume {folder.name}'"):
        resume_run("latest", OPTIONS)
