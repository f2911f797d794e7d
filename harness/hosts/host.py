# SPDX-License-Identifier: GPL-2.0-only
"""The host under test: whatever runs the kernel whose KVM is evaluated.

Today that is L1 under QEMU (harness/hosts/l1/host.py). Whatever runs on a host (guests, their
audits, suites) knows only these protocols.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.events import Event
from harness.hosts.hang.patience import Patience
from harness.results.places import Place
from harness.results.records import Failure
from harness.suites.failures.guest_log import GuestLog

if TYPE_CHECKING:  # read while a guest runs, and hosts start before
    from harness.hosts.tables import TableSource

T = TypeVar("T")


class HostLost(Exception):  # noqa: N818 - a finding about the kernel, no error of the harness
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
        """Return this command. Raise MachineError with its last line when its status is not 0."""
        if self.status:
            lines = (self.err or self.out).strip().splitlines() or ["no message"]
            raise MachineError(f"'{self.command}' on the host under test: {lines[-1]}")
        return self


class Job(Protocol):
    """A command that runs on a host while its lines come as events.

    Both properties change only in the host's wait(), in their place among the lines.
    """

    @property
    def pid(self) -> int:
        """Return the command's process id on the host; 0 until the host has reported it."""

    @property
    def status(self) -> int | None:
        """Return the command's exit status; None until it has ended."""


class Snapshot(Protocol):
    """The saved state of a host, taken while the VMM of the host's first guest waits to begin."""

    @property
    def pending(self) -> bool:
        """Return whether the first guest has not begun, so that wake(), take() or skip() is due."""

    @property
    def restored(self) -> bool:
        """Return whether the host was restored: it did not boot, and the VMM runs on it already."""

    def wake(self, stream: str, deadline: Deadline) -> Job:
        """Start what a saved state leaves out (timers); return the job of the VMM that waits.

        The VMM's lines are events of `stream`. Raise MachineError when that fails, HostLost when
        the host dies.
        """

    def take(self, deadline: Deadline) -> None:
        """Save the host as it is now, if that can be done; `pending` is False afterwards.

        Raise MachineError when the host cannot go on.
        """

    def skip(self) -> None:
        """Do not save this host; `pending` is False afterwards."""


class Host(Protocol):
    """The host under test as guests, suites and tests use it.

    Every method with a deadline raises HostLost when the host dies meanwhile or does not answer
    within that deadline. `console` is the host's own log; `patience` is how long the host and its
    guests together may print nothing at all.
    """

    name: str
    patience: Patience
    console: GuestLog

    @property
    def bdf(self) -> str:
        """Return the PCI address of the device under test (DDDD:BB:DD.F) on this host."""

    def run(self, command: str, deadline: Deadline) -> Completed:
        """Run a shell command to its end; return its status and output, also when it failed."""

    def start(self, command: str, stream: str, deadline: Deadline) -> Job:
        """Start a shell command, whose lines come as events of the source `stream`; return its job.

        Raise MachineError when it cannot be started.
        """

    def put(self, files: Mapping[str, Path | str]) -> dict[str, str]:
        """Copy files (or texts) to the host by name; return the path of each on the host."""

    def read(self, path: str, deadline: Deadline) -> bytes:
        """Return the contents of a file of the host. Raise MachineError when it cannot be read."""

    def bind(self, driver: str, deadline: Deadline) -> None:
        """Bind the device under test to `driver`. Raise MachineError when the driver refuses it."""

    def tables(self) -> TableSource | None:
        """Return where page tables can be read; None on a host whose tables cannot be read."""

    def device_memory(self) -> bytes | None:
        """Return the device's memory as seen from outside of the host; None where it is hidden."""

    def wait(
        self, see: Callable[[Event], T | None], deadline: Deadline, silence: float | None = None
    ) -> T | None:
        """Hand events of jobs on the host to `see` and return its result, as EventSource.wait().

        The host's own events go to `console` meanwhile. Raise HostLost when they tell of its end.
        """

    def drain(self, see: Callable[[Event], object], deadline: Deadline) -> None:
        """Hand the jobs' events that are still in transit to `see`, after the host has ended."""

    def send(self, channel: str, text: str) -> bool:
        """Send `text` to the reader of `channel` on the host. Return False when there is none."""

    def requeue(self, events: Iterable[Event]) -> None:
        """Hand `events` to the next wait() first."""

    def new_log(self) -> None:
        """Empty `console`, so that the lines about an earlier guest do not count any more."""

    def harm(self) -> Failure | None:
        """Return the failure of the host itself (not of a guest) that its log shows, else None."""

    def look(self) -> Place | None:
        """Return where the host's CPUs and its guests' are; None where they cannot be seen."""

    def longest_silence(self) -> float:
        """Return the longest silence that an event ended (s), since this was asked last."""

    def answers(self, deadline: Deadline) -> bool:
        """Return whether the host answers a command; asked when a guest on it has gone silent."""
