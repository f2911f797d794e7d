# SPDX-License-Identifier: GPL-2.0-only
"""Saved hosts on disk: memory with holes, and which states there are. Real ones are in
tests/system/test_restored.py."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from harness.base import signals
from harness.base.errors import MachineError
from harness.hosts.events import Event
from harness.hosts.l1 import saved
from harness.hosts.l1.saved import KEPT, PIECE, OpenState, SavedState, copy_memory, state_of
from harness.hosts.l1.snapshot import memory_file

SIZE = 64 * PIECE
PLACES = {0: b"first", 3 * PIECE + 17: b"x" * (2 * PIECE), SIZE - 4: b"last"}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))


def make_state(folder: Path, said: str = '[["agent", "ready"], ["qemu", null]]') -> SavedState:
    folder.mkdir(parents=True)
    for name, text in {"said.json": said, "ram": "", "device": ""}.items():
        (folder / name).write_text(text)
    return SavedState(folder)


def opened(state: SavedState) -> OpenState:
    found = state.open()
    assert found
    return found


def test_memory_comes_back_as_it_was_and_its_holes_take_no_room(tmp_path: Path) -> None:
    state = make_state(tmp_path / "state")
    with memory_file() as one, memory_file() as two, (state.folder / "ram").open("wb") as ram:
        os.ftruncate(one, SIZE)
        for offset, data in PLACES.items():
            os.pwrite(one, data, offset)
        os.pwrite(one, bytes(4 * PIECE), 20 * PIECE)  # written, and zero
        copy_memory(one, ram.fileno(), SIZE)
        with opened(state) as restored:
            restored.fill(two)
        assert os.pread(one, SIZE, 0) == os.pread(two, SIZE, 0)
        assert os.fstat(two).st_blocks * 512 <= 8 * PIECE


def test_what_was_said_is_heard_again(tmp_path: Path) -> None:
    with opened(make_state(tmp_path / "a")) as state:
        assert state.events() == [Event("agent", "ready"), Event("qemu", None)]
    for number, damage in enumerate(("", "[1]", '{"a": 1}', '[["a", "b", "c"]]')):
        with (
            opened(make_state(tmp_path / f"b{number}", damage)) as state,
            pytest.raises(MachineError, match=r"said\.json: not what was written"),
        ):
            state.events()


def test_the_second_time_it_is_saved_unless_that_went_wrong(tmp_path: Path) -> None:
    state = SavedState(tmp_path / "state")
    assert [state.request(), state.request(), state.exists] == [False, True, False]
    state.discard()
    assert [state.request(), state.request()] == [False, True]
    state.refuse()
    assert [state.request(), state.request(), state.exists] == [False, False, False]


def test_the_states_used_last_are_kept(tmp_path: Path) -> None:
    states = [make_state(tmp_path / str(number)) for number in range(KEPT + 2)]
    for age, state in enumerate(states):
        os.utime(state.folder / "said.json", (0, time.time() - 60 * age))
    opened(states[-1]).__exit__()  # the oldest is used once more
    (tmp_path / ".new-left").mkdir()
    for name, days in (("lately", 1), ("long ago", 30)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "asked").touch()
        os.utime(tmp_path / name / "asked", (0, time.time() - days * 24 * 3600))
    saved._prune(tmp_path)
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"lately", str(KEPT + 1), *map(str, range(KEPT - 2))}


def test_another_machine_guest_or_qemu_is_another_state() -> None:
    states = [
        state_of(machine, guest, Path(emulator))
        for machine, guest, emulator in (
            (["-m", "1", "10.0"], ["a.cpio", "l2"], "/bin/sh"),
            (["-m", "2", "10.0"], ["a.cpio", "l2"], "/bin/sh"),
            (["-m", "1", "10.1"], ["a.cpio", "l2"], "/bin/sh"),
            (["-m", "1", "10.0"], ["b.cpio", "l2"], "/bin/sh"),
            (["-m", "1", "10.0"], ["a.cpio", "l3"], "/bin/sh"),
            (["-m", "1", "10.0"], ["a.cpio", "l2"], "/bin/cat"),
        )
    ]
    assert len(set(states)) == len(states)


def test_a_state_is_restored_whole_though_another_run_replaces_it(tmp_path: Path) -> None:
    """What is read must not be half of this state and half of the next."""
    state = make_state(tmp_path / "state", '[["console", "old"]]')
    for name in ("ram", "device", "console.log"):
        (state.folder / name).write_text(f"old {name}")
    opened = state.open()
    assert opened
    with opened:
        (tmp_path / "lock").touch()

        def write(folder: Path) -> None:
            for name in ("ram", "device", "console.log", "said.json"):
                (folder / name).write_text(f"new {name}")

        state.save(write)
        assert (state.folder / "ram").read_text() == "new ram"
        assert opened.events() == [Event("console", "old")]
        opened.copy_logs(tmp_path)
        assert (tmp_path / "console.log").read_text() == "old console.log"
        assert Path(f"/dev/fd/{opened.device}").read_text() == "old device"
        with memory_file() as memory:
            opened.fill(memory)
            assert os.pread(memory, 100, 0) == b"old ram"


@pytest.mark.parametrize("missing", ["ram", "device", "said.json"])
def test_a_state_that_is_being_removed_is_none(tmp_path: Path, missing: str) -> None:
    state = make_state(tmp_path / "state")
    for name in ("ram", "device"):
        (state.folder / name).touch()
    (state.folder / missing).unlink()
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert state.open() is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before  # none is left open


def test_a_state_that_could_not_be_written_is_none(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "said.json").touch()
        raise MachineError("QEMU cannot migrate")

    state = SavedState(tmp_path / "state")
    state.save(write)
    assert not state.exists and [p.name for p in tmp_path.iterdir()] == ["lock"]


def test_a_signal_while_the_unfinished_state_is_removed_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = {number: signal.getsignal(number) for number in signals.ENDING}
    remove = shutil.rmtree

    def interrupted(folder: Path, *, ignore_errors: bool) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        remove(folder, ignore_errors=ignore_errors)

    def fail(_: Path) -> None:
        raise MachineError("QEMU cannot migrate")

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    try:
        signals.end_in_good_order()
        with pytest.raises(KeyboardInterrupt):
            SavedState(tmp_path / "state").save(fail)
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
    assert not [*tmp_path.glob(".new-*")]
