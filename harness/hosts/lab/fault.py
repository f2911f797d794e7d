# SPDX-License-Identifier: GPL-2.0-only
"""Faults of a lab: whatever keeps a lab host from being used, and in which step."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from harness.base.errors import MachineError


class Step(StrEnum):
    """What was being done with a lab host when it failed."""

    NETWORK = "network"  # no TCP connection, no address
    SSH = "ssh"  # no SSH on the connection, or it was lost
    KEY = "key"  # the machine does not take the user's key
    HOST_KEY = "host key"  # the machine is not known, or is another one
    COMMAND = "command"  # a command that must succeed did not, or not in its time
    FILE = "file"  # a file could not be copied
    DISK = "disk"  # no room on the machine
    CONSOLE = "console"
    POWER = "power"
    LEASE = "lease"
    BOOT = "boot"  # of the kernel under test, or of the safe kernel
    KERNEL = "kernel"  # another kernel runs than was sent
    DEVICE = "device"
    TUNING = "tuning"  # hugepages or governor of its file


class LabError(MachineError):
    """A fault of a lab, never of a kernel (status MISS): the `host`'s name, the `step`, the cause.

    The message is "HOST: STEP: cause".
    """

    def __init__(self, host: str, step: Step, cause: str, *, log: Path | None = None) -> None:
        super().__init__(f"{host}: {step}: {cause}", log=log)
        self.host = host
        self.step = step
        self.cause = cause
