# SPDX-License-Identifier: GPL-2.0-only
"""The console behind real commands: what is kept of it, and what becomes of a bad one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.base.deadline import Deadline
from harness.base.errors import DiskFullError
from harness.base.paths import ROOT
from harness.hosts.events import QUEUE_LIMIT, Event
from harness.hosts.lab import console as module
from harness.hosts.lab.console import SOURCE, Console
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.hostfile import HostFile
from harness.suites.failures.guest_log import GuestLog

PATIENCE = 60.0  # seconds; only a failing test waits that long
LOGS = ROOT / "tests/data/logs"


def console(tmp_path: Path, command: str) -> Console:
    host = HostFile(name="bench", address="bench", console=command)
    return Console(host, tmp_path / "host.log")


def until(made: Console, line: str | None) -> list[str | None]:
    """The lines up to `line`."""
    lines: list[str | None] = []

    def see(event: Event) -> bool | None:
        assert event.source == SOURCE
        lines.append(event.line)
        return True if event.line == line else None

    assert made.wait(see, Deadline(PATIENCE)), lines
    return lines


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_lines_are_logged_and_come_as_events(tmp_path: Path) -> None:
    with console(tmp_path, "echo one; echo two; cat") as made:
        made.open()
        assert until(made, "two") == ["one", "two"]
        mark = made.mark()
        assert made.type("three\n")
        assert until(made, "three") == ["three"]
        assert made.since(mark) == ["three"]
        assert made.since(0) == ["one", "two", "three"]
        made.log_to(tmp_path / "next.log")
        made.type("four\n")
        until(made, "four")
    assert (tmp_path / "host.log").read_bytes() == b"one\r\ntwo\r\nthree\r\n"
    assert (tmp_path / "next.log").read_bytes() == b"four\r\n"


def test_a_panic_on_it_is_classified_as_that_of_l1(tmp_path: Path) -> None:
    log = LOGS / "panic.log"
    guest = GuestLog("host", "host.log")
    with console(tmp_path, f"cat {log}; echo; echo the end; cat") as made:
        made.open()
        for line in until(made, "the end"):
            guest.feed(line or "")
    failure = guest.failure()
    assert failure and failure.kind == "panic"


def test_a_host_without_a_console_has_none(tmp_path: Path) -> None:
    with console(tmp_path, "") as made:
        made.open()
        assert not made.there
        assert not made.type("x")
        assert made.since(0) == []
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_ends_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    count = (
        f"echo x >> {tmp_path}/n; wc -l < {tmp_path}/n; [ $(wc -l < {tmp_path}/n) -gt 2 ] && cat"
    )
    with console(tmp_path, count) as made:
        made.open()
        assert until(made, "3") == ["1", "2", "3"]
        assert made.problem is None
    text = (tmp_path / "host.log").read_text()
    assert text.count("# s2eval: the console command ended with status 1") == 2


def test_one_that_always_ends_is_the_labs_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    with console(tmp_path, "echo 'Error: SOL payload in use' >&2; exit 3") as made:
        made.open()
        assert until(made, None).count("Error: SOL payload in use") == module.AGAIN + 1
    assert made.problem and made.problem.step is Step.CONSOLE
    cause = "ended with status 3: Error: SOL payload in use (6 times in a row)"
    assert str(made.problem).endswith(cause)


def test_garbage_and_megabytes_are_borne(tmp_path: Path) -> None:
    script = "head -c 3000000 /dev/urandom; head -c 2000000 /dev/zero; echo; echo the end; cat"
    with console(tmp_path, script) as made:
        made.open()
        lines = until(made, "the end")
        assert all(len(line or "") <= 65536 for line in lines)
        assert made.events.qsize() <= QUEUE_LIMIT
    assert (tmp_path / "host.log").stat().st_size >= 5_000_000


def test_one_that_nobody_reads_is_closed_all_the_same(tmp_path: Path) -> None:
    made = console(tmp_path, "yes")
    with made:
        made.open()
        end = time.monotonic() + PATIENCE
        while not made.events.full():
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.mark.parametrize(
    "command",
    [
        "trap '' HUP INT TERM; sleep 4731 & echo $! ; echo $$; wait",
        "(trap '' HUP; exec sleep 4732) & echo $!; echo $$; exec cat",
    ],
)
def test_what_ignores_hangup_is_gone_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(module, "ENDING", 0.2)
    with console(tmp_path, command) as made:
        made.open()
        pids: list[int] = []

        def see(event: Event) -> bool | None:
            pids.append(int(event.line or 0))
            return True if len(pids) == 2 else None

        assert made.wait(see, Deadline(PATIENCE))
        assert all(alive(pid) for pid in pids)
    end = time.monotonic() + PATIENCE
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < end


def test_the_command_ends_with_a_killed_harness(tmp_path: Path) -> None:
    """Also one that ignores that its terminal is gone."""
    command = f"trap '' HUP; echo $$ > {tmp_path}/pid; while :; do sleep 0.05; done"
    code = (
        "import time; from pathlib import Path\n"
        "from tests.unit.hosts.lab.test_console import console\n"
        f"made = console(Path({str(tmp_path)!r}), {command!r})\n"
        "made.open(); print('open', flush=True); time.sleep(600)\n"
    )
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as harness:
        assert harness.stdout and harness.stdout.readline() == b"open\n"
        end = time.monotonic() + PATIENCE
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert time.monotonic() < end
        pid = int((tmp_path / "pid").read_text())
        assert alive(pid)
        os.kill(harness.pid, signal.SIGKILL)
    while alive(pid):
        assert time.monotonic() < end


def test_a_look_tells_what_it_says_or_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    with console(tmp_path, "printf '\\033[1mlogin:\\033[0m\\n'; cat") as good:
        assert good.check(Deadline(1)) == "login:"
    with console(tmp_path, "/no/such/ipmitool sol") as bad, pytest.raises(LabError) as error:
        bad.check(Deadline(PATIENCE))
    assert "/no/such/ipmitool: not found" in str(error.value)


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    host = HostFile(name="bench", address="bench", console="echo x; cat")
    with pytest.raises(DiskFullError, match="/dev/full"), Console(host, Path("/dev/full")) as made:
        made.open()
        until(made, "x")
