# SPDX-License-Identifier: GPL-2.0-only
"""The power switch of a lab host, behind shell commands of this computer.

A command that says that all went well is not believed where the host has a `status` command.
"""

from __future__ import annotations

import re
import time
from typing import Literal

from harness.base.deadline import Deadline
from harness.base.process import ToolTimeoutError, run_quiet
from harness.base.text import clean
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.hostfile import HostFile

State = Literal["on", "off", "unknown"]
Action = Literal["on", "off", "cycle"]
LOOK = 0.5  # seconds between looks at the state
# "Chassis Power is on" (ipmitool), "running", "shut off" (virsh domstate), "power: 1" (others)
_STATES: tuple[tuple[State, re.Pattern[str]], ...] = (
    ("off", re.compile(r"\b(?:off|down|0)\b", re.I)),
    ("on", re.compile(r"\b(?:on|up|running|1)\b", re.I)),
)


class Power:
    """The power switch of `host`."""

    def __init__(self, host: HostFile) -> None:
        self.host = host

    def can(self, action: Action) -> bool:
        """Return whether there are commands for `action`."""
        power = self.host.power
        if action == "cycle":
            return bool(power.cycle or (power.on and power.off))
        return bool(getattr(power, action))

    def on(self, deadline: Deadline) -> None:
        """Switch the machine on. Raise LabError when that fails, or does not show in time."""
        self._run("on", deadline)
        self._await("on", deadline)

    def off(self, deadline: Deadline) -> None:
        """Switch the machine off. Raise LabError when that fails, or does not show in time."""
        self._run("off", deadline)
        self._await("off", deadline)

    def cycle(self, deadline: Deadline) -> None:
        """Switch the machine off and on. Raise LabError when that fails, or is off in the end.

        That it has really been off only its boot_id can tell.
        """
        if self.host.power.cycle:
            self._run("cycle", deadline)
        else:
            self.off(deadline)
            self._run("on", deadline)
        self._await("on", deadline)

    def status(self, deadline: Deadline) -> State:
        """Return the state of the power; "unknown" for a host without a `status` command.

        Raise LabError when the command fails or its words are not understood.
        """
        if not self.host.power.status:
            return "unknown"
        said = self._run("status", deadline)
        for line in reversed(said.splitlines()):
            for state, pattern in _STATES:
                if pattern.search(line):
                    return state
        cause = f"'{self.host.power.status}' says neither on nor off: {clean(said) or 'nothing'}"
        raise LabError(self.host.name, Step.POWER, cause)

    def _run(self, action: str, deadline: Deadline) -> str:
        """Run a command and return what it printed."""
        command = getattr(self.host.power, action)
        if not command:
            cause = f"its file has no command for '{action}' in [power]"
            raise LabError(self.host.name, Step.POWER, cause)
        limit = deadline.at_most(self.host.limits.power)
        try:
            done = run_quiet(["sh", "-c", command], limit)
        except ToolTimeoutError:
            cause = f"'{command}' did not end within {limit.seconds:.3g} s"
            raise LabError(
                self.host.name, Step.POWER, f"{cause} ({self.host.key_of('power')})"
            ) from None
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            cause = f"'{command}' ended with {done.returncode}: {clean(lines[-1])}"
            raise LabError(self.host.name, Step.POWER, cause)
        return done.stdout

    def _await(self, state: State, deadline: Deadline) -> None:
        """Wait until the status is `state`. Raise LabError when it is not in time."""
        if not self.host.power.status:
            return
        limit = deadline.at_most(self.host.limits.power)
        while (now := self.status(deadline)) != state:
            if limit.over:
                cause = (
                    f"switched {state}, but its status is still {now} after {limit.seconds:.3g} s"
                )
                raise LabError(self.host.name, Step.POWER, cause)
            time.sleep(min(LOOK, limit.left()))
