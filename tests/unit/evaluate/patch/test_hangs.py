# SPDX-License-Identifier: GPL-2.0-only
"""When a silent guest of a patched kernel is a hang: two boots at one place, and a control boot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.evaluate.cell.judge import ending
from harness.evaluate.patch.hangs import Hangs, shown
from harness.evaluate.plan.plan import CellRequest, Plan, cells_of
from harness.results.failure_kinds import FailureKind
from harness.results.phases import PhaseName
from harness.results.places import CpuPlace, CpuState, Place
from harness.results.records import Cell, Phase, Status
from harness.results.store import load_run
from tests.unit.evaluate.engine.fake_cells import FakeBatches, engine_for, failed, passed

PLAN = Plan(kernels=["debian-6.1", "debian-6.12"], machines=["nested-tcg"], suites=["wcprobe"],
            retries=1)  # fmt: skip
BASE, PATCHED = cells_of(PLAN)
INIT = Place(function="kvm_arch_init", at="kvm_arch_init+0x40/0x3a0", el=2, interrupts="unmasked",
             where="L1", state=CpuState.STUCK)  # fmt: skip
ELSEWHERE = INIT.model_copy(update={"function": "vfio_init"})
IDLE = INIT.model_copy(update={"function": "", "at": "", "state": CpuState.IDLE})
MOVING = INIT.model_copy(update={"state": CpuState.MOVING})
# A loop of two functions, as it is seen when fewer of the samples are in the inner one, and more.
RUN, ABORT = "kvm_arch_vcpu_ioctl_run", "kvm_handle_guest_abort"


def looping(*stack: str) -> Place:
    cpu = CpuPlace(
        cpu=0, where="L1", state=CpuState.STUCK, el=2, interrupts="unmasked", function=stack[0],
        stack=list(stack),
    )  # fmt: skip
    return INIT.model_copy(
        update={"function": stack[0], "at": f"{stack[0]}+0x1/0x2", "cpus": [cpu]}
    )


OUTER, INNER = looping(RUN, "kvm_vcpu_ioctl"), looping(ABORT, RUN, "kvm_vcpu_ioctl")
Boot = Callable[[CellRequest], Cell]


def silent(request: CellRequest, place: Place | None) -> Cell:
    """A cell whose L1 fell silent while it booted."""
    cell = failed(request, FailureKind.SILENCE, "no output for 4 s")
    assert cell.failure
    cell.failure = cell.failure.model_copy(update={"place": place, "where": "L1"})
    cell.observations = [ending("wcprobe", cell.failure)]
    cell.phases = [Phase(name=PhaseName.BOOT_L1, seconds=5)]
    return cell


def came_up(request: CellRequest, quiet: float = 0.3) -> Cell:
    cell = passed(request)
    cell.phases = [Phase(name=PhaseName.BOOT_L1, seconds=1, quiet=quiet)]
    return cell


@pytest.fixture
def batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBatches]:
    monkeypatch.setenv("S2EVAL_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("harness.evaluate.engine.engine.is_built", lambda _: True)
    fake = FakeBatches()
    monkeypatch.setattr("harness.evaluate.engine.execute.run_batch", fake)
    yield fake


def judged(batches: FakeBatches, *boots: Cell) -> Cell:
    """The patched kernel's cell in the end; `boots` are those of base and patched, in order."""
    left = list(boots)
    batches.boot = lambda _: left.pop(0).model_copy(deep=True)
    with engine_for(PLAN) as engine:
        (base,) = engine.run([BASE])
        cells = engine.run([PATCHED])
        (cell,) = Hangs(engine).judge(cells, [PATCHED], [(BASE, base)], [])
    assert not left
    assert load_run(engine.store.folder).cells == [base, cell]
    return cell


def test_twice_at_one_place_where_the_base_comes_up_is_a_hang(batches: FakeBatches) -> None:
    cell = judged(
        batches, came_up(BASE), silent(PATCHED, INIT), silent(PATCHED, INIT), came_up(BASE)
    )
    failure = cell.failure
    assert failure and (failure.kind, cell.status) == ("hang", Status.FAIL)
    assert failure.place and failure.place.boots == 2 and failure.place.control is not None
    assert shown(failure) == "hangs in kvm_arch_init (kvm_arch_init+0x40/0x3a0)"
    (item,) = cell.observations
    assert (item.status, item.value, item.detail["failure"]) == (Status.FAIL, "hang", "hang")
    assert item.detail["reason"] == failure.summary
    control = batches.tools[-1]
    assert batches.booted[-1] == BASE.name and control.boot_only and control.fresh


@pytest.mark.parametrize(("first", "second"), [(OUTER, INNER), (INNER, OUTER)])
def test_a_loop_over_two_functions_is_a_hang_in_the_one_that_calls_the_other(
    batches: FakeBatches, first: Place, second: Place
) -> None:
    boots = [silent(PATCHED, first), silent(PATCHED, second), came_up(BASE)]
    cell = judged(batches, came_up(BASE), *boots)
    assert shown(cell.failure) == f"hangs in {RUN} ({RUN}+0x1/0x2)"


def test_idle_twice_is_a_hang_too(batches: FakeBatches) -> None:
    cell = judged(
        batches, came_up(BASE), silent(PATCHED, IDLE), silent(PATCHED, IDLE), came_up(BASE)
    )
    assert shown(cell.failure) == "hangs: all CPUs idle"


def test_a_lockup_that_the_kernel_tells_needs_no_other_boot(batches: FakeBatches) -> None:
    told = silent(PATCHED, INIT)
    assert told.failure
    told.failure = told.failure.model_copy(update={"kind": FailureKind.SOFT_LOCKUP})
    told.status = Status.FAIL
    cell = judged(batches, came_up(BASE), told)
    assert cell.failure and cell.failure.kind == "soft-lockup"
    assert shown(cell.failure) == "hangs in kvm_arch_init (kvm_arch_init+0x40/0x3a0)"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (INIT, ELSEWHERE),
        (INIT, None),
        (None, INIT),
        (None, None),
        (INIT, IDLE),
        (MOVING, MOVING),
        (looping("f", "kvm_vcpu_ioctl"), looping("g", "kvm_vcpu_ioctl")),
    ],
)
def test_two_places_are_none(
    batches: FakeBatches, first: Place | None, second: Place | None
) -> None:
    cell = judged(batches, came_up(BASE), silent(PATCHED, first), silent(PATCHED, second))
    assert cell.failure and (cell.failure.kind, cell.status) == ("silence", Status.MISS)
    assert shown(cell.failure) == ""


def test_a_base_that_is_slow_now_proves_nothing(batches: FakeBatches) -> None:
    """A machine that has become so busy that the base does not come up either."""
    boots = [silent(PATCHED, INIT), silent(PATCHED, INIT), silent(BASE, None)]
    cell = judged(batches, came_up(BASE), *boots)
    assert cell.failure and cell.failure.kind == "silence"


def test_a_base_that_never_came_up_is_not_asked_again(batches: FakeBatches) -> None:
    boots = [silent(BASE, INIT), silent(BASE, INIT), silent(PATCHED, INIT), silent(PATCHED, INIT)]
    cell = judged(batches, *boots)
    assert cell.failure and cell.failure.kind == "silence"


def test_a_control_that_is_slower_asks_for_a_boot_with_more_patience(batches: FakeBatches) -> None:
    slow = came_up(BASE, quiet=8)
    boots = [silent(PATCHED, INIT), silent(PATCHED, INIT), slow]
    cell = judged(batches, came_up(BASE), *boots, silent(PATCHED, INIT))
    assert cell.failure and cell.failure.kind == "hang"
    assert cell.failure.place and cell.failure.place.boots == 3
    batches.booted.clear()
    cell = judged(batches, came_up(BASE), *boots, came_up(PATCHED))
    assert cell.failure and cell.failure.kind == "silence"
    assert batches.booted == [BASE.name, *[PATCHED.name] * 2, BASE.name, PATCHED.name]
