# SPDX-License-Identifier: GPL-2.0-only
"""Processes: ended with s2eval, not before, and never waited for without an end."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base import process as module
from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.lasting_thread import in_lasting_thread
from harness.base.process import (
    ToolMissingError,
    ToolTimeoutError,
    die_with_parent,
    end_running,
    run_logged,
    run_quiet,
    run_tool,
    start,
)

PATIENCE = 20.0


def state(pid: int) -> str:
    """The state of a process as ps(1) shows it; "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def wait_for(condition: Callable[[], bool]) -> bool:
    end = Deadline(PATIENCE)
    while not condition() and not end.over:
        time.sleep(0.01)
    return condition()


def gone(pid: int) -> bool:
    return wait_for(lambda: state(pid) in ("", "Z"))


def in_thread(call: Callable[[], None]) -> None:
    """Call in a thread that is over when this returns, for the kernel too."""
    numbers: list[int] = []

    def work() -> None:
        numbers.append(threading.get_native_id())
        call()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert wait_for(lambda: not Path(f"/proc/self/task/{numbers[0]}").exists())


def test_a_process_outlives_the_thread_that_started_it() -> None:
    """As QEMU does whose cell runs in a thread of a pool."""
    children: list[subprocess.Popen[bytes]] = []
    in_thread(lambda: children.append(start(["sleep", "1000"])))
    child = children[0]
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.3)
    finally:
        child.kill()
        child.wait()


def test_the_kernel_does_end_it_with_the_thread_that_forked_it() -> None:
    """What the test above is about: without the lasting thread the child is killed."""
    libc = ctypes.CDLL(None)
    children: list[subprocess.Popen[bytes]] = []
    in_thread(
        lambda: children.append(
            subprocess.Popen(["sleep", "1000"], preexec_fn=lambda: libc.prctl(1, 9))  # noqa: PLW1509
        )
    )
    assert children[0].wait(PATIENCE) == -signal.SIGKILL


FROM_A_THREAD = """
import sys, threading, time
from harness.base.process import start
pids = []
thread = threading.Thread(target=lambda: pids.append(start(["sleep", "1000"]).pid))
thread.start()
thread.join()
print(pids[0], flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_the_process_whichever_thread_started_it(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", FROM_A_THREAD], stdout=subprocess.PIPE) as harness:
        assert harness.stdout
        pid = int(harness.stdout.readline())
        alive = state(pid) not in ("", "Z")
        harness.send_signal(number)
    assert alive and gone(pid)


def test_a_child_whose_parent_is_gone_already_ends() -> None:
    """The parent may be killed between fork and prctl, which then says nothing any more."""
    child = os.fork()
    if child == 0:
        die_with_parent(os.getppid() + 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_the_lasting_thread_hands_on_results_and_errors_also_in_a_forked_child() -> None:
    names: list[str] = []
    errors: list[BaseException] = []

    def work() -> None:
        names.append(in_lasting_thread(lambda: threading.current_thread().name))
        try:
            in_lasting_thread(lambda: int("x"))
        except ValueError as error:
            errors.append(error)

    in_thread(work)
    assert names == ["starts-processes"] and len(errors) == 1
    child = os.fork()
    if child == 0:  # the thread is not there any more: another one is started
        signal.alarm(10)
        in_thread(work)
        os._exit(len(names))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2


def test_a_quiet_command_returns_what_it_printed() -> None:
    done = run_quiet(["sh", "-c", "cat; echo e >&2; exit 3"], Deadline(PATIENCE), stdin="in\xe4")
    assert (done.returncode, done.stdout, done.stderr) == (3, "in\xe4", "e\n")
    done = run_quiet(["printf", r"\377"], Deadline(PATIENCE), writes=False)
    assert done.stdout == "\ufffd"


@pytest.mark.parametrize("writes", [True, False])
def test_a_hang_ends_with_a_line_that_names_it(writes: bool, tmp_path: Path) -> None:
    """Also one that started what keeps its pipes open, and does not heed SIGTERM."""
    script = f"sleep 1000 & echo $! > {tmp_path}/pid; trap '' TERM; wait"
    began = time.monotonic()
    with pytest.raises(ToolTimeoutError, match=r"^sh -c sleep 1000 .* within 0.3 s and was ended"):
        run_quiet(["sh", "-c", script], Deadline(0.3), writes=writes)
    assert time.monotonic() - began < PATIENCE
    assert gone(int((tmp_path / "pid").read_text()))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match="no-such-tool is missing"):
        run_quiet(["no-such-tool"], Deadline(1))
    with pytest.raises(MachineError, match=r"true: .*none: No such file"):
        run_quiet(["true"], Deadline(1), cwd=tmp_path / "none")
    (tmp_path / "text").write_text("x")
    with pytest.raises(MachineError, match="text: Permission denied"):
        run_quiet([str(tmp_path / "text")], Deadline(1))


def test_a_tool_fails_with_its_first_error_or_its_last_line() -> None:
    with pytest.raises(MachineError, match=r"^a thing: x\.c:1: error: no$"):
        run_tool(
            ["sh", "-c", "echo warn; echo 'x.c:1: error: no' >&2; echo z >&2; exit 1"], "a thing"
        )
    with pytest.raises(MachineError, match=r"^a thing: z$"):
        run_tool(["sh", "-c", "echo y; echo z; exit 1"], "a thing")
    with pytest.raises(ToolMissingError, match="no-such-tool is missing: a thing needs it"):
        run_tool(["no-such-tool"], "a thing")
    with pytest.raises(ToolTimeoutError, match=r"^a thing: sleep 1000 did not end within 0.1 s"):
        run_tool(["sleep", "1000"], "a thing", deadline=Deadline(0.1))


def test_a_make_that_falls_silent_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.3)
    began = time.monotonic()
    lines: list[str] = []
    with pytest.raises(
        ToolTimeoutError, match=r"printed nothing for 0\.3 s and was ended"
    ) as caught:
        script = "for i in 1 2 3; do sleep 0.2; echo $i; done; printf part; sleep 1000"
        run_logged(["sh", "-c", script], tmp_path / "log", os.environ, lines.append)
    assert lines == ["1", "2", "3"]
    assert caught.value.log == tmp_path / "log"
    assert time.monotonic() - began < PATIENCE


def test_a_line_without_an_end_is_a_line(tmp_path: Path) -> None:
    lines: list[str] = []
    assert run_logged(["printf", r"a\nb"], tmp_path / "log", os.environ, lines.append) == 0
    assert lines == ["a", "b"]


MAKE = """
import os, sys
from pathlib import Path
from harness.base.process import run_logged
script = "trap 'kill $!; exit' TERM; sh -c 'echo $$; exec sleep 1000' & echo $$; wait"
tell = lambda line: print(line, flush=True)
run_logged(["sh", "-c", script], Path(sys.argv[1]), os.environ, tell)
"""


def test_a_build_ends_with_an_s2eval_that_is_killed(tmp_path: Path) -> None:
    """SIGTERM, on which make ends its own children and removes half-written targets."""
    command = [sys.executable, "-c", MAKE, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as harness:
        assert harness.stdout
        pids = [int(harness.stdout.readline()) for _ in range(2)]
        alive = [state(pid) not in ("", "Z") for pid in pids]
        harness.kill()
    assert alive == [True, True] and all(map(gone, pids))


QUIET = """
import sys
from harness.base.deadline import Deadline
from harness.base.process import run_quiet
run_quiet(["sh", "-c", "echo $$ > " + sys.argv[1] + "; exec sleep 1000"], Deadline(1000))
"""


def test_a_tool_that_writes_ends_with_an_s2eval_that_is_killed(tmp_path: Path) -> None:
    """Else git would go on in a worktree whose lock is free."""
    told = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", QUIET, str(told)]) as harness:
        started = wait_for(lambda: told.is_file() and told.read_text().endswith("\n"))
        harness.kill()
    assert started and gone(int(told.read_text()))


def test_what_other_threads_run_can_be_ended() -> None:
    codes: list[int] = []

    def work() -> None:
        codes.append(run_quiet(["sleep", "1000"], Deadline(1000)).returncode)

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        end_running()
        thread.join(0.05)
    assert codes == [-signal.SIGTERM]
