# SPDX-License-Identifier: GPL-2.0-only
"""An L1 that is saved the second time it is wanted, and restored from then on."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from harness.results.records import Cell
from tests.system.commands import KERNEL, S2Eval, cache_without, make_suite, wait_for

PATCHED = f"{KERNEL}+stage2-normal-nc"
FOUND = {KERNEL: 1, PATCHED: 0}  # the exit code: the VM that is killed, and the one that is not
AGAIN = "L1 boots again, without a saved state"
# The first unaligned touch of write-combining memory kills this kernel's guest: two guests.
TWO_GUESTS = """
extends = "wcprobe"
guests = 4
script = '''
insmod wcprobe.ko device=1af4:1110 bar=2 audit=1 only=unaligned_load @resume
stream /dev/wcprobe
'''
"""


def words(cell: Cell) -> dict[str, tuple[str, object]]:
    """What it saw, without figures."""
    return {o.path: (str(o.status), o.value) for o in cell.observations if o.unit is None}


@dataclass(frozen=True)
class Place:
    """A cache like everybody's whose saved L1s are its own. A state knows the cache's path."""

    home: Path

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    def states(self) -> list[Path]:
        return [path.parent for path in (self.cache / "states").glob("*/said.json")]

    def holds(self, states: Path) -> None:
        """From now on it has these states and no other; `states` stays as it is."""
        shutil.rmtree(self.cache / "states", ignore_errors=True)
        # Not shutil: a state's file of L1's memory is nearly all holes.
        subprocess.run(["cp", "-a", states, self.cache / "states"], check=True)

    def run(self, s2eval: S2Eval, kernel: str, *more: str, said: str = "") -> Cell:
        """Run a nested cell of a kernel; `said` is in what the progress tells."""
        ran = s2eval("run", "-k", kernel, "-m", "nested-tcg", *more, S2EVAL_CACHE=str(self.cache))
        assert ran.code == FOUND[kernel], ran.err
        assert said in ran.err and (AGAIN in ran.err) is bool(said), ran.err
        assert s2eval.leftovers() == []
        return s2eval.run().cells[0]


@dataclass(frozen=True)
class Twice:
    """A kernel's cells of the first two starts, and the states after the second one."""

    cells: tuple[Cell, Cell]
    saved: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    found = Place(tmp_path_factory.mktemp("r"))
    cache_without(found.cache, "states")
    return found


@pytest.fixture(scope="module")
def twice(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Twice]:
    """A function that starts a kernel's nested cell two times: the second one saves L1."""

    @cache
    def start(kernel: str) -> Twice:
        s2eval = S2Eval(tmp_path_factory.mktemp("s"))
        (place.home / "none").mkdir(exist_ok=True)
        place.holds(place.home / "none")
        first = place.run(s2eval, kernel)
        assert not place.states()
        second = place.run(s2eval, kernel)
        assert len(place.states()) == 1
        saved = place.home / f"saved-{kernel}"
        subprocess.run(["cp", "-a", place.cache / "states", saved], check=True)
        return Twice((first, second), saved)

    return start


@pytest.mark.parametrize(
    "kernel", [pytest.param(KERNEL, marks=pytest.mark.extended), PATCHED], ids=["plain", "patched"]
)
def test_the_third_start_restores_l1_and_sees_the_same(
    s2eval: S2Eval, place: Place, twice: Callable[[str], Twice], kernel: str
) -> None:
    first, second = twice(kernel).cells
    place.holds(twice(kernel).saved)
    third = place.run(s2eval, kernel)
    assert [c.machine.restored for c in (first, second, third)] == [False, False, True]
    assert words(first) == words(second) == words(third)
    assert [p.name for p in third.phases if p.name.endswith("L1")] == [
        *("start L1", "restore L1", "end L1")
    ]
    logs = s2eval.folder() / third.name.replace("/", "_")
    assert "Booting Linux" in (logs / "console.log").read_text()
    (state,) = place.states()
    assert (state / "ram").stat().st_blocks * 512 < 300 << 20
    fresh = place.run(s2eval, kernel, "--fresh")
    assert not fresh.machine.restored and words(fresh) == words(first)
    repeated = place.run(s2eval, kernel, "--repeat", "2")
    assert not repeated.machine.restored


@pytest.mark.parametrize("part", ["device", "ram"])
def test_a_state_that_is_no_good_is_thrown_away_and_l1_boots(
    s2eval: S2Eval, place: Place, twice: Callable[[str], Twice], part: str
) -> None:
    first, _ = twice(PATCHED).cells
    place.holds(twice(PATCHED).saved)
    (state,) = place.states()
    file = state / part
    size = file.stat().st_size
    file.write_bytes(b"")
    file.open("r+b").truncate(size)
    last = place.run(s2eval, PATCHED, said=AGAIN)
    assert not last.machine.restored and words(last) == words(first)
    assert not place.states()


@pytest.mark.extended
def test_a_guest_after_the_one_that_was_saved_is_started_as_any_other(
    s2eval: S2Eval, place: Place
) -> None:
    """Where guests die one after the other, L1 starts the second one itself."""
    suite = make_suite(s2eval.home / "two-guests", TWO_GUESTS)
    found = [place.run(s2eval, KERNEL, "-s", suite) for _ in range(3)]
    assert [c.machine.restored for c in found] == [False, False, True]
    assert all("results-2.ktap" in c.logs for c in found), found[0].logs
    assert words(found[0]) == words(found[1]) == words(found[2])


def test_an_interrupt_while_it_is_saved_or_restored(
    s2eval: S2Eval, place: Place, twice: Callable[[str], Twice]
) -> None:
    place.holds(twice(PATCHED).saved)
    folder = place.cache / "states"
    (state,) = place.states()
    shutil.rmtree(state)
    state.mkdir()
    (state / "asked").touch()  # once: the next start saves it
    for phase in ("start L2", "restore L1"):
        running = s2eval.start(
            "run", "-k", PATCHED, "-m", "nested-tcg", S2EVAL_CACHE=str(place.cache)
        )
        running.until(f": {phase}")
        if not place.states():
            wait_for("it is being saved", lambda: [*folder.glob(".new-*")])
        running.signal(signal.SIGINT)
        ran = running.end()
        assert ran.code == 130 and "Traceback" not in ran.err, ran.err
        assert s2eval.leftovers() == [] and not [*folder.glob(".new-*")]
        whole = [state for state in place.states() if (state / "device").stat().st_size]
        assert whole == place.states()
        assert place.run(s2eval, PATCHED).machine.restored is bool(whole)
    assert whole
