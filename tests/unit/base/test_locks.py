# SPDX-License-Identifier: GPL-2.0-only
"""Locks: alone among processes and threads, and a wait that ends with the holder's name."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.base import locks
from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.locks import LockTimeoutError, locked, share_until_exit, try_alone

HOLDER = """
import sys
from pathlib import Path
from harness.base.deadline import Deadline
from harness.base.locks import locked
with locked(Path(sys.argv[1]), "a test", Deadline(10)):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock `lock` in `tmp_path`."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_wait_ends_with_a_line_that_names_the_holder(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    reasons: list[str] = []
    with (
        pytest.raises(LockTimeoutError) as caught,
        locked(tmp_path / "lock", "the tree x", Deadline(0.2), waiting=reasons.append),
    ):
        raise AssertionError("never entered")
    held_by = f"held by pid {holder.pid} ({sys.executable} -c"
    assert str(caught.value).startswith(f"waited 0.2 s for the tree x, {held_by}")
    assert len(reasons) == 1 and reasons[0].startswith(f"waiting for the tree x, {held_by}")


def test_a_lock_of_a_process_that_was_killed_is_free(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    threading.Timer(0.2, holder.kill).start()
    with locked(tmp_path / "lock", "the tree", Deadline(20)):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    assert (tmp_path / "lock").read_text() == ""


def test_a_wait_that_nobody_wants_ends(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    looks = iter([False, False, True])
    with (
        pytest.raises(MachineError, match="the tree: nobody waits for it any more"),
        locked(tmp_path / "lock", "the tree", Deadline(20), given_up=lambda: next(looks)),
    ):
        raise AssertionError("never entered")


def test_threads_keep_each_other_out(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(20):
            with locked(tmp_path / "lock", "a test", Deadline(20)):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 60 and set(most) == {1}


def test_a_lock_file_that_is_removed_between_open_and_lock_locks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two must not both have it, one through the old file and one through the new."""
    file, flock = tmp_path / "lock", fcntl.flock

    def remove_first(descriptor: int, operation: int) -> None:
        monkeypatch.undo()
        file.unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with locked(file, "a test", Deadline(5)):
        assert file.read_text() == f"{os.getpid()}\n"


def test_a_folder_that_another_keeps_alone_is_waited_for_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "ALONE_SECONDS", 0.2)
    script = f"""
import sys
from pathlib import Path
from harness.base.locks import try_alone
with try_alone(Path({str(tmp_path)!r})) as alone:
    print(alone, flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "True\n"
        with pytest.raises(LockTimeoutError, match=r"has had it alone for 0\.2 s"):
            share_until_exit(tmp_path)
        process.kill()
    share_until_exit(tmp_path)
    with try_alone(tmp_path) as alone:
        assert alone
