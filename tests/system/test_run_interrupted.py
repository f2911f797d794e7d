# SPDX-License-Identifier: GPL-2.0-only
"""A run that is interrupted in whatever it is doing leaves a record and nothing else."""

from __future__ import annotations

import json
import signal
import time

import pytest

from harness.results.records import Status
from tests.system.commands import KERNEL, S2Eval, cache_without, wait_for

NESTED = ("run", "-k", KERNEL, "-m", "nested-tcg", "--fresh")
FLAT = ("run", "-k", KERNEL, "-m", "flat-tcg")


@pytest.mark.parametrize(
    ("number", "machine", "phase"),
    [
        (signal.SIGINT, FLAT, "suite"),
        (signal.SIGTERM, FLAT, "boot and probe"),  # while the emulator is calibrated, see below
        (signal.SIGINT, NESTED, "start L1"),
        (signal.SIGTERM, NESTED, "boot L1"),
        (signal.SIGINT, NESTED, "start L2"),
        (signal.SIGHUP, NESTED, "probe"),
    ],
)
def test_a_signal_in_each_phase(
    s2eval: S2Eval, number: signal.Signals, machine: tuple[str, ...], phase: str
) -> None:
    known = {}
    if phase == "boot and probe":
        known = {"S2EVAL_CACHE": cache_without(s2eval.home / "cache", "fidelity")}
    running = s2eval.start(*machine, **known)
    running.until(f": {phase}")
    running.signal(number)
    ran = running.end()
    assert ran.code == 130, ran.err
    assert ran.err.splitlines()[-1] == "s2eval: interrupted" and "Traceback" not in ran.err
    assert s2eval.leftovers() == []
    run = s2eval.run()
    assert run.run.interrupted and run.cells == [] and run.status is Status.MISS


def test_what_had_finished_is_recorded_and_a_second_signal_changes_nothing(s2eval: S2Eval) -> None:
    running = s2eval.start("run", "-k", KERNEL, "-m", "flat-tcg", "-m", "nested-tcg", "--json")
    running.until(": probe")
    while running.process.poll() is None:  # a person who has lost patience
        running.signal(signal.SIGINT)
        time.sleep(0.001)
    ran = running.end()
    assert (ran.code, ran.out) == (130, ""), ran.err
    assert ran.err.count("s2eval: interrupted") == 1 and "Traceback" not in ran.err
    assert s2eval.leftovers() == []
    run = s2eval.run()
    assert [(c.machine.name, c.status) for c in run.cells] == [("flat-tcg", Status.PASS)]
    assert run.run.interrupted and run.status is Status.MISS
    shown = s2eval("show")
    assert "interrupted" in shown.out and "exit code 125" in shown.out


def test_not_even_a_killed_harness_leaves_a_qemu(s2eval: S2Eval) -> None:
    """Its temporary folder stays until the next run removes it; its processes do not."""
    running = s2eval.start(*NESTED)
    running.until(": start L2")
    assert len(s2eval.processes()) >= 2
    running.signal(signal.SIGKILL)
    assert running.end().code == -signal.SIGKILL
    wait_for("the processes are gone", lambda: not s2eval.processes())
    left = list(s2eval.scratch.iterdir())
    assert [path.name.startswith("s2eval-cell-") for path in left] == [True]
    s2eval(*FLAT)
    assert not left[0].exists()


def test_two_runs_at_once_do_not_get_in_each_others_way(s2eval: S2Eval) -> None:
    both = [s2eval.start(*FLAT, "--json") for _ in range(2)]
    ended = [one.end() for one in both]
    assert [one.code for one in ended] == [0, 0], ended
    runs = [json.loads(one.out) for one in ended]
    assert len({run["run"]["id"] for run in runs}) == 2
    assert all(run["status"] == "PASS" for run in runs)
    assert s2eval.run().run.id in {run["run"]["id"] for run in runs}
