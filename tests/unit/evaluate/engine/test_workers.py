# SPDX-License-Identifier: GPL-2.0-only
"""Worker processes: real ones, whose work is no guest but a few lines of Python."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.base.errors import DiskFullError, MachineError, OutOfTimeError
from harness.evaluate.cell.batch import batches
from harness.evaluate.engine.execute import Cells
from harness.evaluate.engine.queue import Budget, Order, RunLimit
from harness.evaluate.engine.task import Policy, Task
from harness.evaluate.engine.workers import Workers, WorkerTraceback
from harness.evaluate.events import Event, Listener, Note
from harness.results.failure_kinds import FailureKind
from harness.results.records import Cell
from tests.unit.evaluate.engine.fake_cells import QEMU, REQUESTS, passed

PLENTY = Budget(1e9, 1e9)
Work = Callable[[Task, Listener], Cells]


@pytest.fixture(autouse=True)
def no_children_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


def tasks(folder: Path) -> list[Task]:
    """Two tasks of two cells."""
    return [Task(batch, QEMU, Policy(), folder) for batch in batches(REQUESTS)]


def ordered(all_tasks: list[Task], limit: RunLimit | None = None) -> Order:
    return Order([task.batch for task in all_tasks], {}, PLENTY, limit=limit)


def run(work: Work, folder: Path, jobs: int = 2, heard: list[Event] | None = None) -> list[Cell]:
    all_tasks = tasks(folder)
    events: list[Event] = [] if heard is None else heard
    with Workers(jobs, work) as crew:
        return list(crew.run(all_tasks, ordered(all_tasks), events.append))


def tells_who(task: Task, listener: Listener) -> Cells:
    """Each cell says which process it was run by."""
    for request in task.batch:
        listener(Note(f"by {os.getpid()}", request.name))
        time.sleep(0.2)  # long enough for the other worker to begin
        yield passed(request)


def test_side_by_side_in_processes_of_their_own(tmp_path: Path) -> None:
    events: list[Event] = []
    found = run(tells_who, tmp_path, heard=events)
    assert {cell.name for cell in found} == {request.name for request in REQUESTS}
    by = {event.cell: event.text for event in events if isinstance(event, Note)}
    assert len(by) == 4 and len(set(by.values())) == 2 and f"by {os.getpid()}" not in by.values()


def test_a_crew_is_asked_more_than_once(tmp_path: Path) -> None:
    all_tasks = tasks(tmp_path)
    with Workers(2, tells_who) as crew:
        for _ in range(2):
            assert len(list(crew.run(all_tasks, ordered(all_tasks), lambda _: None))) == 4


def test_a_task_is_data(tmp_path: Path) -> None:
    for task in tasks(tmp_path):
        again = pickle.loads(pickle.dumps(task))  # noqa: S301 - our own
        assert again == task and again.cells == task.cells
    folder = again.cell_folder(REQUESTS[2].name, 1)
    assert folder.is_dir() and folder.parent == tmp_path


def dies(task: Task, _listener: Listener) -> Cells:
    """The first task's worker dies in its second cell."""
    yield passed(task.batch[0])
    if task.batch[0] == REQUESTS[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    yield passed(task.batch[1])


def test_of_a_worker_that_dies_the_task_it_had_is_lost(tmp_path: Path) -> None:
    found = {cell.name: cell for cell in run(dies, tmp_path)}
    lost = {name: cell.failure for name, cell in found.items() if cell.failure}
    assert len(found) == 4 and list(lost) == [REQUESTS[1].name]
    failure = lost[REQUESTS[1].name]
    assert failure.kind is FailureKind.MACHINE and failure.summary.endswith("signal 9")


def test_without_a_worker_for_what_is_left_it_ends(tmp_path: Path) -> None:
    found: list[Cell] = []
    all_tasks = tasks(tmp_path)
    with (
        pytest.raises(MachineError, match=r"^all worker processes have ended$"),
        Workers(1, dies) as crew,
    ):
        found.extend(crew.run(all_tasks, ordered(all_tasks), lambda _: None))


def test_the_last_worker_may_die_in_the_last_task(tmp_path: Path) -> None:
    """Nothing is left to be done, so nothing is wrong with the run itself."""
    (first, _) = tasks(tmp_path)
    with Workers(1, dies) as crew:
        found = list(crew.run([first], ordered([first]), lambda _: None))
    assert [cell.failure is not None for cell in found] == [False, True]


def test_nor_when_no_time_is_left_for_the_rest(tmp_path: Path) -> None:
    limit = RunLimit(3600)

    def late(event: Event) -> None:
        limit._deadline = RunLimit(1e-9)._deadline

    def says_so(task: Task, listener: Listener) -> Cells:
        listener(Note("begun"))
        yield from dies(task, listener)

    all_tasks = tasks(tmp_path)
    with Workers(1, says_so) as crew:
        assert len(list(crew.run(all_tasks, ordered(all_tasks, limit), late))) == 2


class OddError(Exception):
    """Cannot be pickled and made again: it wants two arguments."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (KeyError("no such thing"), KeyError),
        (DiskFullError("/x: full"), DiskFullError),
        (OutOfTimeError("late"), OutOfTimeError),
        (OddError("a", "b"), RuntimeError),
    ],
)
def test_a_bug_is_the_same_error_in_a_worker_as_in_this_process(
    tmp_path: Path, error: Exception, seen: type[Exception]
) -> None:
    """And no MISS of a cell, which would be tried again; all workers are ended."""

    def work(task: Task, _listener: Listener) -> Cells:
        yield passed(task.batch[0])
        if task.batch[0] == REQUESTS[0]:
            raise error
        time.sleep(600)

    began = time.monotonic()
    with pytest.raises(seen) as caught:
        run(work, tmp_path)
    assert isinstance(caught.value.__cause__, WorkerTraceback)
    assert "raise error" in str(caught.value.__cause__)
    assert time.monotonic() - began < 60


def test_no_child_is_left_when_one_cannot_be_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    context = multiprocessing.get_context("fork")
    start, count = context.Process.start, []

    def limited(self: multiprocessing.process.BaseProcess) -> None:
        count.append(self)
        if len(count) == 3:
            raise BlockingIOError("fork: Resource temporarily unavailable")
        start(self)

    monkeypatch.setattr(context.Process, "start", limited)
    with pytest.raises(BlockingIOError), Workers(4, tells_who):
        pass
    assert len(count) == 3


def test_a_signal_to_this_process_ends_the_workers(tmp_path: Path) -> None:
    def endless(task: Task, listener: Listener) -> Cells:
        listener(Note("begun"))
        time.sleep(600)
        yield passed(task.batch[0])

    def interrupt(_event: Event) -> None:
        raise KeyboardInterrupt

    began = time.monotonic()
    all_tasks = tasks(tmp_path)
    with pytest.raises(KeyboardInterrupt), Workers(2, endless) as crew:
        list(crew.run(all_tasks, ordered(all_tasks), interrupt))
    assert time.monotonic() - began < 60


def free(path: Path) -> bool:
    """Whether nobody holds the lock of a run's folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def test_a_run_is_in_use_until_its_last_worker_has_ended(tmp_path: Path) -> None:
    """Also one that was begun after the fork: nobody resumes or removes it meanwhile."""
    all_tasks = tasks(tmp_path)
    with Workers(2, tells_who) as crew:
        lock = os.open(tmp_path, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        crew.hold(lock)
        list(crew.run(all_tasks, ordered(all_tasks), lambda _: None))
        os.close(lock)  # as when this process was killed
        assert not free(tmp_path)
    assert free(tmp_path)
