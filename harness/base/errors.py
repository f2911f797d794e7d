# SPDX-License-Identifier: GPL-2.0-only
"""Errors that end a command, and the exit codes a user sees.

Every error a user can cause is one line that names the thing and the way out.
"""

from __future__ import annotations

import errno
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """What `s2eval` returns; 125 makes `git bisect run` skip the commit."""

    OK = 0
    FAIL = 1
    USAGE = 2
    UNDECIDED = 125
    INTERRUPTED = 130


class S2EvalError(Exception):
    """One line for the user. `log` names a file that holds the whole story."""

    exit_code = ExitCode.UNDECIDED

    def __init__(self, message: str, *, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log


class UsageError(S2EvalError):
    """The input is wrong: an unknown name, a bad plan, a patch that does not apply."""

    exit_code = ExitCode.USAGE


class BuildError(S2EvalError):
    """The kernel or a suite does not build or keep its config."""


class OutOfTimeError(S2EvalError):
    """A cell took longer than its plan allows; no other way of running it is tried."""


class MachineError(S2EvalError):
    """The harness's or the machine's fault (status MISS): QEMU missing, no space, no answer."""


class DiskFullError(MachineError):
    """There is no room: what comes next would end in the same way."""


def machine_error(error: OSError, what: object = "") -> MachineError:
    """Return `error` as a MachineError of one line about `what`, by default the file it names."""
    kind = DiskFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else MachineError
    named = what or error.filename or "this machine"
    return kind(f"{named}: {error.strerror or error}")
