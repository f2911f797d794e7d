# SPDX-License-Identifier: GPL-2.0-only
"""Several boots of a cell as one record, and which of them are made at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.evaluate.cell.batch import Batch
from harness.evaluate.cell.cell import Tools, blank
from harness.evaluate.engine import execute as module
from harness.evaluate.engine.execute import execute
from harness.evaluate.engine.task import Policy, Task
from harness.evaluate.events import to_nobody
from harness.evaluate.plan.plan import Plan, cells_of
from harness.hosts.qemu.binary import QemuBinary
from harness.results.failure_kinds import FailureKind
from harness.results.records import Cell, Failure, Observation, Phase, Status, Usage
from harness.results.repeats import boots_of, merge_takes, renamed_copy

PLAN = Plan(kernels=["debian-6.1"], machines=["flat-tcg"], suites=["wcprobe", "stage-types"])
BATCH: Batch = tuple(cells_of(PLAN))
QEMU = QemuBinary(Path("/none"), (), "", ())


def cell(*seen: Observation, status: Status = Status.PASS, kind: str = "", name: int = 0) -> Cell:
    made = blank(BATCH[name])
    made.status, made.observations = status, list(seen)
    made.phases = [Phase(name="probe", seconds=2.0)]
    made.usage = Usage(memory_mib=100.0, cpu_seconds=1.5)
    made.logs = ["console.log"]
    if kind:
        made.failure = Failure(kind=FailureKind(kind), summary=f"it was {kind}", log="console.log")
    return made


def fact(value: str | float | None, status: Status = Status.PASS, **more: object) -> Observation:
    return Observation.model_validate({"path": "s.x", "status": status, "value": value, **more})


def figure(value: float, *samples: float) -> Observation:
    return fact(value, Status.DONE, unit="MB/s", samples=list(samples))


def merged(*seen: Observation) -> Observation:
    (found,) = merge_takes([cell(one) for one in seen], []).observations
    return found


def test_samples_of_all_repeats_and_their_median() -> None:
    found = merged(figure(2, 1, 2, 3), figure(5, 4, 5, 60))
    assert (found.value, found.samples) == (3.5, [1, 2, 3, 4, 5, 60])
    assert boots_of(found, 2) == [[1, 2, 3], [4, 5, 60]]
    uneven = merged(figure(2, 1, 2), figure(5), figure(7, 7, 8, 9))
    assert boots_of(uneven, 3) == [[1, 2], [5], [7, 8, 9]]
    assert "flaky" not in found.detail
    assert merged(figure(2), figure(4)).value == 3  # a figure without samples is one itself


def test_older_records_do_not_say_which_boot_a_sample_is_of() -> None:
    old = figure(2, 1, 2, 3, 4, 5, 6)
    assert boots_of(old, 3) == [[1, 2], [3, 4], [5, 6]]
    assert boots_of(old, 4) == [[1, 2, 3, 4, 5, 6]]


def test_a_word_that_changes_is_flaky_and_the_worst_counts() -> None:
    works = fact("works")
    killed = fact("vm-killed", Status.FAIL, detail={"reason": "it died"})
    found = merged(works, killed, works)
    assert (found.status, found.value) == (Status.FAIL, "vm-killed")
    assert found.detail["flaky"] == {"PASS works": 2, "FAIL vm-killed": 1}
    assert found.detail["reason"] == "it died"
    assert "flaky" not in merged(works, works).detail


def test_what_only_some_repeats_saw_is_flaky() -> None:
    found = merge_takes([cell(fact("works")), cell(), cell()], []).observations[0]
    assert found.detail["flaky"] == {"not observed": 2, "PASS works": 1}


def test_a_count_is_no_figure() -> None:
    skipped = [fact(n, Status.SKIP, unit="tests") for n in (1.0, 2.0)]
    found = merged(*skipped)
    assert found.value == 1 and found.samples == [] and "flaky" in found.detail


def test_the_record_of_all_boots() -> None:
    bad = cell(status=Status.MISS, kind="silence")
    failed = renamed_copy(cell(status=Status.FAIL, kind="panic"), "3")
    found = merge_takes([renamed_copy(cell(), "2"), failed], [bad])
    assert found.status is Status.FAIL and found.repeats == 2
    assert found.failure and found.failure.log == "3/console.log"
    assert found.logs == ["console.log", "2/console.log", "3/console.log"]
    assert [f.kind for f in found.retried] == ["silence"]
    assert found.phases == [Phase(name="probe", seconds=6.0)]
    assert found.usage == Usage(memory_mib=100.0, cpu_seconds=4.5)


def test_a_log_elsewhere_stays_where_it_is() -> None:
    built = cell(kind="build")
    assert built.failure
    built.failure.log = "/cache/logs/build.log"
    found = renamed_copy(built, "2")
    assert found.failure and found.failure.log == "/cache/logs/build.log"


def test_one_boot_is_its_own_record() -> None:
    one = cell(figure(2, 1, 2, 9))
    assert merge_takes([one], []) == one


Boots = Callable[[str, int], Cell]


@pytest.fixture
def boots(monkeypatch: pytest.MonkeyPatch) -> Callable[[Boots], list[tuple[int, ...]]]:
    """Lets run_batch() give what a function of suite and boot says; the boots' cells by number."""

    def use(made: Boots) -> list[tuple[int, ...]]:
        counts: dict[str, int] = {}
        asked: list[tuple[int, ...]] = []

        def run_batch(batch: Batch, _tools: Tools, _folder: object) -> Iterator[Cell]:
            asked.append(tuple(BATCH.index(request) for request in batch))
            for request in batch:
                counts[request.name] = counts.get(request.name, 0) + 1
                yield made(request.suite.name, counts[request.name])

        monkeypatch.setattr(module, "run_batch", run_batch)
        return asked

    return use


def run(policy: Policy) -> list[Cell]:
    return list(execute(Task(BATCH, QEMU, policy, Path()), to_nobody))


def number(suite: str) -> int:
    return [request.suite.name for request in BATCH].index(suite)


def test_a_miss_gets_another_boot_for_itself_alone(
    boots: Callable[[Boots], list[tuple[int, ...]]],
) -> None:
    def made(suite: str, boot: int) -> Cell:
        hangs = suite == "wcprobe" and boot == 1
        status, kind = (Status.MISS, "silence") if hangs else (Status.PASS, "")
        return cell(status=status, kind=kind, name=number(suite))

    asked = boots(made)
    found = run(Policy(retries=2))
    assert asked == [(0, 1), (0,)]
    assert [c.suite.name for c in found] == ["stage-types", "wcprobe"]  # as they are done
    assert [len(c.retried) for c in found] == [0, 1]
    assert found[1].status is Status.PASS
    assert found[1].logs == ["console.log", "2/console.log"]


@pytest.mark.parametrize(
    ("status", "kind", "boots_made"),
    [
        (Status.MISS, "silence", 3),
        (Status.MISS, "machine", 3),
        (Status.MISS, "", 3),
        (Status.MISS, "build", 1),
        (Status.MISS, "input", 1),
        (Status.MISS, "disk-full", 1),
        (Status.FAIL, "panic", 1),
        (Status.ERROR, "", 1),
        (Status.SKIP, "machine", 1),
    ],
)
def test_what_is_worth_another_boot(
    boots: Callable[[Boots], list[tuple[int, ...]]], status: Status, kind: str, boots_made: int
) -> None:
    asked = boots(lambda suite, _: cell(status=status, kind=kind, name=number(suite)))
    found = run(Policy(retries=2))
    assert len(asked) == boots_made
    assert all(c.status is status and len(c.retried) == boots_made - 1 for c in found)


def test_repeats_are_boots_and_a_skip_is_not_repeated(
    boots: Callable[[Boots], list[tuple[int, ...]]],
) -> None:
    def made(suite: str, _boot: int) -> Cell:
        status = Status.SKIP if suite == "wcprobe" else Status.PASS
        return cell(status=status, name=number(suite))

    asked = boots(made)
    found = {c.suite.name: c.repeats for c in run(Policy(repeat=3))}
    assert asked == [(0, 1), (1,), (1,)]
    assert found == {"wcprobe": 1, "stage-types": 3}


@pytest.mark.parametrize(
    ("policy", "fresh"),
    [
        (Policy(), [False]),
        (Policy(fresh=True), [True]),
        (Policy(repeat=2), [True, True]),
        (Policy(retries=1), [False, True]),
    ],
)
def test_only_the_one_boot_of_a_cell_may_be_none(
    monkeypatch: pytest.MonkeyPatch, policy: Policy, fresh: list[bool]
) -> None:
    told = []

    def run_batch(batch: Batch, tools: Tools, _folder: object) -> Iterator[Cell]:
        told.append(tools.fresh)
        miss = bool(policy.retries)
        for request in batch:
            yield cell(status=Status.MISS if miss else Status.PASS, name=number(request.suite.name))

    monkeypatch.setattr(module, "run_batch", run_batch)
    run(policy)
    assert told == fresh
