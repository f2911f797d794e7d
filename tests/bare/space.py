# SPDX-License-Identifier: GPL-2.0-only
"""Run one command in a root and in namespaces of its own: mounts, processes, host name, IPC.

`run` starts this file as a process, which makes the namespaces; its child is process 1 in them. All
that the command started ends with process 1, and all mounts go with it, so that whatever ends the
caller leaves neither. Once the root is changed, nothing can be imported.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.base.paths import ROOT
from tests.bare.mounts import (
    NEWIPC,
    NEWNS,
    NEWPID,
    NEWUTS,
    Shared,
    call,
    change_root,
    keep_private,
    mount_all,
    mount_proc,
    mounted,
)

PR_SET_PDEATHSIG = 1
GRACE = 3.0  # seconds that what the command started may take to end after it
NAME = "bare"  # the machine's


class SpaceError(Exception):
    """The namespaces or the mounts cannot be made."""


@dataclass(frozen=True)
class Command:
    """What is run in `root`, as whom, and where its output goes.

    With `/` as its root it sees this system as it is, but for the processes.
    """

    root: str
    command: list[str]
    folder: str
    environment: dict[str, str]
    log: str
    uid: int = 0
    terminal: bool = False
    seconds: float = 600.0
    shared: list[Shared] = field(default_factory=list)


@dataclass(frozen=True)
class Ended:
    """How a command ended; `status` is None when its time was up.

    What was left when it had ended: `processes`, `mounts`, and `files` in /dev/shm.
    """

    status: int | None
    seconds: float
    processes: list[str]
    mounts: list[str]
    files: list[str]


def run(command: Command) -> Ended:
    """Run `command` to its end. However this call ends, nothing of the command is left running.

    Raises SpaceError when the namespaces cannot be made.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bare.space"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the caller
    )
    try:
        out, err = process.communicate(json.dumps(asdict(command)))
    finally:
        process.terminate()
        process.wait()  # process 1, and so all others, ended before
    if process.returncode or not out:
        words = err.strip().splitlines() or [f"exit status {process.returncode}"]
        raise SpaceError(f"no namespaces for {command.root}: {words[-1]}")
    return Ended(**json.loads(out))


def main() -> int:
    """Make the namespaces and wait for process 1, which tells what happened on standard output."""
    given = json.load(sys.stdin)
    command = Command(**{**given, "shared": [Shared(**one) for one in given["shared"]]})
    _die_with_parent()
    call("unshare", NEWNS | NEWPID | NEWUTS | NEWIPC)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    first = os.fork()
    if first == 0:
        _die_with_parent()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        status = 1
        try:
            _first_process(command)
            status = 0
        except (OSError, subprocess.CalledProcessError) as error:
            os.write(2, f"{error}\n".encode())
        finally:
            os._exit(status)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(first, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])


def _first_process(command: Command) -> None:
    """Be process 1: mount, change the root, run the command, tell what it left."""
    log = os.open(command.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    keep_private()
    if command.root == "/":
        mount_proc("/proc")
    else:
        mount_all(command.root, command.shared)
        change_root(command.root)
    call("sethostname", NAME.encode(), len(NAME))
    before = mounted()
    started = time.monotonic()
    status = _watch(*_start(command), log, started + command.seconds)
    ended = Ended(
        status,
        time.monotonic() - started,
        _processes(),
        sorted(set(mounted()) - set(before)),
        [str(path) for path in Path("/dev/shm").iterdir()],  # noqa: S108
    )
    os.write(1, json.dumps(asdict(ended)).encode())


def _start(command: Command) -> tuple[int, int]:
    """Start the command as its user: its pid and a descriptor that its output comes from."""
    if command.terminal:
        mine, its = os.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.fchown(its, command.uid, 5)  # group tty
        standard_in = its
    else:
        mine, its = os.pipe()
        standard_in = os.open("/dev/null", os.O_RDONLY)
    pid = os.fork()
    if pid:
        os.close(its)
        return pid, mine
    try:
        os.setsid()
        if command.terminal:
            fcntl.ioctl(its, termios.TIOCSCTTY, 0)
        for target, source in enumerate((standard_in, its, its)):
            os.dup2(source, target)
        os.closerange(3, 1024)
        # A login ignores no signal; Python does, and what is started in a shell's background.
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        os.umask(0o022)
        if command.uid:
            os.setgroups([command.uid])
            os.setgid(command.uid)
            os.setuid(command.uid)
        os.chdir(command.folder)
        os.execve(command.command[0], command.command, command.environment)  # noqa: S606
    except OSError as error:
        os.write(2, f"{error}\n".encode())
    os._exit(127)


def _watch(pid: int, output: int, log: int, until: float) -> int | None:
    """Log what comes from `output` until `pid` ends, and bury what has no other parent."""
    status = None
    more = True
    while status is None and time.monotonic() < until:
        if more:
            more = _copy(output, log, 0.2)
        else:
            time.sleep(0.05)
        buried, how = _bury()
        while buried:
            if buried == pid:
                status = os.waitstatus_to_exitcode(how)
            buried, how = _bury()
    while more and select.select([output], [], [], 0)[0]:
        more = _copy(output, log, 0)
    return status


def _copy(source: int, log: int, seconds: float) -> bool:
    """Copy what comes from `source` within `seconds`; false when nobody can write there now."""
    if not select.select([source], [], [], seconds)[0]:
        return True
    try:
        text = os.read(source, 65536)
    except OSError:  # EIO: nobody has the terminal open
        return False
    os.write(log, text)
    return bool(text)


def _bury() -> tuple[int, int]:
    try:
        return os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return 0, 0


def _processes() -> list[str]:
    """The command lines of all processes but this one, after the time they have to end."""
    until = time.monotonic() + GRACE
    while True:
        while _bury()[0]:
            pass
        found = [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]
        found.remove("1")
        if not found or time.monotonic() > until:
            return [line for line in map(_command_line, found) if line]
        time.sleep(0.1)


def _command_line(pid: str) -> str:
    try:
        line = Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        return line or Path("/proc", pid, "comm").read_text().strip()
    except OSError:
        return ""


def _die_with_parent() -> None:
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
