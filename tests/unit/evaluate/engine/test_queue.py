# SPDX-License-Identifier: GPL-2.0-only
"""Which batch is started next, and beside which others."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.evaluate.cell.batch import batches
from harness.evaluate.engine import timings
from harness.evaluate.engine.queue import Budget, Order, RunLimit, available, fits, takes
from harness.evaluate.engine.timings import Took
from harness.evaluate.plan.plan import Plan, cells_of

KERNELS = ["debian-6.1", "debian-6.1+stage2-normal-nc", "debian-6.12"]
PLAN = Plan(kernels=KERNELS, machines=["flat-tcg"], suites=["wcprobe", "stage-types"])
BATCHES = batches(cells_of(PLAN))
LARGE = Budget(memory_mib=100_000, cpus=64)


def took(seconds: float, memory: float = 500, cpus: float = 1) -> Took:
    return Took(seconds, memory, cpus)


def known(*seconds: float) -> dict[str, Took]:
    """What each cell of each kernel takes."""
    return {
        request.name: took(one)
        for batch, one in zip(BATCHES, seconds, strict=True)
        for request in batch
    }


def drain(order: Order) -> list[int]:
    """All batches, one after the other."""
    found = []
    while (number := order.next(())) is not None:
        found.append(number)
    return found


def test_one_after_the_other_in_the_plans_order() -> None:
    assert drain(Order(BATCHES, known(1, 9, 5), None)) == [0, 1, 2]


def test_one_after_the_other_is_one_at_a_time() -> None:
    order = Order(BATCHES, known(1, 9, 5), None)
    assert order.next(()) == 0
    assert order.next((0,)) is None


def test_side_by_side_the_longest_first_and_what_was_never_run_before_all() -> None:
    assert drain(Order(BATCHES, known(1, 9, 5), LARGE)) == [1, 2, 0]
    some = {r.name: took(4) for r in BATCHES[0] + BATCHES[1]}
    like = {**some, "other/flat-tcg/wcprobe": took(7), "other/flat-tcg/stage-types": took(7)}
    assert drain(Order(BATCHES, {}, LARGE)) == [0, 1, 2]
    assert drain(Order(BATCHES, like, LARGE)) == [2, 0, 1]


@pytest.mark.parametrize(
    ("budget", "beside"),
    [(Budget(1000, 2), True), (Budget(999, 2), False), (Budget(1000, 1.9), False)],
)
def test_beside_others_within_memory_and_cpus(budget: Budget, beside: bool) -> None:
    assert fits(took(1), [took(1)], budget) is beside
    assert fits(took(1, memory=5000, cpus=9), [], budget)  # alone it may always run
    order = Order(BATCHES, known(3, 2, 1), budget)
    assert order.next(()) == 0
    assert order.next((0,)) == (1 if beside else None)


def test_a_smaller_one_may_go_ahead_of_one_that_does_not_fit() -> None:
    sizes = known(3, 2, 1)
    sizes.update({request.name: took(2, memory=5000) for request in BATCHES[1]})
    order = Order(BATCHES, sizes, Budget(1200, 8))
    assert [order.next(()), order.next((0,)), order.next((0, 2))] == [0, 2, None]
    assert order.next(()) == 1


def test_of_two_kernels_to_be_built_in_one_tree_the_second_waits() -> None:
    built = ["debian-6.12"]
    order = Order(BATCHES, known(3, 2, 1), LARGE, built=lambda batch: batch[0].kernel.name in built)
    assert order.next(()) == 0
    assert order.next((0,)) == 2  # another tree
    assert order.next((0, 2)) is None
    built.extend(KERNELS)
    assert order.next((0, 2)) == 1


def test_a_batch_takes_what_its_cells_take() -> None:
    first, second = BATCHES[0]
    found = takes(BATCHES[0], {first.name: took(3, 700, 0.5), second.name: took(2, 600, 1.5)})
    assert found == Took(5, 700, 1.5)


def test_of_an_unknown_batch_the_whole_memory_of_its_machine_is_reckoned() -> None:
    machine = BATCHES[0][0].machine
    found = takes(BATCHES[0], {})
    assert found.memory_mib > machine.memory_mib and found.cpus == machine.smp


def test_nothing_is_started_when_the_run_is_over() -> None:
    order = Order(BATCHES, {}, None)
    order.stop("no space")
    order.stop("another reason")
    assert order.next(()) is None and order.over() and order.stopped == "no space"
    late = Order(BATCHES, {}, None, limit=RunLimit(1e-9))
    assert late.next(()) is None and "limit of 1e-09 s" in late.stopped


def test_another_kernels_cell_is_the_best_guess_for_one_that_never_ran() -> None:
    seen = {"a/flat-tcg/wcprobe": took(3, 100), "b/flat-tcg/wcprobe": took(2, 300)}
    assert timings.guess("b/flat-tcg/wcprobe", seen) == took(2, 300)
    assert timings.guess("c+./x/y/flat-tcg/wcprobe", seen) == took(3, 300)
    assert timings.guess("c/nested-tcg/wcprobe", seen) is None


def test_this_machines_budget() -> None:
    here = Budget.here()
    assert here.memory_mib > 100 and here.cpus >= 1


@pytest.mark.parametrize(
    ("limit", "free"),
    [("max", 1024 * 1000), ("500000", 400_000), ("90000", 0), (None, 1024 * 1000)],
)
def test_a_container_has_no_more_than_its_limit(
    tmp_path: Path, limit: str | None, free: int
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 2000 kB\nMemAvailable:  1000 kB\n")
    if limit:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text("100000\n")
    assert available(tmp_path, tmp_path) == free
