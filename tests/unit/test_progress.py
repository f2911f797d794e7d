# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import threading

import pytest

from harness.report.progress import Progress
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
from harness.report.progress import Progress
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
    code = "import sys; from harness.report.progress import Progress\n"
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
