# SPDX-License-Identifier: GPL-2.0-only
"""Running make: its output in a log as it comes, its processes gone when we are."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.base.errors import DiskFullError, MachineError
from harness.base.paths import cache_dir

TERM_SECONDS = 10.0
AGAIN_SECONDS = 1.0
# What run_logged() runs just now, in whatever thread, and when it was told to end.
_running: dict[subprocess.Popen[str], float] = {}


def end_running() -> None:
    """End the commands that run_logged() runs in other threads: it returns there with a failure."""
    for process in list(_running):
        _terminate(process)


def run_logged(
    command: list[str], log: Path, env: Mapping[str, str], line_seen: Callable[[str], None]
) -> int:
    """Run `command`, append its output to `log`, pass each line on; returns the exit status.

    However this ends, the command and all it started are gone: make gets SIGTERM, so that it
    removes half-written targets and a later run can go on from there.
    """
    with log.open("a", errors="replace") as out, _group(command, env) as process:
        out.write(f"$ {' '.join(command)}\n")
        for line in process.stdout or ():
            out.write(line)
            line_seen(line.rstrip("\n"))
        return process.wait()


@contextmanager
def disk_full_told() -> Iterator[None]:
    """A full disk is the machine's fault, wherever it shows."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFullError(f"no space left in the cache {cache_dir()}") from error
        raise


@contextmanager
def _group(command: list[str], env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own; the whole group is ended on the way out."""
    try:
        process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise MachineError(f"{command[0]} is missing (s2eval doctor)") from error
    _running[process] = -math.inf
    try:
        yield process
    finally:
        if process.poll() is None:
            _end(process)
        _running.pop(process, None)
        if process.stdout:
            process.stdout.close()


def _end(process: subprocess.Popen[str]) -> None:
    _terminate(process)
    try:
        process.wait(TERM_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _terminate(process: subprocess.Popen[str]) -> None:
    """Not twice at once: a second signal would kill a compiler that removes its temporary files.

    But again after a while: a make that is just starting may miss one.
    """
    now = time.monotonic()
    if process.poll() is None and now - _running.get(process, -math.inf) > AGAIN_SECONDS:
        _running[process] = now
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
