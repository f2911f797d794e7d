# SPDX-License-Identifier: GPL-2.0-only
"""An L1 that is saved the second time it is wanted, and restored from then on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.results.records import Cell
from tests.system.commands import KERNEL, S2Eval, cache_without, wait_for

PATCHED = f"{KERNEL}+stage2-normal-nc"
FOUND = {KERNEL: 1, PATCHED: 0}  # the exit code: the VM that is killed, and the one that is not
AGAIN = "L1 boots again, without a saved state"


def words(cell: Cell) -> dict[str, tuple[str, object]]:
    """What it saw, without figures."""
    return {o.path: (str(o.status), o.value) for o in cell.observations if o.unit is None}


@pytest.fixture
def cell(s2eval: S2Eval) -> Callable[..., Cell]:
    """Run a nested cell of a kernel with a cache that knows no L1; what was said is in `.err`."""
    cache = cache_without(s2eval.home / "cache", "states")

    def run(kernel: str, *more: str, said: str = "") -> Cell:
        ran = s2eval("run", "-k", kernel, "-m", "nested-tcg", *more, S2EVAL_CACHE=cache)
        assert ran.code == FOUND[kernel], ran.err
        assert said in ran.err and (AGAIN in ran.err) is bool(said), ran.err
        assert s2eval.leftovers() == []
        return s2eval.run().cells[0]

    return run


def states(s2eval: S2Eval) -> list[Path]:
    return [path.parent for path in (s2eval.home / "cache" / "states").glob("*/said.json")]


@pytest.mark.parametrize("kernel", FOUND)
def test_the_third_start_restores_l1_and_sees_the_same(
    s2eval: S2Eval, cell: Callable[..., Cell], kernel: str
) -> None:
    first = cell(kernel)
    assert not states(s2eval)
    second = cell(kernel)
    (state,) = states(s2eval)
    third = cell(kernel)
    assert [c.machine.restored for c in (first, second, third)] == [False, False, True]
    assert words(first) == words(second) == words(third)
    assert [p.name for p in third.phases if p.name.endswith("L1")] == [
        *("start L1", "restore L1", "end L1")
    ]
    assert (
        "Booting Linux"
        in (s2eval.folder() / third.name.replace("/", "_") / "console.log").read_text()
    )
    assert (state / "ram").stat().st_blocks * 512 < 300 << 20
    fresh = cell(kernel, "--fresh")
    assert not fresh.machine.restored and words(fresh) == words(first)
    repeated = cell(kernel, "--repeat", "2")
    assert not repeated.machine.restored


@pytest.mark.parametrize("part", ["device", "ram"])
def test_a_state_that_is_no_good_is_thrown_away_and_l1_boots(
    s2eval: S2Eval, cell: Callable[..., Cell], part: str
) -> None:
    first = cell(PATCHED)
    cell(PATCHED)
    (state,) = states(s2eval)
    file = state / part
    size = file.stat().st_size
    file.write_bytes(b"")
    file.open("r+b").truncate(size)
    last = cell(PATCHED, said=AGAIN)
    assert not last.machine.restored and words(last) == words(first)
    assert not states(s2eval)


def test_a_guest_after_the_one_that_was_saved_is_started_as_any_other(
    cell: Callable[..., Cell],
) -> None:
    """Where guests die one after the other, L1 starts the second one itself."""
    found = [cell(KERNEL, "-s", "wcprobe-risky") for _ in range(3)]
    assert [c.machine.restored for c in found] == [False, False, True]
    assert words(found[0]) == words(found[1]) == words(found[2])


def test_an_interrupt_while_it_is_saved_or_restored(
    s2eval: S2Eval, cell: Callable[..., Cell]
) -> None:
    cell(PATCHED)
    cache = str(s2eval.home / "cache")
    folder = s2eval.home / "cache" / "states"
    for phase in ("start L2", "restore L1"):
        running = s2eval.start("run", "-k", PATCHED, "-m", "nested-tcg", S2EVAL_CACHE=cache)
        running.until(f": {phase}")
        if not states(s2eval):
            wait_for("it is being saved", 30, lambda: [*folder.glob(".new-*")])
        running.signal(signal.SIGINT)
        ran = running.end()
        assert ran.code == 130 and "Traceback" not in ran.err, ran.err
        assert s2eval.leftovers() == [] and not [*folder.glob(".new-*")]
        whole = [state for state in states(s2eval) if (state / "device").stat().st_size]
        assert whole == states(s2eval)
        assert cell(PATCHED).machine.restored is bool(whole)
    assert whole
