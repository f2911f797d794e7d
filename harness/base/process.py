# SPDX-License-Identifier: GPL-2.0-only
"""The one way to start processes: none outlives s2eval, none is waited for without an end.

Standard library only: tools.py, which `./bootstrap` runs, uses it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.lasting_thread import in_lasting_thread
from harness.base.signals import signals_held

PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
TERM_SECONDS = 10.0
AGAIN_SECONDS = 1.0
SILENCE_SECONDS = 3600.0  # of a make: it prints a line for each file, and links for minutes
PIPE_BYTES = 65536
COMMAND_LIMIT = 120  # characters of a command line in a message
TOOL_SECONDS = 600.0  # a compiler, cpio, readelf: each takes seconds
# What run_logged() and run_quiet() run just now, in whatever thread, and when it was told to end.
_running: dict[subprocess.Popen[bytes], float] = {}


class ToolMissingError(MachineError):
    """A program is not installed."""


class ToolTimeoutError(MachineError):
    """A program did not end in its time, and was ended."""


def start(  # noqa: PLR0913 - those of Popen that are needed
    command: Sequence[str | Path],
    *,
    stdin: IO[bytes] | int | None = subprocess.DEVNULL,
    stdout: IO[bytes] | int | None = None,
    stderr: IO[bytes] | int | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    keep: Sequence[int] = (),
    session: bool = True,
    parents_end: signal.Signals | None = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start `command` and return it. Raise OSError when it cannot be started.

    It inherits the file descriptors `keep`. In a `session` of its own it gets no Ctrl-C of the
    terminal, which is ours to handle. When this process ends, by whatever cause, the command gets
    the signal `parents_end`; None saves the fork (10 ms and more) that this needs, for commands
    that write nothing and end in a moment. Callers wrap this in signals_held() until they know the
    process.
    """

    prepare = None
    if parents_end is not None:
        _libc()  # loaded here, for in the child nothing can be
        prepare = functools.partial(die_with_parent, os.getpid(), parents_end)

    def popen() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env=env,
            pass_fds=keep,
            start_new_session=session,
            preexec_fn=prepare,  # noqa: PLW1509 - two system calls, no locks
        )

    return in_lasting_thread(popen) if prepare else popen()


def die_with_parent(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """In a child: let the kernel send `number` when the child's parent, process `parent`, ends.

    The kernel does so as soon as the *thread* ends that forked the child (prctl(2)): fork it in a
    thread that lasts, see in_lasting_thread().
    """
    _libc().prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it ended before the kernel knew
        os.kill(os.getpid(), number)


@functools.cache
def _libc() -> Any:  # ctypes has no types for what a library holds
    return ctypes.CDLL(None, use_errno=True)


# A forked child ends nothing of its parent's.
os.register_at_fork(after_in_child=_running.clear)


def end_running() -> None:
    """End the commands that other threads run: run_logged() and run_quiet() return there."""
    for process in list(_running):
        _terminate(process)


def run_logged(
    command: Sequence[str], log: Path, env: Mapping[str, str], line_seen: Callable[[str], None]
) -> int:
    """Run `command`, append its output to `log`, pass each line on; return the exit status.

    However this ends, the command and all it started are gone: make gets SIGTERM, so that it
    removes half-written targets and a later run can go on from there. Raise ToolMissingError when
    there is no such command, ToolTimeoutError when it prints nothing for SILENCE_SECONDS.
    """
    with (
        log.open("a", errors="replace") as out,
        _group(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process,
    ):
        out.write(f"$ {' '.join(command)}\n")
        try:
            for line in _lines(process):
                out.write(line)
                line_seen(line.rstrip("\n"))
            return process.wait(SILENCE_SECONDS)
        except subprocess.TimeoutExpired:
            why = f"printed nothing for {SILENCE_SECONDS:.3g} s and was ended"
            raise ToolTimeoutError(f"{_short(command)} {why} (log: {log})", log=log) from None


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """The lines that `process` prints; TimeoutExpired when none comes for SILENCE_SECONDS."""
    if process.stdout is None:
        raise AssertionError("a pipe was asked for")
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(SILENCE_SECONDS):
            data = os.read(process.stdout.fileno(), PIPE_BYTES)
            *lines, rest = (rest + data).split(b"\n")
            yield from (f"{line.decode(errors='replace')}\n" for line in lines)
            if not data:
                if rest:
                    yield rest.decode(errors="replace")
                return
    raise subprocess.TimeoutExpired(process.args, SILENCE_SECONDS)


def run_on_terminal(command: Sequence[str]) -> int:
    """Run `command` on this process's terminal and return its exit status, however long it takes.

    Raise OSError when it cannot be started.
    """
    process = None
    try:
        with signals_held():
            process = start(command, stdin=None, session=False)
        return process.wait()
    finally:
        if process and process.poll() is None:
            process.kill()
            process.wait()


def run_quiet(
    command: Sequence[str],
    deadline: Deadline,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | bytes = b"",
    writes: bool = True,
    undecodable: str = "replace",
) -> subprocess.CompletedProcess[str]:
    """Run `command` on the text `stdin` and return its exit status and what it printed.

    What is no UTF-8 is decoded as `undecodable` says (an error handler of codecs). `writes=False`:
    the command changes nothing and ends in a moment, so nothing need end it when this process is
    killed (see start()). Raise ToolMissingError when there is no such command, MachineError when
    it cannot be run, ToolTimeoutError when `deadline` is over; all it started is gone then.
    """
    data = stdin.encode() if isinstance(stdin, str) else stdin
    pipe = subprocess.PIPE
    with _group(
        command,
        stdin=pipe if data else subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        cwd=cwd,
        env=env,
        parents_end=signal.SIGTERM if writes else None,
    ) as process:
        try:
            out, err = process.communicate(data or None, timeout=deadline.left())
        except subprocess.TimeoutExpired:
            _end(process)
            deadline.left()  # tells when it is not the command's time that is over, but the cell's
            why = f"did not end within {deadline.seconds:.3g} s and was ended"
            raise ToolTimeoutError(f"{_short(command)} {why}") from None
    texts = (text.decode(errors=undecodable) for text in (out, err))
    return subprocess.CompletedProcess(list(command), process.returncode, *texts)


def run_tool(
    command: Sequence[str],
    purpose: str,
    cwd: Path | None = None,
    text: str = "",
    deadline: Deadline | None = None,
) -> str:
    """Return what a tool prints when it is given `text`; `purpose` is what is being made with it.

    Raise MachineError when the tool is missing, when it hangs (for TOOL_SECONDS, or `deadline`),
    and with its first error, else its last line, when it fails.
    """
    try:
        done = run_quiet(command, deadline or Deadline(TOOL_SECONDS), cwd=cwd, stdin=text)
    except ToolMissingError:
        raise ToolMissingError(
            f"{command[0]} is missing: {purpose} needs it (see s2eval doctor)"
        ) from None
    except ToolTimeoutError as error:
        raise ToolTimeoutError(f"{purpose}: {error}") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
        raise MachineError(f"{purpose}: {next((x for x in lines if 'error:' in x), lines[-1])}")
    return done.stdout


def _short(command: Sequence[str]) -> str:
    line = " ".join(map(str, command))
    return line if len(line) <= COMMAND_LIMIT else f"{line[:COMMAND_LIMIT]}…"


@contextmanager
def _group(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None,
    stdin: int = subprocess.DEVNULL,
    stdout: int,
    stderr: int,
    cwd: Path | None = None,
    parents_end: signal.Signals | None = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own; the whole group is ended on the way out."""
    process = None
    try:
        with signals_held(), _told_why(command):  # a process that was started is known, and ended
            process = start(
                command, stdin=stdin, stdout=stdout, stderr=stderr, cwd=cwd, env=env,
                parents_end=parents_end,
            )  # fmt: skip
            _running[process] = -math.inf
        yield process
    finally:
        if process:
            _leave(process)


@contextmanager
def _told_why(command: Sequence[str]) -> Iterator[None]:
    """Raise MachineError when the block, which starts `command`, does not succeed."""
    try:
        yield
    except FileNotFoundError as error:
        if error.filename == command[0]:
            raise ToolMissingError(f"{command[0]} is missing (s2eval doctor)") from error
        raise MachineError(f"{command[0]}: {error.filename}: {error.strerror}") from error
    except OSError as error:
        raise MachineError(f"{command[0]}: {error.strerror}") from error


def _leave(process: subprocess.Popen[bytes]) -> None:
    """Let nothing of a group be left: no process, no pipe, no entry in the list."""
    try:
        if process.poll() is None:
            _end(process)
    finally:
        _running.pop(process, None)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a group with SIGTERM, and what does not heed that with SIGKILL."""
    _terminate(process)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(TERM_SECONDS)
    with contextlib.suppress(ProcessLookupError):  # also what outlives the first of them
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """Not twice at once: a second signal would kill a compiler that removes its temporary files.

    But again after a while: a make that is just starting may miss one.
    """
    now = time.monotonic()
    if process.poll() is None and now - _running.get(process, -math.inf) > AGAIN_SECONDS:
        _running[process] = now
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
