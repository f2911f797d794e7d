# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from harness.evaluate.progress import Progress, Snapshot, duration
from harness.results.records import Status


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def drive(progress: Progress, clock: Clock) -> None:
    with progress:
        progress.phase("k/m/s", "build")
        progress.note("download \x1b[2Jlinux-source-6.1")
        clock.now += 2
        progress.phase("k/m/s", "boot L1")
        clock.now += 1.25
        progress.done("k/m/s", Status.FAIL, "kvm-error:\x1b[31m it died")


def test_plain_lines_when_it_is_no_terminal() -> None:
    stream, clock = io.StringIO(), Clock()
    drive(Progress(stream=stream, clock=clock), clock)
    assert stream.getvalue().split("\n") == [
        "k/m/s: build",
        "  download linux-source-6.1",
        "k/m/s: boot L1",
        "FAIL  k/m/s (3.2 s) kvm-error: it died",
        "",
    ]


def test_quiet() -> None:
    stream, clock = io.StringIO(), Clock()
    drive(Progress(quiet=True, stream=stream, clock=clock), clock)
    assert stream.getvalue() == ""


def on_a_terminal(code: str) -> str:
    """What a program writes when its standard error is a terminal; its output must be empty."""
    master, slave = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=slave, env=env) as process:
        os.close(slave)
        text = b""
        while True:
            try:
                piece = os.read(master, 4096)
            except OSError:  # Linux says EIO when the last writer has gone
                break
            if not piece:
                break
            text += piece
        assert process.stdout is not None
        assert process.stdout.read() == b""
    os.close(master)
    return text.decode()


LIVE = """
import time
from harness.evaluate.progress import Progress, Snapshot, duration
from harness.results.records import Status
with Progress() as progress:
    progress.phase("k/m/s", "boot L1")
    progress.note("a note")
    time.sleep(0.6)
    progress.done("k/m/s", Status.PASS, "24 PASS")
"""


def test_live_line_on_a_terminal() -> None:
    text = on_a_terminal(LIVE)
    assert "k/m/s" in text
    assert "boot L1 0 s" in text
    assert "a note" in text
    assert "24 PASS" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor comes back


def test_quiet_on_a_terminal() -> None:
    assert on_a_terminal(LIVE.replace("Progress()", "Progress(quiet=True)")) == ""


def test_the_terminal_is_given_back_when_something_goes_wrong() -> None:
    text = on_a_terminal(LIVE.replace("time.sleep(0.6)", "raise KeyboardInterrupt"))
    assert "\x1b[?25h" in text
    assert text.index("\x1b[?25h") < text.index("Traceback")


def test_rich_is_not_imported_without_a_terminal() -> None:
    code = "import sys; from harness.evaluate.progress import Progress\n"
    code += "with Progress() as p: p.phase('c', 'x')\n"
    code += "assert not [m for m in sys.modules if m.startswith('rich')]"
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("quiet", [True, False])
def test_threads_may_call(quiet: bool) -> None:
    stream = io.StringIO()
    progress = Progress(quiet=quiet, stream=stream)
    with progress:
        calls = [threading.Thread(target=progress.note, args=("x",)) for _ in range(20)]
        for call in calls:
            call.start()
        for call in calls:
            call.join()
    assert stream.getvalue().count("  x\n") == (0 if quiet else 20)


def watched() -> tuple[Progress, Clock, list[Snapshot]]:
    clock = Clock()
    seen: list[Snapshot] = []
    progress = Progress(quiet=True, clock=clock)
    expected = {"a/m/s": 10.0, "b/m/s": 20.0}
    progress.plan(4, expected, done=Counter([Status.PASS]), jobs=2, watch=seen.append)
    return progress, clock, seen


def test_a_snapshot_says_how_far_a_run_is() -> None:
    progress, clock, seen = watched()
    progress.phase("a/m/s", "build")
    clock.now += 4
    progress.phase("a/m/s", "probe")
    progress.phase("b/m/s", "build")
    clock.now += 1
    now = progress.snapshot()
    assert (now.total, now.done, now.seconds) == (4, 1, 5)
    first, second = now.running
    assert (first.cell, first.phase, first.seconds, first.phase_seconds) == ("a/m/s", "probe", 5, 1)
    assert (first.expected, second.seconds) == (10.0, 1)
    # 5 and 19 are left of those that run, 15 (the mean) of the one that waits; two at once.
    assert now.left == (5 + 19 + 15) / 2
    progress.done("b/m/s", Status.FAIL, "")
    assert seen[-1].counts == {Status.PASS: 1, Status.FAIL: 1} and len(seen[-1].running) == 1


def test_the_time_to_go_is_at_least_that_of_the_longest() -> None:
    clock = Clock()
    progress = Progress(quiet=True, clock=clock)
    progress.plan(2, {"a/m/s": 1.0, "b/m/s": 100.0}, jobs=2)
    progress.phase("a/m/s", "probe")
    progress.phase("b/m/s", "probe")
    assert progress.snapshot().left == 100
    clock.now += 500  # longer than ever before
    assert progress.snapshot().left is None


def test_without_a_plan_nothing_is_guessed() -> None:
    assert Progress(quiet=True).snapshot().left is None


def test_notes_of_cells_side_by_side_name_the_cell() -> None:
    stream = io.StringIO()
    progress = Progress(stream=stream)
    progress.phase("a/m/s", "build")
    progress.note("first", "a/m/s")
    progress.phase("b/m/s", "build")
    progress.note("second", "a/m/s")
    assert stream.getvalue().splitlines() == [
        *("a/m/s: build", "  first", "b/m/s: build", "  a/m/s: second"),
    ]


def test_a_sign_of_life_when_nothing_was_printed_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.evaluate.progress.TICK", 0.01)
    stream, clock = io.StringIO(), Clock()
    with Progress(stream=stream, clock=clock) as progress:
        progress.plan(2, {"k/m/s": 100.0, "k/m/t": 100.0})
        progress.phase("k/m/s", "probe")
        time.sleep(0.1)
        assert "still" not in stream.getvalue()
        clock.now += 40
        until = time.monotonic() + 30
        while "still" not in stream.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
    assert stream.getvalue().splitlines()[1:] == [
        "  still k/m/s: probe 40 s",
        "  0 of 2 cells done, 40 s, about 2 min 40 s to go",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
