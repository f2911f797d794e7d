# SPDX-License-Identifier: GPL-2.0-only
"""A tool of this machine, run to its end."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.base.errors import MachineError


def run_tool(command: list[str], what: str, cwd: Path | None = None, text: str = "") -> str:
    """What a tool prints when it is given `text`; `what` is being made.

    MachineError when it is missing, and with its first error, else its last words, when it fails.
    """
    try:
        done = subprocess.run(
            command, cwd=cwd, input=text, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise MachineError(
            f"{command[0]} is missing: {what} needs it (see s2eval doctor)"
        ) from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
        told = next((line for line in words if "error:" in line), words[-1])
        raise MachineError(f"{what}: {told}")
    return done.stdout
