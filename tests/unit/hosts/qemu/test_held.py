# SPDX-License-Identifier: GPL-2.0-only
"""Time in which a process is kept from running, on real processes and on a recorded /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.hosts.qemu.held import HeldTime

PATIENCE = 20.0  # seconds; only a failing test waits that long
BUSY = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nwhile True: pass"


def until(held: HeldTime, seconds: float) -> bool:
    """Whether the process has been held for so long, in all, before the patience is over."""
    end, total = time.monotonic() + PATIENCE, held.take()
    while total < seconds and time.monotonic() < end:
        time.sleep(0.02)
        total += held.take()
    return total >= seconds


@pytest.fixture
def busy() -> Iterator[list[int]]:
    """Two processes that both want the whole of one CPU."""
    running = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(2)]
    yield [process.pid for process in running]
    for process in running:
        process.kill()
        process.wait()


def test_a_process_that_shares_its_cpu_waits_for_it(busy: list[int]) -> None:
    if not Path("/proc/self/schedstat").is_file():
        pytest.skip("this kernel has no CONFIG_SCHED_INFO")
    assert until(HeldTime(busy[0]), 0.1)


def test_a_process_that_is_stopped_is_held_all_the_time(busy: list[int]) -> None:
    os.kill(busy[1], signal.SIGSTOP)
    held = HeldTime(busy[1])
    held.take()
    began = time.monotonic()
    assert until(held, 0.2)
    assert held.take() <= time.monotonic() - began


def recorded(proc: Path, delays: dict[int, int], state: str) -> None:
    """Write the files of a process with a run-queue delay in ns for each thread."""
    for thread, delay in delays.items():
        folder = proc / "7" / "task" / str(thread)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "schedstat").write_text(f"365811354 {delay} 80\n")
    (proc / "7" / "stat").write_text(f"7 (CPU 0/TCG) x) {state} 1 7 7 0 -1\n")


def test_the_thread_that_waited_longest_counts_and_no_more_than_the_time(tmp_path: Path) -> None:
    recorded(tmp_path, {7: 5_000_000_000, 8: 0}, "S")
    held = HeldTime(7, tmp_path)
    assert held.take() == 0.0
    recorded(tmp_path, {7: 5_000_000_100, 8: 2_000, 9: 10**12}, "R")  # 9 is new
    assert held.take() == pytest.approx(2e-6)
    recorded(tmp_path, {7: 10**13}, "R")
    began = time.monotonic()
    assert 0.0 < held.take() < time.monotonic() - began + PATIENCE


def test_a_process_that_is_gone_is_not_held(tmp_path: Path) -> None:
    held = HeldTime(7, tmp_path)
    assert (held.take(), held.take()) == (0.0, 0.0)
