# SPDX-License-Identifier: GPL-2.0-only
"""Files that are replaced whole: nobody sees half of one, nothing is left of a failure."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from harness.base.files import replacing, write_atomic

PIECES = 200  # each a file of one letter, long enough to be written in more than one piece
SIZE = 1 << 20


def test_text_and_bytes_replace_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_atomic(path, "ä")
    assert path.read_bytes() == "ä".encode()
    write_atomic(path, b"\xff", durable=True)
    assert path.read_bytes() == b"\xff"
    assert list(tmp_path.iterdir()) == [path]


def test_it_may_be_read_by_others_as_any_file_may(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_atomic(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    write_atomic(tmp_path / ("n" * 255), "x")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_failure_leaves_the_old_file_and_no_other(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as unfinished:
        unfinished.write_text("half of")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder/file").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_atomic(tmp_path / "folder", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def write_letters(path: Path, letters: str) -> None:
    for number in range(PIECES // len(letters)):
        write_atomic(path, letters[number % len(letters)] * SIZE)


def test_two_writers_and_a_reader_see_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, "a" * SIZE)
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_letters, args=(path, two)) for two in ("ab", "cd")]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        text = path.read_text()
        assert len(text) == SIZE and len(set(text)) == 1
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert list(tmp_path.iterdir()) == [path]
