# SPDX-License-Identifier: GPL-2.0-only
"""The life of a process with channels; what is started here is a shell or a Python, not QEMU."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.base.deadline import Deadline
from harness.base.errors import MachineError, OutOfTimeError
from harness.hosts.events import QUEUE_LIMIT, Event
from harness.hosts.qemu.channel import PAUSE
from harness.hosts.qemu.process import QemuProcess

PATIENCE = 20.0  # seconds; only a failing test waits that long
# Each channel: both together are more than the queue takes, and what is over fits into a socket,
# so that the process ends before it is read.
LINES = QUEUE_LIMIT // 2 + 500
# A process that connects as QEMU does: to each channel, says its lines, and to the monitor.
GUEST = (
    f"LINES = {LINES}\n"
    + """
import json, socket, sys, time
def connect(name):
    end = socket.socket(socket.AF_UNIX)
    end.connect(name)
    return end
console, results = connect("console"), connect("results")
if "monitor" in sys.argv:
    line = connect("qmp")
    monitor = line.makefile("w")
    version = {"qemu": {"major": 10, "minor": 0, "micro": 2}, "package": ""}
    print(json.dumps({"QMP": {"version": version, "capabilities": []}}), file=monitor, flush=True)
    assert json.loads(line.recv(4096))["execute"] == "qmp_capabilities"
    print(json.dumps({"return": {}}), file=monitor, flush=True)
    shut = {"event": "SHUTDOWN", "data": {"guest": True, "reason": sys.argv[-1]},
            "timestamp": {"seconds": 1, "microseconds": 0}}
    print(json.dumps(shut), file=monitor, flush=True)
for name, end in (("console", console), ("results", results)):
    end.sendall("".join(f"{name} {n}\\n" for n in range(LINES)).encode())
if "stay" in sys.argv:
    console.sendall(results.recv(100))
    time.sleep(1000)
print("last words", file=sys.stderr)
sys.exit(3)
"""
)


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[QemuProcess]:
    folder, logs = tmp_path / "sockets", tmp_path / "logs"
    folder.mkdir()
    logs.mkdir()
    monkeypatch.chdir(folder)
    with QemuProcess(folder, logs, ["console", "results"]) as made:
        yield made
    assert not alive(made.pid)


def alive(pid: int) -> bool:
    """A process that was waited for has no entry; pid 0 is one that was never started."""
    return pid != 0 and Path(f"/proc/{pid}").exists()


def guest(*args: str) -> list[str]:
    return [sys.executable, "-c", GUEST, *args]


def all_events(process: QemuProcess) -> list[Event]:
    """Everything up to the event that is said to be the last."""
    seen: list[Event] = []

    def see(event: Event) -> bool | None:
        seen.append(event)
        return True if event.source == "qemu" else None

    assert process.wait(see, Deadline(PATIENCE))
    return seen


def test_the_end_comes_after_all_that_was_said(process: QemuProcess) -> None:
    process.start(guest())
    end = Deadline(PATIENCE)
    while process.returncode is None:  # it is gone, and half of what it said is on its way
        assert not end.over
        time.sleep(0.05)
    time.sleep(2 * PAUSE)
    seen = all_events(process)
    assert seen[-1] == Event("qemu", None) and process.events.empty()
    for source in ("console", "results"):
        lines = [event.line for event in seen if event.source == source]
        assert lines == [*(f"{source} {n}" for n in range(LINES)), None]
    assert (process.returncode, process.output()) == (3, ["last words"])
    assert (process.logs / "console.log").read_text().startswith("console 0\n")


def test_a_process_that_never_connects_ends_as_well(process: QemuProcess) -> None:
    process.start(["sh", "-c", "echo qemu-system-aarch64: no such thing >&2; exit 1"])
    assert all_events(process)[-1] == Event("qemu", None)
    failure = process.why_ended()
    assert (failure.kind, failure.where, failure.log) == ("vmm-exit", "VMM", "qemu.log")
    assert failure.summary == "qemu-system-aarch64: no such thing"


def test_one_that_is_killed_says_by_what(process: QemuProcess) -> None:
    process.start(guest("stay"))
    process.wait(lambda event: True, Deadline(PATIENCE))
    os.kill(process.pid, signal.SIGKILL)
    all_events(process)
    assert process.why_ended().summary == "QEMU ended with signal 9"


@pytest.mark.parametrize(
    ("reason", "kind", "words"),
    [
        ("guest-reset", "reset", "reset itself"),
        ("guest-shutdown", "vmm-exit", "powered off before"),
    ],
)
def test_the_monitor_tells_how_the_guest_ended(
    process: QemuProcess, monkeypatch: pytest.MonkeyPatch, reason: str, kind: str, words: str
) -> None:
    process.start(guest("monitor", reason))
    all_events(process)
    assert [event["event"] for event in process.monitored] == ["SHUTDOWN"]
    (line,) = (process.logs / "qmp.log").read_text().splitlines()
    assert json.loads(line)["data"]["reason"] == reason
    monkeypatch.setattr(QemuProcess, "returncode", 0)
    monkeypatch.setattr(QemuProcess, "output", lambda _: [])
    failure = process.why_ended()
    assert (failure.kind, failure.where) == (kind, "L1") and words in failure.summary


def test_leaving_ends_a_process_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with QemuProcess(tmp_path, tmp_path, ["console", "results"]) as process:
        process.start(guest("stay"))
        assert process.send("results", "to the guest\n")

        def echoed(event: Event) -> bool | None:
            return True if event.line == "to the guest" else None

        assert process.wait(echoed, Deadline(PATIENCE))
        assert alive(process.pid)
    assert not alive(process.pid)
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "console.log").read_text().endswith("to the guest\n")


def test_a_program_that_is_not_there(process: QemuProcess) -> None:
    with pytest.raises(MachineError, match="/none: No such file or directory"):
        process.start(["/none"])


def test_waiting_ends_with_silence_or_with_the_deadline(process: QemuProcess) -> None:
    deadline = Deadline(PATIENCE)
    assert process.wait(lambda _: True, deadline, silence=0.01) is None
    assert not deadline.over
    short = Deadline(0.01)
    assert process.wait(lambda _: True, short) is None
    assert short.over


def test_a_wait_ends_with_the_limit_of_the_cell_in_any_thread(process: QemuProcess) -> None:
    """The limit is over in the midst of a wait, or before; a busy channel is no reason to go on."""
    caught: list[str] = []

    def wait() -> None:
        limit = Deadline(0.05, reason="the cell's limit")
        for _ in range(2):
            try:
                process.wait(lambda _: True, Deadline(PATIENCE, within=limit), silence=PATIENCE)
            except OutOfTimeError as error:
                caught.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(PATIENCE)
    assert caught == ["the cell's limit"] * 2


def test_a_log_that_cannot_be_written_is_the_machines_fault(tmp_path: Path) -> None:
    (tmp_path / "console.log").symlink_to("/dev/full")
    with (
        pytest.raises(MachineError, match=r"console\.log: No space left on device"),
        QemuProcess(tmp_path, tmp_path, ["console", "results"]) as process,
    ):
        process.start([sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r})\n{GUEST}"])
        all_events(process)


def test_a_folder_that_no_socket_can_be_in(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with pytest.raises(MachineError, match="set TMPDIR"), QemuProcess(deep, tmp_path, ["console"]):
        raise AssertionError("never entered")


def test_the_process_dies_with_a_harness_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves no time for anything: the kernel ends the child."""
    script = f"""
import sys, time
from pathlib import Path
from harness.hosts.qemu.process import QemuProcess
folder = Path({str(tmp_path)!r})
with QemuProcess(folder, folder, []) as process:
    process.start(["sleep", "1000"])
    print(process.pid, flush=True)
    time.sleep(1000)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as harness:
        assert harness.stdout
        pid = int(harness.stdout.readline())
        assert alive(pid)
        harness.kill()
    end = Deadline(PATIENCE)
    while alive(pid) and "(sleep) Z" not in Path(f"/proc/{pid}/stat").read_text():
        assert not end.over
