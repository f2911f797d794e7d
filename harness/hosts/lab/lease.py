# SPDX-License-Identifier: GPL-2.0-only
"""The lease of a lab host: who may use it now, and how long when s2eval does not come back.

It is a file on the machine itself, so that all who come there see it. Time is the machine's own
since its boot: a wrong clock does not matter. A lease of an earlier boot holds for its whole
length since this boot, since nobody knows how old it was; its owner, who comes back, renews it.
"""

from __future__ import annotations

import contextlib
import getpass
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.hostfile import HostFile
from harness.hosts.lab.link import Link

SCRIPT = Path(__file__).with_name("lease.sh")
REFRESHES = 3  # times within a lease's length that it is renewed
GIVING = 10.0  # seconds to give it back: a user may be waiting for the end
LOOK = 5.0  # seconds between looks whether another one's lease is over
FREE, REVOKED = "free", "revoked"


@dataclass(frozen=True)
class Holder:
    """Who has a lease, and for how many seconds at most if they do not come back."""

    owner: str
    seconds: float

    def described(self) -> str:
        """Return who and for how long, for a message."""
        minutes = max(1, round(self.seconds / 60))
        return f"{self.owner}, for {minutes} min more unless renewed"


class RevokedError(LabError):
    """The lease was released by force, by somebody else."""


def this_owner() -> str:
    """Return the name that leases of this user have: USER@COMPUTER."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def lease_file(host: HostFile) -> str:
    """Return the path of the lease on the machine."""
    return f"{host.folder}/lease"


def holder(link: Link, deadline: Deadline) -> Holder | None:
    """Return who has the machine's lease; None when nobody has. Raise LabError."""
    return _call(link, "show", deadline)[0]


def force_release(link: Link, deadline: Deadline) -> Holder | None:
    """Remove the machine's lease, whoever has it; return who had it. Raise LabError."""
    return _call(link, "force", deadline)[0]


class Lease:
    """The lease of a machine, renewed until its end. A context manager.

    The kernel under test has a lease of its own, in memory. Who takes it there after another one's
    was over has the machine's own kernel's, too, on whose disk that other one's still is.

    Entering waits for another's lease until `wait` is over, and raises LabError that tells who has
    it; `waiting` is called once with who that is. Leaving gives it back. What a step must not do
    without the lease begins with check().
    """

    def __init__(
        self,
        link: Link,
        owner: str = "",
        minutes: float = 0,
        wait: Deadline | None = None,
        waiting: Callable[[str], object] = lambda holder: None,
    ) -> None:
        self.link = link
        self.owner = owner or this_owner()
        self.seconds = 60 * (minutes or link.host.limits.lease)
        self.lost: LabError | None = None
        self._token = secrets.token_hex(8)
        self._after = ""  # token of the lease that was over when this one began
        self._wait = wait or Deadline(0)
        self._waiting = waiting
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="lab-lease", daemon=True)

    def __enter__(self) -> Lease:
        told = False
        while other := self._take():
            if self._wait.over:
                way = f"wait, or s2eval host release {self.link.host.name} --force"
                raise self._fault(f"held by {other.described()}: {way}")
            if not told:
                self._waiting(other.described())
                told = True
            time.sleep(min(LOOK, self._wait.left()))
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def renew(self) -> None:
        """Renew the lease, also on a machine that has booted since.

        Raise LabError when it is lost, or cannot be renewed.
        """
        try:
            if other := self._take():
                self.lost = self._fault(f"lost to {other.described()}")
        except RevokedError as error:
            self.lost = error
        self.check()

    def check(self) -> None:
        """Raise LabError when the lease is known to be lost."""
        if self.lost:
            raise self.lost

    def release(self) -> None:
        """Give the lease back; one that cannot be given back runs out."""
        self._ended.set()
        deadline = Deadline(GIVING)
        if self._thread.is_alive():
            self._thread.join(deadline.left())
        if not self.lost:
            with contextlib.suppress(MachineError):
                self._call("give", deadline)

    def _refresh(self) -> None:
        """Renew the lease now and then; where the machine does not answer, it is asked later."""
        while not self._ended.wait(self.seconds / REFRESHES) and not self.lost:
            with contextlib.suppress(MachineError):
                self.renew()

    def _take(self) -> Holder | None:
        """Take or renew the lease; return who else has it."""
        other, ended = self._call("take", Deadline(self.link.host.limits.command))
        self._after = self._after or ended
        return other

    def _call(self, action: str, deadline: Deadline) -> tuple[Holder | None, str]:
        return _call(
            self.link, action, deadline, self._token, self.owner, self.seconds, self._after
        )

    def _fault(self, cause: str) -> LabError:
        return LabError(self.link.host.name, Step.LEASE, cause)


def _call(
    link: Link,
    action: str,
    deadline: Deadline,
    token: str = "",
    owner: str = "",
    seconds: float = 0,
    after: str = "",
) -> tuple[Holder | None, str]:
    """Run the script on the machine; a lease of the token `after` counts as none.

    Return who has the lease, None for nobody or `token`, and the token of a lease that is over.
    Raise RevokedError when the lease of `token` was released by force.
    """
    script, file = SCRIPT.read_text(encoding="utf-8"), lease_file(link.host)
    values = (token, owner or this_owner(), str(round(seconds)), after)
    done = link.run(["sh", "-c", script, "lease", action, file, *values], deadline, repeat=True)
    lines = done.out.strip().splitlines()
    if done.status or not lines:
        said = (done.err.strip().splitlines() or [f"status {done.status}"])[-1]
        step = Step.DISK if "No space left" in said else Step.LEASE
        raise LabError(link.host.name, step, f"{file}: {said}")
    state, _, rest = lines[-1].partition(" ")
    if state == FREE:
        return None, rest
    left, _, name = rest.partition(" ")
    if state == REVOKED:
        raise RevokedError(link.host.name, Step.LEASE, f"released by force by {name}")
    return Holder(name, float(left)), ""
