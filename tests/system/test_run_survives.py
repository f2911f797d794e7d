# SPDX-License-Identifier: GPL-2.0-only
"""Runs that are killed, or run out of disk, memory or time: what was done stays, and they go on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.results.records import Cell, Run, Status
from tests.system.commands import (
    KERNEL,
    PROGRAM,
    S2Eval,
    make_machine,
    make_suite,
    provoke,
    wait_for,
)
from tests.system.test_cli_errors import MOUNTERS

PROBES = ("one", "two", "three")
SMALL = 'extends = "wcprobe"\n'


def small_plan(s2eval: S2Eval, more: str = "") -> str:
    """Two machines, three suites: six cells of about a second, in two batches."""
    suites = [make_suite(s2eval.home / name, SMALL) for name in PROBES]
    machines = [
        make_machine(s2eval.home / f"{name}.toml", 'extends = "flat-tcg"\n') for name in "ab"
    ]
    plan = s2eval.home / "small.toml"
    plan.write_text(
        f'kernels = ["{KERNEL}"]\nmachines = {json.dumps(machines)}\n'
        f"suites = {json.dumps(suites)}\n{more}"
    )
    return str(plan)


def by_name(run: Run) -> dict[str, Cell]:
    named = {cell.name: cell for cell in run.cells}
    assert len(named) == len(run.cells)  # nothing twice
    return named


def bare(cell: Cell) -> Cell:
    """Without what is judged anew as other cells come in."""
    return cell.model_copy(update={"expectations": []})


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_killed_at_random_points_nothing_is_lost_and_nothing_run_twice(
    s2eval: S2Eval, jobs: str
) -> None:
    seed = time.time_ns() % 1000
    print(f"seed {seed}")
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    command = ["run", small_plan(s2eval), "--jobs", jobs]
    done: dict[str, Cell] = {}
    for _ in range(4):
        running = s2eval.start(*command)
        wait_for("the run has begun", s2eval.results.is_dir)
        running.lines(chance.randint(1, 8))
        time.sleep(chance.uniform(0.0, 0.5))
        running.signal(signal.SIGKILL)
        running.end()
        now = by_name(s2eval.run())
        for name, cell in done.items():
            assert bare(now[name]) == bare(cell), name
        done = now
        command = ["run", "--resume", "--jobs", jobs]
    ran = s2eval("run", "--resume", "--jobs", jobs)
    run = s2eval.run()
    assert (ran.code, run.status, len(run.cells)) == (0, Status.PASS, 6), ran.err
    assert all(bare(by_name(run)[name]) == bare(cell) for name, cell in done.items())
    wanted = [f"{KERNEL}/{machine}/{suite}" for machine in "ab" for suite in PROBES]
    assert [c.name for c in run.cells] == wanted  # the plan's order, whatever was done first
    assert not run.run.interrupted and 1 <= run.run.resumed <= 4
    assert not (s2eval.folder() / ".journal").exists()


def test_the_next_run_removes_what_a_killed_one_left(s2eval: S2Eval) -> None:
    running = s2eval.start("run", "-k", KERNEL, "-m", "nested-tcg", "--fresh")
    running.until(": boot L1")
    running.signal(signal.SIGKILL)
    running.end()
    wait_for("the processes are gone", lambda: not s2eval.processes())
    (left,) = s2eval.scratch.iterdir()
    foreign = s2eval.scratch / "s2eval-cell-of-somebody"  # without its lock: not ours to judge
    foreign.mkdir()
    s2eval("run", "-k", KERNEL, "-m", "flat-tcg")
    assert not left.exists() and foreign.exists()
    foreign.rmdir()


def test_a_run_that_goes_on_cannot_be_resumed(s2eval: S2Eval) -> None:
    running = s2eval.start("run", small_plan(s2eval))
    running.until(": boot and probe")
    second = s2eval("run", "--resume")
    assert "is still going on" in second.one_line() and second.code == 2
    assert running.end().code == 0


def test_a_worker_that_is_killed_costs_its_cells_and_no_more(s2eval: S2Eval) -> None:
    running = s2eval.start("run", small_plan(s2eval), "--jobs", "2")
    running.until("b/one: boot and probe")
    workers = [pid for pid in s2eval.processes() if parent(pid) == running.process.pid]
    os.kill(workers[0], signal.SIGKILL)
    ran = running.end()
    cells = s2eval.run().cells
    lost = [c for c in cells if c.status is Status.MISS]
    assert ran.code == 125 and len(cells) == 6 and 0 < len(lost) <= 3
    assert {c.failure.summary for c in lost if c.failure} == {
        "the worker process of this cell ended with signal 9"
    }
    assert len({c.machine.name for c in lost}) == 1
    wait_for("its guest is gone", lambda: not s2eval.processes())
    again = s2eval("run", "--resume")  # which removes what the worker left, too
    assert (again.code, s2eval.run().status) == (0, Status.PASS)


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_workers_in_good_order(s2eval: S2Eval, number: signal.Signals) -> None:
    running = s2eval.start("run", small_plan(s2eval), "--jobs", "2", "--report")
    running.until(": judge")
    running.signal(number)
    ran = running.end()
    assert ran.code == 130 and "Traceback" not in ran.err, ran.err
    assert s2eval.leftovers() == []
    run = s2eval.run()
    assert run.run.interrupted and len(run.cells) < 6
    status = json.loads((s2eval.folder() / "status.json").read_text())
    assert (status["state"], status["running"]) == ("interrupted", [])
    assert "interrupted" in (s2eval.folder() / "report.html").read_text()


def on_a_small_disk(folder: Path, size: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in which `folder` is a disk of `size` that `grow` makes large."""
    folder.mkdir()
    # The options that a user's tmpfs shows (uid=) are not taken back by mount of util-linux 2.41.
    remount = f"mount --options-source disable -o remount,size=64m tiny {folder}"
    head = f"grow() {{ {remount}; }}\n"
    head += f"mount -t tmpfs -o size={size} tiny {folder} || exit 99\n"
    for mounter in MOUNTERS:
        if subprocess.run([*mounter, "true"], capture_output=True, check=False).returncode == 0:
            command = [*mounter, "sh", "-c", head + script]
            return subprocess.run(command, capture_output=True, text=True, check=False)
    raise AssertionError("nobody may mount here")


def test_a_disk_that_fills_up_stops_the_run_with_what_it_has(
    s2eval: S2Eval, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in s2eval.environment().items():
        monkeypatch.setenv(key, value)
    kept = s2eval.home / "kept"
    script = f"""
        {PROGRAM} run -q {small_plan(s2eval)} > {s2eval.home}/out 2> {s2eval.home}/err
        echo $?
        {PROGRAM} show --json > {s2eval.home}/before.json
        grow
        {PROGRAM} run -q --resume > {s2eval.home}/out2
        echo $?
        cp -a {s2eval.results} {kept}
    """
    done = on_a_small_disk(s2eval.results, "700k", script)
    assert done.stdout.split() == ["125", "0"], done.stderr
    said = (s2eval.home / "err").read_text()
    assert "No space left on device" in said and "--resume" in said and "Traceback" not in said
    before = by_name(Run.model_validate_json((s2eval.home / "before.json").read_text()))
    after = by_name(Run.model_validate_json((kept / "latest/run.json").read_text()))
    finished = {name: cell for name, cell in before.items() if cell.status is Status.PASS}
    assert 0 < len(finished) < 6 and len(after) == 6
    assert all(bare(after[name]) == bare(cell) for name, cell in finished.items())


def test_a_guest_that_hangs_gets_another_boot_and_one_that_panics_none(s2eval: S2Eval) -> None:
    machine = make_machine(
        s2eval.home / "impatient.toml", 'extends = "flat-tcg"\n[limits]\nsilence = 5\n'
    )
    suites = provoke(s2eval.home, "how=hang", "how=panic")
    wanted = [word for name in suites for word in ("-s", name)]
    ran = s2eval("run", "-k", KERNEL, "-m", machine, *wanted, "--retries", "1")
    hang, panic = s2eval.cell("/hang"), s2eval.cell("/panic")
    assert ran.code == 1
    assert [f.kind for f in hang.retried] == ["silence"] and hang.status is Status.MISS
    assert hang.failure and hang.failure.log == "2/console.log"
    folder = s2eval.folder() / hang.name.replace("/", "_")
    assert (folder / "2/console.log").is_file() and (folder / "console.log").is_file()
    assert panic.retried == [] and panic.status is Status.FAIL


def test_repeats_are_one_record_with_all_samples(s2eval: S2Eval) -> None:
    ran = s2eval("run", "-k", KERNEL, "-m", "flat-tcg", "--repeat", "3")
    cell = s2eval.cell("wcprobe")
    assert (ran.code, cell.repeats) == (0, 3)
    figures = [o for o in cell.observations if o.path.endswith("throughput.writel")]
    assert figures and all(len(o.samples) == 15 for o in figures)
    assert not [o for o in cell.observations if "flaky" in o.detail]
    assert cell.usage and 50 < cell.usage.memory_mib < 256 + 150


def test_a_cell_that_takes_too_long_is_a_miss_and_the_next_one_runs(s2eval: S2Eval) -> None:
    slow = make_suite(s2eval.home / "slow", 'extends = "provoke"\nscript = "stream /dev/console"\n')
    quick = make_suite(s2eval.home / "quick", SMALL)
    plan = s2eval.home / "plan.toml"
    for limit in (6, 24, 96):  # a busy machine needs more for the quick one
        plan.write_text(
            f'kernels = ["{KERNEL}"]\nmachines = ["flat-tcg"]\nretries = 0\n'
            f"suites = {json.dumps([slow, quick])}\n[limits]\ncell = {limit}\n"
        )
        ran = s2eval("run", str(plan))
        failed = s2eval.cell("/slow")
        assert ran.code == 125 and failed.status is Status.MISS
        assert failed.failure and f"the plan's limit of {limit} s" in failed.failure.summary
        if s2eval.cell("/quick").status is Status.PASS:
            return
    raise AssertionError(ran.out)


def test_a_run_that_takes_too_long_stops_and_can_go_on(s2eval: S2Eval) -> None:
    """The first cell begins within the limit, the sixth does not."""
    ran = s2eval("run", small_plan(s2eval, "[limits]\nrun = 2.5\n"))
    run = s2eval.run()
    assert ran.code == 125 and run.run.interrupted and 1 <= len(run.cells) < 6
    assert "the plan's limit of 2.5 s for the run is reached" in ran.err
    assert f"s2eval run --resume {run.run.id}" in ran.err


def test_what_has_not_changed_is_taken_over_with_its_logs(s2eval: S2Eval) -> None:
    plan = small_plan(s2eval)
    first = s2eval("run", plan)
    before = s2eval.run()
    (s2eval.home / "two" / "suite.toml").write_text(SMALL + "limit = 31\n")
    second = s2eval("run", plan, "--skip-unchanged")
    after = s2eval.run()
    assert (first.code, second.code) == (0, 0)
    carried = {c.name: c.carried for c in after.cells if c.carried}
    assert set(carried.values()) == {before.run.id}
    assert sorted(name.rsplit("/")[-1] for name in carried) == ["one", "one", "three", "three"]
    assert f"unchanged since {before.run.id}" in second.err
    for cell in after.cells:
        folder = s2eval.folder() / cell.name.replace("/", "_")
        assert all((folder / name).is_file() for name in cell.logs) and cell.logs
    s2eval("run", plan, "--again")
    assert not any(c.carried for c in s2eval.run().cells)
