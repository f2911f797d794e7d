# SPDX-License-Identifier: GPL-2.0-only
"""Into the kernel under test for one boot, and back to the machine's own kernel, both verified."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from harness.base.deadline import Deadline
from harness.base.text import clean
from harness.hosts.hang.patience import Waited, quiet
from harness.hosts.host import HostLost
from harness.hosts.lab.boot.state import BOOT_WORD, MachineState, check_kernel, read_state
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.hostfile import HostFile
from harness.hosts.lab.link import Link
from harness.hosts.lab.power import Power
from harness.hosts.lab.watched import BANNER, WatchedHost

ATTEMPT = 10.0  # seconds for one connection to a machine that may still boot
PAUSE = 0.3  # seconds between two
INIT = "s2eval: "  # begins the lines of harness/hosts/lab/userland/init.sh
NO_NETWORK = "no network interface"
PANIC = "panic=10"  # seconds in which a trace leaves by the serial port; then the safe kernel boots
_REBOOT = """
sync
if [ -d /run/systemd/system ]; then systemctl reboot; exit; fi
(sleep 0.3; exec reboot -f) < /dev/null > /dev/null 2>&1 &
"""


class BootMethod(Protocol):
    """A way to boot a kernel for one boot only."""

    def files_there(self, image: Path, archive: Path) -> dict[Path, str]:
        """Return the files that the booted kernel's user land has already, by their path there."""

    def load(self, image: Path, archive: Path, cmdline: str, deadline: Deadline) -> None:
        """Make all ready for `image`. Raise LabError when that fails."""

    def run(self, deadline: Deadline) -> None:
        """Leave the running kernel; return before that happens. Raise LabError."""


def is_left(host: HostFile, state: MachineState) -> bool:
    """Return whether an earlier run has left a machine in another kernel than its own."""
    return bool(state.token) and host.boot.method != "none"


class BootControl:
    """Boots the machine of `link`; `watched` is its console, `note` is called with lines for users.

    `safe` is the state of its own kernel, set by look(); `left` is True once that was left.
    """

    def __init__(self, link: Link, watched: WatchedHost, note: Callable[[str], object]) -> None:
        self.safe: MachineState | None = None
        self.left = False
        self._link = link
        self._watched = watched
        self._note = note
        self._host = link.host

    def look(self) -> MachineState:
        """Return the state of the machine's own kernel.

        A machine that an earlier run has left in another kernel is brought back first. Raise
        LabError when it does not answer, or its own kernel is not the one of its file.
        """
        state = read_state(self._link, Deadline(self._host.limits.command))
        if is_left(self._host, state):
            self._note(f"{self._host.name} still runs a kernel of an earlier run: it reboots")
            state = self.back(state.boot_id)
        self._check_safe(state)
        if state.virtual and not self._host.virtual:
            cause = "it is a virtual machine: its file must say virtual = true"
            raise LabError(self._host.name, Step.KERNEL, cause)
        self.safe = state
        return state

    def into(
        self, method: BootMethod, image: Path, archive: Path, deadline: Deadline
    ) -> MachineState:
        """Boot `image`, and return the state of the machine that then answers.

        Raise HostLost when the kernel does not get to its user land, LabError when the machine
        cannot be asked to boot, or what answers is not that kernel.
        """
        token = secrets.token_hex(8)
        args = self._host.boot.args
        cmdline = f"{args} {PANIC} {BOOT_WORD}={token}".strip()
        before = self._link.boot
        self._watched.call(lambda: method.load(image, archive, cmdline, deadline), deadline)
        self.left = True
        self._watched.leaving = True
        mark = self._watched.events.mark()
        self._watched.call(lambda: method.run(deadline), deadline)
        self._link.close()
        self._await_kernel(before, mark, deadline)
        self._watched.leaving = False
        state = self._watched.call(lambda: read_state(self._link, deadline), deadline)
        check_kernel(self._host.name, state, image, token, args)
        return state

    def stay(self, image: Path, deadline: Deadline) -> MachineState:
        """Return the machine's state when the kernel of `image` runs there already.

        Raise LabError when another one does.
        """
        state = self._watched.call(lambda: read_state(self._link, deadline), deadline)
        check_kernel(self._host.name, state, image, state.token, self._host.boot.args)
        return state

    def back(self, before: str) -> MachineState:
        """Return to the machine's own kernel from the boot `before`, by power where it must be.

        Return that kernel's state. Raise LabError when the machine does not come back.
        """
        limits = self._host.limits
        cause = ""
        if before:
            with contextlib.suppress(LabError):
                self._link.connect(Deadline(min(limits.connect, ATTEMPT)))
                if self._link.boot == before:
                    self._link.shell(_REBOOT, Deadline(limits.command))
            try:
                return self._safe_again(before)
            except LabError as error:
                cause = error.cause
        power = Power(self._host)
        if not power.can("cycle"):
            way = "it has no [power]: switch it off and on"
            raise LabError(self._host.name, Step.BOOT, f"did not come back ({cause}), and {way}")
        self._note(f"{self._host.name} did not come back ({cause}): power cycle")
        power.cycle(Deadline(2 * limits.power))
        return self._safe_again(before)

    def _safe_again(self, before: str) -> MachineState:
        """Wait for the boot after `before`; return its state. Raise LabError."""
        deadline = Deadline(self._host.limits.boot, key=self._host.key_of("boot"))
        self._connect_anew(before, deadline)
        state = read_state(self._link, deadline.at_most(self._host.limits.command))
        if state.token:
            raise LabError(self._host.name, Step.BOOT, "the kernel under test runs again")
        self._check_safe(state)
        return state

    def _check_safe(self, state: MachineState) -> None:
        wanted = self._host.boot.safe
        if wanted and state.release != wanted:
            cause = f"{state.release} runs, its own kernel is {wanted} ([boot] safe)"
            raise LabError(self._host.name, Step.KERNEL, cause)

    def _await_kernel(self, before: str, mark: int, deadline: Deadline) -> None:
        """Wait until SSH answers from another boot; the console tells whose fault a failure is."""
        watched, host = self._watched, self._host
        try:
            silence = host.limits.silence
            watched.call(lambda: self._connect_anew(before, deadline), deadline, silence)
        except LabError as error:
            lines = watched.events.since(mark)
            shown = [at for at, line in enumerate(lines) if BANNER in line]
            if not watched.events.there or not shown:
                seen = "no console" if not watched.events.there else "no line of its on the console"
                raise LabError(
                    host.name, Step.BOOT, f"the kernel does not answer, {seen}: {error.cause}"
                ) from None
            if said := [line for line in lines[shown[-1] :] if line.startswith(INIT)]:
                raise LabError(host.name, Step.SSH, self._without_ssh(said, error)) from None
            waited: Waited[bool] = Waited(None, host.limits.silence)
            failure = quiet(watched.console, deadline, waited, "the boot of the kernel under test")
            raise HostLost(failure) from None

    def _without_ssh(self, said: Sequence[str], error: LabError) -> str:
        """Return why a kernel whose init has `said` these lines is not reached by SSH."""
        words = [clean(line.removeprefix(INIT)) for line in said]
        if lacking := next((word for word in words if word.startswith(NO_NETWORK)), ""):
            way = f"a kernel +host={self._host.name} has the machine's drivers"
            return f"the kernel runs, but has {lacking}: {way}"
        return f"the kernel runs (the console says: {words[-1]}), but {error.cause}"

    def _connect_anew(self, before: str, deadline: Deadline) -> None:
        """Connect until the machine answers from another boot. Raise the last LabError."""
        last = LabError(self._host.name, Step.BOOT, "it has not booted")
        while not deadline.over:
            try:
                self._link.connect(deadline.at_most(ATTEMPT))
                if self._link.boot != before:
                    return
                self._link.close()
                last = LabError(self._host.name, Step.BOOT, "it has not left the kernel before")
            except LabError as error:
                last = error
            time.sleep(min(PAUSE, deadline.left()))
        limit = f"within {deadline.seconds:.3g} s ({self._host.key_of('boot')})"
        raise LabError(self._host.name, last.step, f"{last.cause}, {limit}")
