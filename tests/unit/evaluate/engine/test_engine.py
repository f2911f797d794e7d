# SPDX-License-Identifier: GPL-2.0-only
"""The one loop: what is run, recorded, judged and said, however a run ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.base.errors import DiskFullError, MachineError
from harness.evaluate.engine.engine import Engine, still_to_do
from harness.evaluate.engine.new_run import resumed
from harness.evaluate.events import CellDone
from harness.evaluate.plan.expect import Expect
from harness.evaluate.plan.plan import CellRequest, Limits
from harness.results.failure_kinds import FailureKind
from harness.results.records import Cell, Run, Status
from harness.results.store import RunStore, load_run
from tests.unit.evaluate.engine.fake_cells import (
    PLAN,
    REQUESTS,
    WAY_ON,
    FakeBatches,
    Watcher,
    engine_for,
    failed,
    names,
    passed,
)

FIRST, SECOND, THIRD, FOURTH = (request.name for request in REQUESTS)


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("S2EVAL_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "results"


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> FakeBatches:
    fake = FakeBatches()
    monkeypatch.setattr("harness.evaluate.engine.execute.run_batch", fake)
    return fake


def state(engine: Engine) -> str:
    found: str = json.loads((engine.store.folder / "status.json").read_text())["state"]
    return found


def test_all_cells_are_recorded_in_the_order_of_the_plan(batches: FakeBatches) -> None:
    view = Watcher()
    with engine_for(PLAN, view=view) as engine:
        found = engine.run(list(reversed(REQUESTS)))
        assert names(found) == [FOURTH, THIRD, SECOND, FIRST] == batches.booted
    record = load_run(engine.store.folder)
    assert (record.status, record.run.interrupted, state(engine)) == (
        *(Status.PASS, False),
        "finished",
    )
    assert names(record.cells) == [FOURTH, THIRD, SECOND, FIRST]
    assert not (engine.store.folder / ".journal").exists()
    assert (view.last.total, view.last.done, view.stopped) == (4, 4, True)
    assert sum(isinstance(event, CellDone) for event in view.events) == 4
    assert batches.closed == 2


def test_it_is_asked_as_often_as_needed_and_runs_no_cell_twice(batches: FakeBatches) -> None:
    with engine_for(PLAN) as engine:
        engine.announce(REQUESTS)
        assert names(engine.run(REQUESTS[2:])) == [THIRD, FOURTH]
        # A run that is killed now has its cells in the journal.
        assert names(load_run(engine.store.folder).cells) == [THIRD, FOURTH]
        assert names(engine.run(REQUESTS)) == [FIRST, SECOND, THIRD, FOURTH]
    assert batches.booted == [THIRD, FOURTH, FIRST, SECOND]
    assert names(engine.record.cells) == [FIRST, SECOND, THIRD, FOURTH]


def test_cells_that_are_not_wanted_after_all_are_not_missing(batches: FakeBatches) -> None:
    view = Watcher()
    with engine_for(PLAN, view=view) as engine:
        engine.announce(REQUESTS)
        engine.run(REQUESTS[:2])
        engine.drop(REQUESTS)  # what has a record stays
    assert (engine.record.run.interrupted, state(engine)) == (False, "finished")
    assert names(engine.record.cells) == [FIRST, SECOND] and view.last.done == 2


def test_cells_that_were_announced_and_never_run_are_missing(batches: FakeBatches) -> None:
    with engine_for(PLAN) as engine:
        engine.announce(REQUESTS)
        engine.run(REQUESTS[:2])
    assert (engine.record.run.interrupted, engine.record.status) == (True, Status.MISS)
    assert state(engine) == "interrupted"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_whatever_ends_it_what_was_done_is_recorded(
    batches: FakeBatches, error: type[BaseException]
) -> None:
    """An interrupt; a bug of the harness, which becomes no record of a cell."""

    def boot(request: CellRequest) -> Cell:
        if request.name == THIRD:
            raise error
        return passed(request)

    batches.boot = boot
    told: list[Run] = []
    with (
        pytest.raises(error),
        engine_for(PLAN, after=lambda run, _: told.append(run)) as engine,
    ):
        engine.run(REQUESTS)
    record = load_run(engine.store.folder)
    assert names(record.cells) == [FIRST, SECOND] and record.run.interrupted
    assert state(engine) == "interrupted"
    assert told == [engine.record] and batches.closed == 2  # no guest is kept


def test_what_follows_a_run_comes_when_its_record_is_there_and_nothing_is_shown(
    batches: FakeBatches,
) -> None:
    view = Watcher()
    folders: list[Path] = []

    def after(run: Run, folder: Path) -> None:
        assert load_run(folder) == run and not run.run.interrupted
        assert view.stopped
        folders.append(folder)

    with engine_for(PLAN, after=after, view=view) as engine:
        engine.run(REQUESTS)
    assert folders == [engine.store.folder]


def test_a_run_that_is_taken_up_again_runs_what_is_left_and_what_was_lacking(
    batches: FakeBatches,
) -> None:
    def boot(request: CellRequest) -> Cell:
        if request.name == THIRD:
            raise KeyboardInterrupt
        if request.name == FIRST:
            return failed(request, FailureKind.MACHINE, "gcc is missing")
        return passed(request)

    batches.boot = boot
    with pytest.raises(KeyboardInterrupt), engine_for(PLAN) as engine:
        engine.run(REQUESTS)
    engine.store.__exit__()
    batches.boot = passed
    batches.booted.clear()
    with RunStore(engine.store.folder) as store:
        record = resumed(store)
        view = Watcher()
        with engine_for(PLAN, resumed=(store, record), view=view) as again:
            again.run(REQUESTS)
    assert view.last.counts == {Status.PASS: 4}  # one of them from before
    assert batches.booted == [FIRST, THIRD, FOURTH]
    assert names(again.record.cells) == [FIRST, SECOND, THIRD, FOURTH]
    assert (again.record.run.resumed, again.record.status) == (1, Status.PASS)
    assert again.record.run.seconds >= engine.record.run.seconds


def test_a_disk_that_is_full_for_one_cell_is_so_for_the_next(batches: FakeBatches) -> None:
    def boot(request: CellRequest) -> Cell:
        if request.name == SECOND:
            return failed(request, FailureKind.DISK_FULL, "/x: No space left on device")
        return passed(request)

    batches.boot = boot
    with engine_for(PLAN) as engine:
        assert names(engine.run(REQUESTS)) == [FIRST, SECOND]
        assert names(engine.run(REQUESTS)) == [FIRST, SECOND]  # nothing is begun any more
        with pytest.raises(MachineError, match=r"No space left .*: go on with 's2eval run --res"):
            engine.go_on()
    assert state(engine) == "stopped" and batches.booted == [FIRST, SECOND]
    assert "No space left" in engine.record.run.stopped
    assert engine.record.run.id in still_to_do(engine.record, WAY_ON)


def test_what_a_guest_says_of_a_full_disk_stops_no_run(batches: FakeBatches) -> None:
    batches.boot = lambda request: failed(
        request, FailureKind.VMM_EXIT, "qemu: /dev/shm: No space left on device"
    )
    with engine_for(PLAN) as engine:
        assert len(engine.run(REQUESTS)) == 4
    assert (engine.stopped, engine.record.run.interrupted) == ("", False)


def test_without_room_for_a_record_the_way_on_is_told(
    batches: FakeBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = RunStore.add

    def full(store: RunStore, cell: Cell) -> None:
        if cell.name == THIRD:
            raise DiskFullError("/x: No space left on device: free some space")
        add(store, cell)

    monkeypatch.setattr(RunStore, "add", full)
    way_on = r"free some space, then go on with 's2eval run --resume \d+"
    ended: list[int] = []
    with (
        pytest.raises(DiskFullError, match=way_on),
        engine_for(PLAN, after=lambda _run, _folder: ended.append(batches.closed)) as engine,
    ):
        engine.run(REQUESTS)
    assert ended == [2]  # no guest goes on while the record is written
    assert state(engine) == "stopped" and load_run(engine.store.folder).run.interrupted


def test_the_limit_of_a_run_is_one_for_all_that_it_is_asked_for(batches: FakeBatches) -> None:
    plan = PLAN.model_copy(update={"limits": Limits(run=1e-9)})
    with engine_for(plan) as engine:
        assert engine.run(REQUESTS[:2]) == engine.run(REQUESTS[2:]) == []
        with pytest.raises(MachineError, match="limit of 1e-09 s for the run is reached"):
            engine.go_on()
    assert batches.booted == [] and state(engine) == "stopped"


def test_a_cell_gets_the_plans_policy(batches: FakeBatches) -> None:
    plan = PLAN.model_copy(update={"limits": Limits(cell=7), "fresh": True, "repeat": 2})
    with engine_for(plan) as engine:
        (cell,) = engine.run(REQUESTS[:1])
    assert cell.repeats == 2 and batches.booted == [FIRST, FIRST]
    assert {(tools.limit, tools.fresh) for tools in batches.tools} == {(7, True)}


def test_cells_are_judged_by_the_plan(batches: FakeBatches) -> None:
    wanted = Expect(suite="wcprobe", path="wcprobe.x", status=Status.FAIL)
    plan = PLAN.model_copy(update={"expect": [wanted]})
    with engine_for(plan) as engine:
        first, second = engine.run(REQUESTS[:2])
        engine.drop(REQUESTS)
    assert [e.status for e in first.expectations] == [Status.FAIL] and not second.expectations
    assert engine.record.status is Status.FAIL


def test_whoever_knows_better_says_how_a_run_ended(batches: FakeBatches) -> None:
    batches.boot = lambda request: failed(request, FailureKind.SILENCE, "no output")
    with engine_for(PLAN) as engine:
        engine.run(REQUESTS)
        engine.status = Status.PASS
    assert load_run(engine.store.folder).status is Status.PASS


def test_one_more_boot_becomes_a_repeat_with_logs_of_its_own(batches: FakeBatches) -> None:
    view = Watcher()
    with engine_for(PLAN, view=view) as engine:
        engine.run(REQUESTS[:1])
        batches.boot = lambda request: failed(request, FailureKind.PANIC, "it died")
        boots = [engine.boot_again(REQUESTS[0]) for _ in range(2)]
        assert [boot.failure is not None for boot in boots if boot] == [True, True]
        assert view.last.total == view.last.done == 3
        assert load_run(engine.store.folder).cells[0].repeats == 3  # at once
    (cell,) = load_run(engine.store.folder).cells
    assert (cell.repeats, cell.inputs) == (3, "")
    assert cell.logs == ["console.log", "2/console.log", "3/console.log"]
    folder = engine.store.folder / FIRST.replace("/", "_")
    assert all((folder / log).is_file() for log in cell.logs)
    assert [tools.fresh for tools in batches.tools] == [False, True, True]


def test_another_boot_of_a_stopped_run_is_none(batches: FakeBatches) -> None:
    plan = PLAN.model_copy(update={"limits": Limits(run=60)})
    with engine_for(plan) as engine:
        engine.run(REQUESTS[:1])
        engine.stopped = "it is late"
        assert engine.boot_again(REQUESTS[0]) is None
        with pytest.raises(MachineError, match="stopped: it is late"):
            engine.go_on()
    assert batches.booted == [FIRST]


def test_what_has_not_changed_is_taken_over_when_the_plan_says_so(
    batches: FakeBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.evaluate.engine.unchanged.build_key", lambda _: "key")
    with engine_for(PLAN) as first:
        first.run(REQUESTS)
    batches.booted.clear()
    plan = PLAN.model_copy(update={"skip_unchanged": True})
    with engine_for(plan) as second:
        found = second.run(REQUESTS)
    assert batches.booted == [] and {cell.carried for cell in found} == {first.record.run.id}
    logs = second.store.folder / FIRST.replace("/", "_") / "console.log"
    assert logs.read_text() == "x\n"
    with engine_for(PLAN) as third:
        third.run(REQUESTS)
    assert len(batches.booted) == 4
