# SPDX-License-Identifier: GPL-2.0-only
"""Saved hosts on disk: memory with holes, and which states there are. Real ones are in
tests/system/test_restored.py."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness.base.errors import MachineError
from harness.guests import launch
from harness.hosts.l1 import saved
from harness.hosts.l1.saved import KEPT, PIECE, SavedHost, memory_file, state_of
from harness.hosts.machines.machine import load_machine
from harness.hosts.qemu.binary import QemuBinary
from harness.hosts.qemu.channel import Event

SIZE = 64 * PIECE
PLACES = {0: b"first", 3 * PIECE + 17: b"x" * (2 * PIECE), SIZE - 4: b"last"}


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(launch, "l1_root", lambda: tmp_path / "root.cpio")


def make_state(folder: Path, said: str = '[["agent", "ready"], ["qemu", null]]') -> SavedHost:
    folder.mkdir(parents=True)
    (folder / "said.json").write_text(said)
    return SavedHost(folder)


def test_memory_comes_back_as_it_was_and_its_holes_take_no_room(tmp_path: Path) -> None:
    state = make_state(tmp_path / "state")
    with memory_file() as one, memory_file() as two, (state.folder / "ram").open("wb") as ram:
        os.ftruncate(one, SIZE)
        for offset, data in PLACES.items():
            os.pwrite(one, data, offset)
        os.pwrite(one, bytes(4 * PIECE), 20 * PIECE)  # written, and zero
        saved._copy_data(one, ram.fileno())
        ram.truncate(SIZE)
        ram.flush()
        state.fill(two)
        assert os.pread(one, SIZE, 0) == os.pread(two, SIZE, 0)
        assert os.fstat(two).st_blocks * 512 <= 8 * PIECE


def test_what_was_said_is_heard_again(tmp_path: Path) -> None:
    assert make_state(tmp_path / "a").said() == [Event("agent", "ready"), Event("qemu", None)]
    for number, damage in enumerate(("", "[1]", '{"a": 1}', '[["a", "b", "c"]]')):
        with pytest.raises(MachineError, match=r"said\.json: not what was written"):
            make_state(tmp_path / f"b{number}", damage).said()


def test_the_second_time_it_is_saved_unless_that_went_wrong(tmp_path: Path) -> None:
    state = SavedHost(tmp_path / "state")
    assert [state.asked_before(), state.asked_before(), state.exists] == [False, True, False]
    state.discard()
    assert [state.asked_before(), state.asked_before()] == [False, True]
    state.refuse()
    assert [state.asked_before(), state.asked_before(), state.exists] == [False, False, False]


def test_the_states_used_last_are_kept(tmp_path: Path) -> None:
    states = [make_state(tmp_path / str(number)) for number in range(KEPT + 2)]
    for age, state in enumerate(states):
        os.utime(state.folder / "said.json", (0, time.time() - 60 * age))
    states[-1].said()  # the oldest is used once more
    (tmp_path / ".new-left").mkdir()
    for name, days in (("lately", 1), ("long ago", 30)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "asked").touch()
        os.utime(tmp_path / name / "asked", (0, time.time() - days * 24 * 3600))
    saved._prune(tmp_path)
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"lately", str(KEPT + 1), *map(str, range(KEPT - 2))}


@pytest.mark.parametrize(
    ("machine", "can"),
    [
        ("nested-tcg", True),
        ("nested-tcg-cortex-a72", True),
        ("nested-tcg-icount", False),  # counts the instructions of its boot
        ("nested-tcg-nvme", False),  # QEMU cannot save the device
        ("nested-tcg-edu", False),
        ("nested-kvm", False),
    ],
)
def test_which_machines_can_be_saved(tmp_path: Path, machine: str, can: bool) -> None:
    qemu = QemuBinary(Path("/bin/sh"), (), "10.0.2", (10, 0, 2))
    found = state_of(load_machine(machine), qemu, tmp_path / "Image", tmp_path / "a.cpio")
    assert (found is not None) is can


def test_another_guest_kernel_or_qemu_is_another_state(tmp_path: Path) -> None:
    machine = load_machine("nested-tcg")
    qemus = [QemuBinary(Path("/bin/sh"), (), version, (10, 0)) for version in ("10.0", "10.1")]
    found = [
        state_of(of, qemu, tmp_path / image, tmp_path / archive)
        for of, qemu, image, archive in (
            (machine, qemus[0], "a/Image", "a.cpio"),
            (machine, qemus[1], "a/Image", "a.cpio"),
            (machine, qemus[0], "b/Image", "a.cpio"),
            (machine, qemus[0], "a/Image", "b.cpio"),
            (load_machine("nested-tcg-cortex-a76"), qemus[0], "a/Image", "a.cpio"),
        )
    ]
    assert len(set(found)) == len(found)
