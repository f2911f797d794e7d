# SPDX-License-Identifier: GPL-2.0-only
"""Jobs on a lab host, and the FIFOs that carry their lines.

/run/ports/NAME is what a job writes to, as on an L1. For a channel that is read and written
there are NAME.in and NAME.out, as QEMU's chardev "pipe" wants them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from harness.hosts.events import Event

PORTS = "/run/ports"
JOB_REPORT = re.compile(r"^s2eval: job-(pid|exit) (\d+) (\d+)$")  # by the shell that runs a job


class LabJob:
    """A command that runs on a lab host: a Job (harness/hosts/host.py).

    Each stream is a command of its own over SSH: the job has ended when all of `streams` have told
    so, since none of its lines comes after that.
    """

    def __init__(self, number: int, stream: str, streams: Sequence[str]) -> None:
        self.number = number
        self.stream = stream
        self.pid = 0
        self.status: int | None = None
        self._open = set(streams)

    def take(self, event: Event) -> bool:
        """Take pid or status from a line of the job's shell; return whether it is such a line."""
        report = JOB_REPORT.match(event.line or "")
        if not report or int(report[2]) != self.number:
            return False
        if report[1] == "pid":
            self.pid = int(report[3])
            return True
        self._open.discard(event.source)
        if not self._open:
            self.status = int(report[3])
        return True


def job_script(number: int, command: str, stream: str, streams: Sequence[str]) -> str:
    """Return shell that starts `command` in the background and reports it."""
    ends = "; ".join(
        f'printf "\\ns2eval: job-exit {number} $code\\n" > {reader(name)}' for name in streams
    )
    inner = f'({command}) & echo "s2eval: job-pid {number} $!"; wait $!; code=$?; {ends}'
    return f"setsid sh -c {shlex.quote(inner)} < /dev/null > {reader(stream)} 2>&1 &"


def make_ports(streams: Sequence[str]) -> str:
    """Return shell that makes the FIFOs of `streams`."""
    names = " ".join(shlex.quote(f"{PORTS}/{name}") for name in streams)
    return (
        f"mkdir -p {PORTS} && cd {PORTS} && for port in {names}; do\n"
        'rm -f "$port" "$port.in" "$port.out"\n'
        'mkfifo "$port.in" "$port.out" && ln -s "${port##*/}.out" "$port" || exit 1\n'
        "done\n"
    )


def port_script(name: str) -> str:
    """Return shell that prints what comes from the port `name`, and writes its input to it.

    Both ends stay open, so that a VMM comes and goes without an end of file.
    """
    port = f"{PORTS}/{name}"
    return (
        f"exec 3<>{port}.out 4<>{port}.in 5<&0\n"
        "cat <&5 >&4 &\n"
        "exec cat <&3\n"
    )  # fmt: skip


def reader(name: str) -> str:
    """Return the path that lines for the reader of `name` are written to."""
    return f"{PORTS}/{name}.out"
