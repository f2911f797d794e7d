# SPDX-License-Identifier: GPL-2.0-only
"""Boots of a bisection: cells of one run, by the one engine."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.base.errors import ExitCode, MachineError, UsageError
from harness.evaluate.bisect.bisect import Result, Tried
from harness.evaluate.bisect.commits import History, of_tree
from harness.evaluate.bisect.run import Boots, Finished, Question, run_bisect, shape_of, text
from harness.evaluate.cell.judge import ending
from harness.evaluate.engine import unchanged
from harness.evaluate.engine.crew import ThisProcess
from harness.evaluate.engine.engine import Surroundings
from harness.evaluate.patch.request import Matrix, Options, matrix_of
from harness.evaluate.patch.verdict.check import parse_check
from harness.evaluate.plan.plan import CellRequest, Limits
from harness.evaluate.progress import Progress
from harness.guests.vmm.vmm import VMM_OUTPUT
from harness.results.failure_kinds import FailureKind
from harness.results.records import Cell, Failure, Observation, Status
from harness.results.store import cell_path, load_run
from tests.unit.evaluate.engine.fake_cells import (
    PLAN,
    QEMU,
    FakeBatches,
    engine_for,
    failed,
    names,
    passed,
)

Git = Callable[..., str]


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("S2EVAL_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> FakeBatches:
    fake = FakeBatches()
    monkeypatch.setattr("harness.evaluate.engine.execute.run_batch", fake)
    monkeypatch.setattr("harness.evaluate.engine.engine.is_built", lambda _: True)
    return fake


@pytest.fixture
def options(tree: Path, git: Git) -> Options:
    """Nine commits on top of the tree's first."""
    for number in range(9):
        (tree / "kvm.c").write_text(f"int kvm_{number};\n")
        git(tree, "commit", "-qam", f"kvm: Number {number}")
    return Options(tree=str(tree), machines=("flat-tcg",))


@pytest.fixture
def history(options: Options) -> History:
    return of_tree(options, "HEAD~9", "HEAD")


def around(jobs: int = 1) -> Surroundings:
    crew = ThisProcess()
    crew.jobs = jobs
    return Surroundings(crew, Progress(), QEMU, "start it again")


def bisected(options: Options, limits: Limits, jobs: int = 1) -> tuple[str, Path]:
    question = Question("wcprobe.x", good="HEAD~9", bad="HEAD", limits=limits)
    done = run_bisect(question, options, around(jobs), ["s2eval", "bisect"])
    return done.result.found, done.folder


def breaks_at(number: int) -> Callable[[CellRequest], Cell]:
    """Kernels of commits from `number` on do not pass."""

    def boot(request: CellRequest) -> Cell:
        cell = passed(request)
        commit = request.kernel.source.ref
        if commits.index(commit[:12]) >= number:
            cell.observations = [Observation(path="wcprobe.x", status=Status.FAIL)]
        return cell

    commits: list[str] = []
    boot.commits = commits  # type: ignore[attr-defined]
    return boot


def known_to(boot: Callable[[CellRequest], Cell], tree: str, git: Git) -> None:
    found = git(Path(tree), "rev-list", "--reverse", "HEAD").split()
    boot.commits += [commit[:12] for commit in found]  # type: ignore[attr-defined]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bisection_is_a_run_whose_cells_are_commits(
    batches: FakeBatches, options: Options, git: Git, jobs: int
) -> None:
    batches.boot = breaks_at(4)
    known_to(batches.boot, options.tree, git)
    found, folder = bisected(options, Limits(cell=99), jobs)
    assert found[:12] == batches.boot.commits[4]  # type: ignore[attr-defined]
    run = load_run(folder)
    assert (run.status, run.run.interrupted, run.run.plan) == (Status.PASS, False, "bisect")
    assert {cell.repeats for cell in run.cells} == {2}
    assert len(run.cells) == len({cell.name for cell in run.cells}) == len(batches.booted) / 2
    for cell in run.cells:
        assert cell.logs == ["console.log", "2/console.log"]
        assert (cell_path(folder, cell.name) / "2/console.log").is_file()
    assert {tools.limit for tools in batches.tools} == {99}
    # The second boot of a kernel is one indeed, and no L1 that goes on from where it was saved.
    assert {tools.fresh for tools in batches.tools} == {False, True}
    first_two = [name.split("@")[1][:12] for name in batches.booted[:2]]
    ends = [batches.boot.commits[-1], batches.boot.commits[0]]  # type: ignore[attr-defined]
    assert first_two == (ends if jobs > 1 else ends[:1] * 2)


def test_a_bisection_that_is_stopped_is_an_interrupted_run(
    batches: FakeBatches, options: Options, results: Path
) -> None:
    with pytest.raises(MachineError, match="for the run is reached: start it again"):
        bisected(options, Limits(run=1e-9))
    run = load_run((results / "latest").resolve())
    assert run.run.interrupted and run.status is Status.MISS


@pytest.mark.parametrize(
    ("kind", "error", "code"),
    [
        (FailureKind.MACHINE, MachineError, ExitCode.UNDECIDED),
        (FailureKind.DISK_FULL, MachineError, ExitCode.UNDECIDED),
        (FailureKind.INPUT, UsageError, ExitCode.USAGE),
    ],
)
def test_what_is_missing_here_is_no_fault_of_the_user(
    batches: FakeBatches,
    history: History,
    options: Options,
    kind: FailureKind,
    error: type[MachineError],
    code: ExitCode,
) -> None:
    batches.boot = lambda request: failed(request, kind, "something is wrong")
    with engine_for(PLAN) as engine:
        boots = Boots(history, matrix_of(options), parse_check("wcprobe.x"), engine)
        with pytest.raises(error, match="something is wrong") as caught:
            boots(history.good)
    assert caught.value.exit_code is code and caught.type is error


def test_a_kernel_that_does_not_build_answers_nothing(
    batches: FakeBatches, history: History, options: Options
) -> None:
    batches.boot = lambda request: failed(request, FailureKind.BUILD, "mmu.c:1: error")
    with engine_for(PLAN) as engine:
        answer = Boots(history, matrix_of(options), parse_check("wcprobe.x"), engine)(history.good)
    assert answer.met is None and "mmu.c:1" in answer.why


def test_boots_ahead_are_used_and_made_once(
    batches: FakeBatches, history: History, options: Options
) -> None:
    with engine_for(PLAN) as engine:
        engine.around.crew.jobs = 2
        boots = Boots(history, matrix_of(options), parse_check("wcprobe.x"), engine)
        boots.ahead([history.bad, history.good])
        assert len(batches.booted) == 2
        assert boots(history.good).met and boots(history.bad).met
        assert len(batches.booted) == 2
        assert boots(history.good).met
        assert len(batches.booted) == 3
        engine.around.crew.jobs = 1
    assert len(names(engine.record.cells)) == 2


def test_answers_are_those_of_a_suite_a_machine_a_qemu_and_a_harness(
    options: Options, history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their contents: an edit of the suite makes another question of the same words."""
    suite = tmp_path / "suite"
    suite.mkdir()
    text = 'description = "x"\nscript = "true"\n'
    (suite / "suite.toml").write_text(text)

    def shape(repeat: int = 2, **change: object) -> str:
        asked = replace(options, suites=(str(suite),), **change)  # type: ignore[arg-type]
        matrix: Matrix = matrix_of(asked)
        history = of_tree(asked, "HEAD~9", "HEAD")
        boots = Boots(history, matrix, parse_check("x"), None)  # type: ignore[arg-type]
        return shape_of(boots.request(history.good), QEMU, repeat)

    first = shape()
    assert shape() == first
    shapes = {first, shape(repeat=3), shape(cpu="cortex-a72"), shape(machines=("nested-tcg",))}
    fragment = tmp_path / "more.config"
    for option in ("CONFIG_A=y\n", "CONFIG_B=y\n"):
        fragment.write_text(option)
        shapes.add(shape(config=(str(fragment),)))
    for name, more in {"suite.toml": f"{text}limit = 7\n", "more.c": "int x;"}.items():
        (suite / name).write_text(more)
        shapes.add(shape())
    monkeypatch.setattr(unchanged, "harness_hash", lambda: "another")
    shapes.add(shape())
    assert len(shapes) == 9


def test_what_is_printed_says_how_sure_it_is(history: History, tmp_path: Path) -> None:
    good = Tried(history.good, "good", "3 passed", 5, "kvm: Old", dissent=1)
    bad = Tried(history.bad, "bad", "wcprobe.x: FAIL VM killed", 2, "kvm: New")
    result = Result("x", good.commit, bad.commit, bad.commit, [], [bad, good], 0, 0.98765, 7, 1)

    def line(result: Result) -> str:
        said = text(Finished(result, history, tmp_path, 1.0))
        return next(one for one in said.splitlines() if one.startswith("sure"))

    assert line(result) == "sure      98.7 %: 7 boots, those of 1 commit disagreed"
    other = replace(bad, commit="0" * 40, why="wcprobe.y: FAIL faults (unlike)")
    unlike = replace(result, found=other.commit, tried=[bad, other, good], flickered=0)
    assert line(unlike) == (
        "sure      98.7 %: 7 boots, those of a commit always agreed; it fails otherwise than --bad"
    )
    hidden = replace(result, found="", left=[history.bad], confidence=None)
    assert line(hidden) == "sure      of no commit: 7 boots, those of 1 commit disagreed"
    assert line(replace(result, confidence=1.0)).startswith("sure      99.9 %")


def refused_from(number: int, words: Sequence[str]) -> Callable[[CellRequest], Cell]:
    """Kernels of commits from `number` on end the VMM, in `words` by turns."""
    said = itertools.cycle(words)

    def boot(request: CellRequest) -> Cell:
        cell = passed(request)
        if commits.index(request.kernel.source.ref[:12]) >= number:
            cell.failure = Failure(
                kind=FailureKind.VMM_EXIT,
                summary=next(said),
                where="VMM",
                log=f"{VMM_OUTPUT}.log",
            )
            cell.status = Status.MISS
            cell.observations = [ending("wcprobe", cell.failure)]
        return cell

    commits: list[str] = []
    boot.commits = commits  # type: ignore[attr-defined]
    return boot


@pytest.mark.parametrize("check", ["wcprobe.x", ""])
def test_a_kernel_that_refuses_the_vmm_is_bad(
    batches: FakeBatches, options: Options, git: Git, check: str
) -> None:
    batches.boot = refused_from(6, ["slot 4: Invalid argument", "slot 5: Invalid argument"])
    known_to(batches.boot, options.tree, git)
    question = Question(check, good="HEAD~9", bad="HEAD")
    done = run_bisect(question, options, around(), ["s2eval", "bisect"])
    assert done.result.found[:12] == batches.boot.commits[6]  # type: ignore[attr-defined]
    (first,) = [one for one in done.result.tried if one.commit == done.result.found]
    assert "slot 4: Invalid argument" in first.why or "vmm-refused" in first.why
    # Two boots have to agree, and two show it.
    name = next(n for n in batches.booted if done.result.found[:12] in n)
    assert batches.booted.count(name) == 2


def test_a_vmm_that_ends_in_two_ways_is_nobodys_fault(
    batches: FakeBatches, options: Options, git: Git
) -> None:
    batches.boot = refused_from(6, ["Invalid argument", "Bad address"])
    known_to(batches.boot, options.tree, git)
    with pytest.raises(UsageError, match=r"--bad .* cannot be judged: vmm-exit: "):
        bisected(options, Limits())


def test_without_a_check_what_is_worse_is_bad(
    batches: FakeBatches, options: Options, git: Git
) -> None:
    batches.boot = breaks_at(4)
    known_to(batches.boot, options.tree, git)
    done = run_bisect(Question(good="HEAD~9", bad="HEAD"), options, around(), ["s2eval", "bisect"])
    assert done.result.found[:12] == batches.boot.commits[4]  # type: ignore[attr-defined]
    whys = {one.answer: one.why for one in done.result.tried}
    assert whys["bad"] == "wcprobe.x: PASS -> FAIL"
    assert "no worse than the good end" in text(done)
    # It is all known by now; the good end is known to be one without its record.
    again = run_bisect(Question(good="HEAD~9", bad="HEAD"), options, around(), ["s2eval", "bisect"])
    assert again.result.found == done.result.found and again.result.resumed > 2
