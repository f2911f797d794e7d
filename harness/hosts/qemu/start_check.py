# SPDX-License-Identifier: GPL-2.0-only
"""Check that a QEMU has all that a command line asks for, by starting and ending that QEMU.

No instruction of a guest runs (`-S`), so no kernel is needed.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.process import ToolTimeoutError, run_quiet
from harness.hosts.qemu.binary import PROGRAM

MONITOR = "qmp"
ASIDE = ("warning:", "info:")  # how QEMU begins a message that does not end QEMU


def why_no_start_of(command: Sequence[str], deadline: Deadline) -> str:
    """Start a machine's QEMU for a moment; return QEMU's own message when it fails, else "".

    `command` has the QMP monitor MONITOR on standard input and output. The guest does not run, and
    QEMU is gone when this returns.
    """
    ending = "".join(json.dumps({"execute": name}) + "\n" for name in ("qmp_capabilities", "quit"))
    try:
        done = run_quiet([*command, "-S"], deadline, stdin=ending)
    except ToolTimeoutError:
        return f"it did not end within {deadline.seconds:.3g} s"
    except MachineError as error:
        return str(error)
    return error_of(done.stderr, done.returncode)


def error_of(printed: str, returncode: int) -> str:
    """Return QEMU's error in `printed`, without QEMU's name; "" when `returncode` is 0."""
    if returncode == 0:
        return ""
    prefix = f"{PROGRAM}: "
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    messages = [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]
    errors = [line for line in messages if not line.startswith(ASIDE)]
    if errors:
        return errors[0]
    if returncode < 0:
        return f"QEMU was ended by {signal.Signals(-returncode).name}"
    return lines[0] if lines else f"QEMU ended with {returncode} and said nothing"
