# SPDX-License-Identifier: GPL-2.0-only
"""Paths that suites have given before, and the warnings that come of them."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from harness.evaluate.engine.known_paths import not_seen_yet, remember
from harness.evaluate.plan.expect import Expect
from harness.evaluate.plan.plan import CellRequest, Plan, cells_of
from harness.results.failure_kinds import FailureKind
from harness.results.records import Cell, Failure, KernelRecord, Observation, Status, SuiteRecord

MISSPELT = "audit.framebuffr"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def plan_of(path: str, *machines: str, suite: str = "drivers") -> tuple[Plan, list[CellRequest]]:
    expect = Expect(path=path, status=Status.FAIL)
    plan = Plan(kernels=["debian-6.1"], machines=list(machines), suites=[suite], expect=[expect])
    return plan, cells_of(plan)


def warnings(path: str, *machines: str) -> list[str]:
    return not_seen_yet(*plan_of(path, *machines), None)


def gave(machine: str, *paths: str, suite: str = "drivers", failure: Failure | None = None) -> None:
    """A cell of the suite on `machine` has run and given `paths`."""
    (request,) = plan_of(f"{suite}.x", machine, suite=suite)[1]
    cell = Cell(
        name=request.name,
        kernel=KernelRecord(name="debian-6.1"),
        machine=request.machine.record("10.0.2", []),
        suite=SuiteRecord(name=suite),
        status=Status.FAIL,
        observations=[Observation(path=path, status=Status.FAIL) for path in paths],
        failure=failure,
    )
    remember([(request, cell)])


def test_what_was_seen_on_one_device_says_nothing_of_another() -> None:
    gave("flat-tcg-nvme", "audit.registers", "drivers.bar")
    assert warnings("audit.framebuffer", "flat-tcg-bochs") == []
    assert warnings("audit.framebuffer", "flat-tcg-nvme", "flat-tcg-bochs") == []
    gave("flat-tcg-bochs", "audit.framebuffer", "drivers.bar")
    assert warnings("audit.framebuffer", "flat-tcg-nvme", "flat-tcg-bochs") == []
    (line,) = warnings(MISSPELT, "flat-tcg-nvme", "flat-tcg-bochs")
    assert line == (
        f"warning: expect {MISSPELT}: drivers on flat-tcg-nvme, flat-tcg-bochs has given no such "
        "path so far: did you mean 'audit.framebuffer'?"
    )


def test_topology_and_cpu_are_other_machines_too() -> None:
    gave("nested-tcg-bochs", "drivers.bar")
    assert warnings(MISSPELT, "nested-tcg-bochs")
    assert warnings(MISSPELT, "flat-tcg-bochs") == []
    gave("nested-tcg", "user.bar", suite="user")
    assert not_seen_yet(*plan_of("user.x", "nested-tcg", suite="user"), None)
    assert not not_seen_yet(*plan_of("user.x", "nested-tcg-cortex-a72", suite="user"), None)


def test_a_guest_that_did_not_come_to_its_end_says_nothing() -> None:
    gave("flat-tcg-bochs", "drivers.bar", failure=Failure(kind=FailureKind.PANIC, summary="it was"))
    assert warnings(MISSPELT, "flat-tcg-bochs") == []


def test_many_machines_are_not_all_named() -> None:
    names = [f"nested-tcg{more}" for more in ("", "-nvme", "-bochs", "-cortex-a72", "-cortex-a76")]
    for name in names:
        gave(name, "user.bar", suite="user")
    (line,) = not_seen_yet(*plan_of("user.qqq", *names, suite="user"), None)
    assert "user on nested-tcg, nested-tcg-nvme, nested-tcg-bochs, 2 more has given no such" in line


@pytest.mark.parametrize("text", ["", "5", "[1", '{"a": 1'])
def test_a_broken_file_is_as_none(cache: Path, text: str) -> None:
    gave("flat-tcg-bochs", "drivers.bar")
    (file,) = (cache / "paths").glob("*.json")
    file.write_text(text)
    assert warnings(MISSPELT, "flat-tcg-bochs") == []
    gave("flat-tcg-bochs", "drivers.bar")
    assert json.loads(file.read_text()) == ["drivers.bar"]


def _many(number: int) -> None:
    for count in range(10):
        gave("flat-tcg-bochs", f"drivers.{number}.{count}")


def test_runs_that_end_together_lose_nothing(cache: Path) -> None:
    """Four processes, ten paths each, one file."""
    gave("flat-tcg-bochs", "drivers.bar")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_many, args=(number,)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    (file,) = (cache / "paths").glob("*.json")
    assert len(json.loads(file.read_text())) == 41
    assert not list(file.parent.glob("*.part"))
