# SPDX-License-Identifier: GPL-2.0-only
"""What progress looks like: lines, a live view on a terminal, nothing when quiet."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import time

import pytest

from harness.evaluate.events import CellDone, Note, PhaseBegan
from harness.evaluate.progress import Progress
from harness.report.terminal.lines import LineView
from harness.report.terminal.progress import shown_progress
from harness.results.phases import PhaseName
from harness.results.records import Status


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines_when_it_is_no_terminal() -> None:
    stream, clock = io.StringIO(), Clock()
    with Progress(LineView(stream, clock), clock=clock) as progress:
        progress(PhaseBegan("k/m/s", PhaseName.BUILD))
        progress(Note("download \x1b[2Jlinux-source-6.1", "k/m/s"))
        clock.now += 2
        progress(PhaseBegan("k/m/s", PhaseName.BOOT_L1))
        clock.now += 1.25
        progress(CellDone("k/m/s", Status.FAIL, "kvm-error:\x1b[31m it died"))
    assert stream.getvalue().split("\n") == [
        "k/m/s: build",
        "  download linux-source-6.1",
        "k/m/s: boot L1",
        "FAIL  k/m/s (3.2 s) kvm-error: it died",
        "",
    ]


def test_quiet() -> None:
    stream = io.StringIO()
    with shown_progress(quiet=True, stream=stream) as progress:
        progress(PhaseBegan("k/m/s", PhaseName.BUILD))
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
from harness.evaluate.events import CellDone, Note, PhaseBegan
from harness.report.terminal.progress import shown_progress
from harness.results.phases import PhaseName
from harness.results.records import Status
with shown_progress(quiet=False) as progress:
    progress(PhaseBegan("k/m/s", PhaseName.BOOT_L1))
    progress(Note("a\\x1b[2J note", "k/m/s"))
    time.sleep(0.6)
    progress(CellDone("k/m/s", Status.PASS, "24 PASS"))
"""


def test_live_line_on_a_terminal() -> None:
    text = on_a_terminal(LIVE)
    assert "k/m/s" in text
    assert "boot L1 0 s" in text
    assert "a note" in text
    assert "24 PASS" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor comes back


def test_quiet_on_a_terminal() -> None:
    assert on_a_terminal(LIVE.replace("quiet=False", "quiet=True")) == ""


def test_the_terminal_is_given_back_when_something_goes_wrong() -> None:
    text = on_a_terminal(LIVE.replace("time.sleep(0.6)", "raise KeyboardInterrupt"))
    assert "\x1b[?25h" in text
    assert text.index("\x1b[?25h") < text.index("Traceback")


def test_rich_is_not_imported_without_a_terminal() -> None:
    code = LIVE + "import sys\nassert not [m for m in sys.modules if m.startswith('rich')]\n"
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)


def test_notes_of_cells_side_by_side_name_the_cell() -> None:
    stream = io.StringIO()
    progress = Progress(LineView(stream))
    progress(PhaseBegan("a/m/s", PhaseName.BUILD))
    progress(Note("first", "a/m/s"))
    progress(PhaseBegan("b/m/s", PhaseName.BUILD))
    progress(Note("second", "a/m/s"))
    assert stream.getvalue().splitlines() == [
        *("a/m/s: build", "  first", "b/m/s: build", "  a/m/s: second"),
    ]


def test_a_sign_of_life_when_nothing_was_printed_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.evaluate.progress.TICK", 0.01)
    stream, clock = io.StringIO(), Clock()
    with Progress(LineView(stream, clock), clock=clock) as progress:
        progress.plan(2, {"k/m/s": 100.0, "k/m/t": 100.0})
        progress(PhaseBegan("k/m/s", PhaseName.PROBE))
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
