# SPDX-License-Identifier: GPL-2.0-only
"""Records of executed instructions: kept with a cell, read again."""

from __future__ import annotations

from pathlib import Path

from harness.hosts.coverage import record
from harness.hosts.coverage.record import Executed


def test_a_record_of_each_host_is_kept_and_read(tmp_path: Path) -> None:
    file, cell = tmp_path / "coverage", tmp_path / "cell"
    (cell / "2").mkdir(parents=True)
    file.write_bytes(bytes([1, 0, 0, 1]))
    record.keep(file, cell)
    file.write_bytes(bytes([0, 1, 0, 0]))
    record.keep(file, cell)
    record.keep(file, cell / "2")
    assert [(one.host, one.guest) for one in record.kept(cell)] == [
        (b"\0\1", b"\0\0"),
        (b"\1\0", b"\0\1"),
        (b"\0\1", b"\0\0"),
    ]
    assert all(record.is_record(path) for path in cell.glob("*.gz"))


def test_nothing_is_kept_of_a_qemu_that_never_started(tmp_path: Path) -> None:
    record.keep(tmp_path / "coverage", tmp_path)
    assert record.kept(tmp_path) == []


def test_a_record_that_was_cut_off_is_none(tmp_path: Path) -> None:
    file = tmp_path / "coverage"
    file.write_bytes(bytes(1000))
    record.keep(file, tmp_path)
    kept = tmp_path / "coverage-1.gz"
    kept.write_bytes(kept.read_bytes()[:-9])
    assert record.kept(tmp_path) == []


def test_offsets_are_bytes_of_the_image() -> None:
    executed = Executed(bytes([0, 1, 0]), bytes([0, 0, 1]))
    assert executed.on_host([0, 4])
    assert not executed.on_host([0, 8])
    assert executed.in_guest([8])
    assert not executed.on_host([4096])
    assert not executed.on_host([])
