# SPDX-License-Identifier: GPL-2.0-only
"""Temporary folders: gone afterwards, and removed by others when their owner was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.base import scratch
from harness.base.scratch import scratch_folder, sweep


@pytest.fixture(autouse=True)
def _base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "MEMORY", tmp_path / "memory")


def test_it_is_gone_afterwards_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), scratch_folder() as folder:
        (folder / "file").write_text("x")
        assert folder.parent == tmp_path
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_in_use_stays(tmp_path: Path) -> None:
    with scratch_folder() as folder:
        assert sweep() == []
        assert folder.is_dir()


HOLD = "import sys\nfrom harness.base.scratch import scratch_folder\n"
HOLD += "with scratch_folder() as folder:\n    print(folder, flush=True)\n    sys.stdin.read()\n"


def test_one_of_a_process_that_was_killed_goes(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    ) as holder:
        assert holder.stdout
        folder = Path(holder.stdout.readline().strip())
        assert sweep() == [] and folder.is_dir()
        holder.send_signal(signal.SIGKILL)
    assert sweep() == [folder]
    assert not folder.exists()


def test_what_cannot_be_told_to_be_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "s2eval-cell-x").mkdir()
    (tmp_path / "other").mkdir()
    assert sweep() == []
    assert len(list(tmp_path.iterdir())) == 2


def test_a_small_one_is_in_memory_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scratch_folder(small=True) as folder:
        assert folder.parent == tmp_path
    memory = tmp_path / "memory"
    memory.mkdir()
    with scratch_folder(small=True) as folder, scratch_folder() as other:
        assert (folder.parent, other.parent) == (memory, tmp_path)
        assert sweep() == []
    monkeypatch.setattr(scratch, "MEMORY_MIB", 1 << 40)
    with scratch_folder(small=True) as folder:
        assert folder.parent == tmp_path
    left = memory / f"{scratch.PREFIX}x"
    left.mkdir()
    (left / scratch.OWNER).touch()
    assert sweep() == [left]
