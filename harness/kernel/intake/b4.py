# SPDX-License-Identifier: GPL-2.0-only
"""A series by its message id, from the public archive, through b4."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.errors import MachineError, UsageError
from harness.base.process import ToolTimeoutError, run_quiet
from harness.base.text import clean

SECONDS = 120  # for a thread of a hundred mails over a slow line


def fetch(message_id: str, folder: Path, *, mailbox: Path | None = None) -> Path:
    """Return the mailbox in `folder` that b4 makes of a thread, or of a local `mailbox`.

    Raise MachineError when b4 or the network is missing, UsageError when there is no such message.
    """
    # Beside this Python first: where the extra `dev` put it.
    program = shutil.which("b4", path=str(Path(sys.executable).parent)) or shutil.which("b4")
    if not program:
        raise MachineError(
            f"{message_id}: b4 is missing: pip install b4, or save the thread to a file"
        )
    local = ["-m", str(mailbox.resolve())] if mailbox else []
    command = [program, "--no-stdin", "am", "-o", str(folder), *local, message_id.strip("<>")]
    try:
        done = run_quiet(command, Deadline(SECONDS), cwd=folder)
    except ToolTimeoutError:
        raise MachineError(
            f"{message_id}: b4 had no answer in {SECONDS} s: is there a network?"
        ) from None
    mailboxes = sorted(folder.glob("*.mbx"))
    if mailboxes:
        return mailboxes[0]
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    why = clean(lines[-1], 200) if lines else f"exit status {done.returncode}"
    if any(word in done.stderr for word in ("ConnectionError", "NameResolution", "ProxyError")):
        raise MachineError(f"{message_id}: b4 does not reach the archive: is there a network?")
    raise UsageError(f"{message_id}: b4 has no series for it: {why}")
