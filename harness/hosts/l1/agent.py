# SPDX-License-Identifier: GPL-2.0-only
"""The protocol of L1's init and the harness on a virtio port (guest-tests/init/l1.c).

A question is one line, `ID COMMAND`, the answer `ID STATUS .OUT .ERR`; all but the first two are
hexadecimal, so that nothing in them can be taken for the end of a line.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.base.errors import MachineError
from harness.base.text import clean

CHANNEL = "agent"
LINE_LIMIT = 32 * 2**20  # bytes of an answer: a command's output or a file, two digits a byte
READY = "ready"  # L1's init has come up
UNMOUNT, WAKE = "unmount", "wake"


@dataclass(frozen=True)
class Answer:
    """The exit status of a question's command (or errno), and what it printed."""

    status: int
    out: bytes
    err: bytes


def question(ident: int, command: str) -> str:
    """Return the line that asks L1 to run a shell command, or one of UNMOUNT and WAKE."""
    return f"{ident} {command.encode().hex()}\n"


def reading(path: str) -> str:
    """Return the command that asks for the contents of a file, which costs L1 no process."""
    return f"<{path}"


def is_answer(ident: int, line: str | None) -> bool:
    """Return whether `line` answers the question `ident`; a line of None is the channel's end."""
    return line is not None and line.startswith(f"{ident} ")


def answer(line: str) -> Answer:
    """Return the answer in a line for which is_answer() holds.

    Raise MachineError when the line is malformed: L1 runs a kernel under test.
    """
    try:
        _, status, out, err = line.split(" ")
        return Answer(int(status), bytes.fromhex(out[1:]), bytes.fromhex(err[1:]))
    except ValueError:
        raise MachineError(f"L1's agent answered '{clean(line, 80)}'") from None
