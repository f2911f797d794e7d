# SPDX-License-Identifier: GPL-2.0-only
"""The steps of a patch: what is built when, what is booted, what is recorded. No make, no guest."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.base.errors import BuildError, MachineError, UsageError
from harness.evaluate.engine.crew import ThisProcess
from harness.evaluate.engine.engine import AfterRun, Surroundings
from harness.evaluate.engine.new_run import JOB, resumed
from harness.evaluate.patch.patch import Changes, plan_of
from harness.evaluate.patch.request import Matrix, PatchJob, step_of
from harness.evaluate.patch.saved_job import load_job
from harness.evaluate.patch.session import PatchSession, session
from harness.evaluate.plan.expect import Expect
from harness.evaluate.plan.plan import CellRequest, Limits
from harness.evaluate.progress import Progress
from harness.hosts.machines.machine import load_machine
from harness.kernel.intake.kept import PatchSeries
from harness.kernel.spec import KernelSpec, resolve
from harness.kernel.store import Build
from harness.results.records import Cell, Comparison, KernelRecord, Run, Status
from harness.results.store import RunStore, load_run
from harness.suites.suite import load_suite
from tests.unit.evaluate.engine.fake_cells import QEMU, FakeBatches, Watcher, names, passed

BASE = resolve("debian-6.1")
PLACE = "flat-tcg/wcprobe"


def patched(count: int) -> KernelSpec:
    return BASE.model_copy(update={"name": f"debian-6.1+s-{count}"})


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EVAL_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> FakeBatches:
    fake = FakeBatches()
    monkeypatch.setattr("harness.evaluate.engine.execute.run_batch", fake)
    return fake


@dataclass
class FakeMake:
    """In the place of build(): Images by the kernels' names; a text is that of a BuildError."""

    images: dict[str, str | Exception] = field(default_factory=dict)
    built: list[str] = field(default_factory=list)
    before: Callable[[str], object] = lambda _: None
    begun: threading.Event = field(default_factory=threading.Event)

    def __call__(
        self,
        spec: KernelSpec,
        *,
        progress: Callable[[str], object],
        making: Callable[[], object],
        given_up: Callable[[], bool],
    ) -> Build:
        making()
        self.before(spec.name)
        image = self.images.get(spec.name, spec.name)
        while image == "endless" and not given_up():
            self.begun.set()
            time.sleep(0.01)
        if isinstance(image, Exception):
            raise image
        self.built.append(spec.name)
        record = KernelRecord(name=spec.name, image_hash=image, build_key=image)
        return Build(Path(), record, {"tree": "t", "llvm": False, "config": []})


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> FakeMake:
    fake = FakeMake()
    monkeypatch.setattr("harness.evaluate.patch.builds.build", fake)
    monkeypatch.setattr("harness.evaluate.patch.session.is_built", lambda _: True)
    monkeypatch.setattr("harness.evaluate.engine.engine.is_built", lambda _: True)
    return fake


@pytest.fixture
def job(tmp_path: Path) -> PatchJob:
    """A series of two patches that touch what is compiled, looked at patch by patch."""
    return job_of(tmp_path, 1, 2)


def job_of(
    folder: Path, *counts: int, text: str = "+++ b/arch/arm64/kvm/mmu.c\n+code();\n"
) -> PatchJob:
    patch = folder / "1.patch"
    patch.write_text(text)
    matrix = Matrix(
        (load_machine("flat-tcg"),),
        (load_suite("wcprobe"),),
        expect=(Expect(path="wcprobe.x", status=Status.PASS),),
        limits=Limits(cell=99),
    )
    steps = [step_of(BASE, 0, "base", matrix)]
    steps += [step_of(patched(count), count, f"patch {count}", matrix) for count in counts]
    series = PatchSeries("s", folder, (patch,), ("one",))
    return PatchJob(series, tuple(steps), matrix, None)


def take(
    job: PatchJob,
    changes: Changes = Changes(),  # noqa: B008 - frozen
    view: Watcher | None = None,
    gone_on: tuple[RunStore, Run] | None = None,
    after: AfterRun = lambda _run, _folder: None,
) -> PatchSession:
    """All steps of a job, as the command takes them."""
    with Progress(*([view] if view else [])) as progress:
        around = Surroundings(
            ThisProcess(),
            progress,
            QEMU,
            "go on with 's2eval patch --resume {run}'",
            after=after,
        )
        plan = plan_of(job, changes)
        with session(job, plan, around, ["s2eval", "patch"], gone_on) as done:
            done.engine.status = Status.PASS
    return done


def cell(step: int) -> str:
    return f"{'debian-6.1' if step == 0 else patched(step).name}/{PLACE}"


def test_every_kernel_is_built_booted_and_recorded(
    make: FakeMake, batches: FakeBatches, job: PatchJob
) -> None:
    view = Watcher()
    done = take(job, view=view)
    assert batches.booted == [cell(0), cell(1), cell(2)]
    assert [names(result.cells) for result in done.results] == [[cell(0)], [cell(1)], [cell(2)]]
    run = load_run(done.folder)
    assert (run.status, run.run.interrupted, run.run.plan) == (Status.PASS, False, "patch")
    assert run.run.comparisons == [
        Comparison(base="debian-6.1", patched=f"debian-6.1+s-{n}") for n in (1, 2)
    ]
    assert all(c.expectations[0].status is Status.PASS for c in run.cells)
    assert {tools.limit for tools in batches.tools} == {99}
    status = json.loads((done.folder / "status.json").read_text())
    assert (status["state"], status["total"], status["done"]) == ("finished", 3, 3)


def test_the_base_runs_while_the_patched_kernel_builds(
    make: FakeMake, batches: FakeBatches, job: PatchJob
) -> None:
    base_runs = threading.Event()

    def boot(request: CellRequest) -> Cell:
        base_runs.set()
        return passed(request)

    def before(name: str) -> None:
        assert name == "debian-6.1" or base_runs.wait(30)

    batches.boot, make.before = boot, before
    assert len(take(job).results) == 3


def test_the_same_image_is_not_booted_again(
    make: FakeMake, batches: FakeBatches, job: PatchJob
) -> None:
    make.images = {"debian-6.1": "one", "debian-6.1+s-1": "one", "debian-6.1+s-2": "two"}
    view = Watcher()
    done = take(job, view=view)
    assert batches.booted == [cell(0), cell(2)]
    assert [result.same for result in done.results] == [False, True, False]
    assert (view.last.total, view.last.done, done.engine.record.run.interrupted) == (2, 2, False)


def test_nothing_is_booted_when_no_image_is_another(
    make: FakeMake, batches: FakeBatches, tmp_path: Path
) -> None:
    make.images = {"debian-6.1": "one", "debian-6.1+s-1": "one"}
    words = "+++ b/Documentation/a.rst\n+words\n"
    done = take(job_of(tmp_path, 1, text=words))
    assert batches.booted == [] and done.results[1].same
    assert load_run(done.folder).cells == [] and not done.engine.record.run.interrupted


def test_a_step_that_does_not_build_stands_in_no_others_way(
    make: FakeMake, batches: FakeBatches, job: PatchJob
) -> None:
    make.images["debian-6.1+s-1"] = BuildError("mmu.c:1: error")
    done = take(job)
    assert batches.booted == [cell(0), cell(2)]
    assert [result.error for result in done.results] == ["", "mmu.c:1: error", ""]


def test_a_base_that_does_not_build_is_all_that_there_is(
    make: FakeMake, batches: FakeBatches, job: PatchJob
) -> None:
    make.images["debian-6.1"] = BuildError("no")
    done = take(job)
    assert batches.booted == [] and [result.error for result in done.results] == ["no"]
    assert not done.engine.record.run.interrupted


def test_what_is_wrong_with_the_input_leaves_no_run(
    make: FakeMake, batches: FakeBatches, job: PatchJob, tmp_path: Path
) -> None:
    def before(name: str) -> None:
        raise UsageError("does not apply")

    make.before = before
    with pytest.raises(UsageError, match="does not apply"):
        take(job)
    assert not (tmp_path / "results").exists()


def test_interrupted_the_build_ends_first_and_what_was_done_is_recorded(
    make: FakeMake, batches: FakeBatches, job: PatchJob, tmp_path: Path
) -> None:
    make.images["debian-6.1+s-1"] = "endless"

    def boot(request: CellRequest) -> Cell:
        assert make.begun.wait(30)
        raise KeyboardInterrupt

    building: list[bool] = []

    def after(_run: Run, _folder: Path) -> None:
        building.append(any(t.name == "builds" for t in threading.enumerate()))

    batches.boot = boot
    with pytest.raises(KeyboardInterrupt):
        take(job, after=after)
    assert building == [False]
    run = load_run((tmp_path / "results/latest").resolve())
    assert run.run.interrupted and run.cells == [] and run.status is Status.MISS


def test_it_goes_on_with_what_was_done(
    make: FakeMake, batches: FakeBatches, job: PatchJob, tmp_path: Path
) -> None:
    def boot(request: CellRequest) -> Cell:
        if request.kernel.name == patched(1).name:
            raise KeyboardInterrupt
        return passed(request)

    batches.boot = boot
    with pytest.raises(KeyboardInterrupt):
        take(job)
    folder = (tmp_path / "results/latest").resolve()
    batches.boot = passed
    batches.booted.clear()
    with RunStore(folder) as store:
        saved = load_job(folder)
        assert saved.job() == job and saved.plan == plan_of(job, Changes())
        done = take(saved.job(), gone_on=(store, resumed(store)))
    assert batches.booted == [cell(1), cell(2)]
    assert names(done.results[0].cells) == [cell(0)]
    run = load_run(folder)
    assert names(run.cells) == [cell(0), cell(1), cell(2)]
    assert (run.status, run.run.resumed) == (Status.PASS, 1)


def test_a_job_that_cannot_be_gone_on_with(
    make: FakeMake, batches: FakeBatches, job: PatchJob, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"job\.json: no series to go on with"):
        load_job(tmp_path)
    folder = take(job).folder
    saved = load_job(folder)
    job.series.patches[0].unlink()
    with pytest.raises(UsageError, match=r"1\.patch: gone from the cache"):
        saved.job()
    (folder / JOB).write_text("{}")
    with pytest.raises(UsageError, match="no series to go on with"):
        load_job(folder)


def test_a_run_that_is_stopped_says_how_to_go_on(
    make: FakeMake, batches: FakeBatches, job: PatchJob, tmp_path: Path
) -> None:
    changes = Changes(limits=Limits(run=1e-9))
    with pytest.raises(MachineError, match=r"for the run is reached: go on with 's2eval patch --r"):
        take(job, changes)
    run = load_run((tmp_path / "results/latest").resolve())
    assert run.run.interrupted and "for the run is reached" in run.run.stopped


def test_what_a_command_line_says_comes_before_the_plans_limits(job: PatchJob) -> None:
    changes = Changes(repeat=3, skip_unchanged=True, limits=Limits(run=5))
    plan = plan_of(job, changes)
    assert (plan.limits, plan.repeat, plan.skip_unchanged) == (Limits(cell=99, run=5), 3, True)
    assert plan_of(job, Changes(limits=Limits(cell=1))).limits == Limits(cell=1)
