# SPDX-License-Identifier: GPL-2.0-only
"""The host under test: whatever runs the kernel whose KVM is evaluated.

Today that is L1 under QEMU (harness/hosts/l1/host.py). Whatever runs on a host (guests, their
audits, suites) knows only these protocols.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.events import Event
from harness.hosts.tables import TableSource
from harness.results.records import Failure
from harness.suites.failures.guest_log import GuestLog

T = TypeVar("T")


class HostLost(Exception):  # noqa: N818 - it is a finding first
    """The host under test died, or does not answer any more; `failure` says how."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.summary)
        self.failure = failure


@dataclass(frozen=True)
class Completed:
    """A command that has run on the host under test."""

    command: str
    status: int
    out: str
    err: str

    def check(self) -> Completed:
        """Return this. Raise MachineError when the command failed."""
        if self.status:
            words = (self.err or self.out).strip().splitlines() or ["no message"]
            raise MachineError(f"'{self.command}' on the host under test: {words[-1]}")
        return self


class Job(Protocol):
    """A command that runs on a host while its lines come as events.

    `pid` is 0 until the host has said it, `status` None until the command has ended; both change
    only in the host's wait(), in their place among the lines.
    """

    @property
    def pid(self) -> int: ...

    @property
    def status(self) -> int | None: ...


class Snapshot(Protocol):
    """A host that is saved, or was, while the VMM of its first guest waits to begin.

    `pending` until that guest has begun. `restored`: the host did not boot, the VMM is there.
    """

    @property
    def pending(self) -> bool: ...

    @property
    def restored(self) -> bool: ...

    def wake(self, stream: str, deadline: Deadline) -> Job:
        """Set going what of a restored host was not saved; return the VMM that waits in it.

        Its lines are events of `stream`.
        """

    def take(self, deadline: Deadline) -> None:
        """Save the host as it is now, if that can be done; nothing is pending afterwards.

        Raise MachineError when the host cannot go on.
        """

    def skip(self) -> None:
        """Do not save this host: nothing is pending afterwards."""


class Host(Protocol):
    """What a guest, a suite or a test asks of the host under test.

    Every verb that waits raises HostLost when the host dies meanwhile or does not answer within
    its deadline. `console` is the host's own log, `silence` the seconds after which a host that
    says nothing at all is given up, `bdf` the device under test.
    """

    name: str
    silence: float
    console: GuestLog

    @property
    def bdf(self) -> str: ...

    def run(self, command: str, deadline: Deadline) -> Completed:
        """Run a shell command to its end."""

    def start(self, command: str, stream: str, deadline: Deadline) -> Job:
        """Start a shell command whose lines come as events of the source `stream`.

        Raise MachineError when it cannot be started.
        """

    def put(self, files: Mapping[str, Path | str]) -> dict[str, str]:
        """Bring files (or text) to the host; return where each is there."""

    def read(self, path: str, deadline: Deadline) -> bytes:
        """Return what is in a file of the host. Raise MachineError when it cannot be read."""

    def bind(self, driver: str, deadline: Deadline) -> None:
        """Give the device under test to `driver`. Raise MachineError when it is not taken."""

    def tables(self) -> TableSource | None:
        """Return where page tables can be read; None on a host that has no way to them."""

    def device_memory(self) -> bytes | None:
        """Return the device's memory as seen from outside of the host; None where it is hidden."""

    def wait(
        self, see: Callable[[Event], T | None], deadline: Deadline, silence: float | None = None
    ) -> T | None:
        """Hand events of what runs on the host to `see`, as EventSource.wait().

        The host's own events are looked at meanwhile: see `failure()` and HostLost.
        """

    def drain(self, see: Callable[[Event], object], deadline: Deadline) -> None:
        """Hand over what is still on its way when the host itself is gone."""

    def send(self, channel: str, text: str) -> bool:
        """Send `text` to whoever reads `channel` on the host; False when nobody takes it."""

    def requeue(self, events: Iterable[Event]) -> None:
        """Let the next wait() see these first."""

    def new_log(self) -> None:
        """Judge the host by what it says from now on: a guest of before is over."""

    def harm(self) -> Failure | None:
        """Return what the host's log tells of the host itself, not of a guest of it."""

    def answers(self, deadline: Deadline) -> bool:
        """Return whether the host is still there, when something on it says nothing any more."""
