# SPDX-License-Identifier: GPL-2.0-only
"""A host under test without a machine: guests that are recordings, and a log of what was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.guests.vmm.vmm import MONITOR, RESULTS, VMM_OUTPUT
from harness.hosts.events import Event, EventQueue
from harness.hosts.hang.patience import Patience
from harness.hosts.host import Completed, HostLost, Job
from harness.hosts.l1.saved import SavedState
from harness.hosts.machines.machine import Machine
from harness.hosts.tables import TableSource
from harness.results.failure_kinds import FailureKind
from harness.results.places import Place
from harness.results.records import Failure
from harness.suites.failures.guest_log import GuestLog

T = TypeVar("T")
WELL = ["KTAP version 1", "1..1", "ok 1 a", "# s2eval: end"]
PATIENCE = 20.0  # seconds; only a failing test waits that long


class FakeJob:
    pid = 42
    status: int | None = None


class FakeSnapshot:
    """Of a host that is saved, or was restored."""

    def __init__(self, host: FakeHost, *, restored: bool, problem: str = "") -> None:
        self.pending, self.restored = True, restored
        self._host, self._problem = host, problem

    def wake(self, stream: str, deadline: Deadline) -> Job:
        self.pending = False
        self._host.asked.append("wake")
        return self._host.new_job()

    def take(self, deadline: Deadline) -> None:
        self.pending = False
        self._host.asked.append("save")
        if self._problem:
            raise MachineError(self._problem)

    def skip(self) -> None:
        self.pending = False
        self._host.asked.append("skip")


class FakeHost:
    """Plays `guests`: for each the lines of its results; "!" before its end kills the host.

    It is an L1Host to a placement, and a Host to all else. `asked` is what was asked of it,
    `results` and `output` are the channels of the guest's results and of the job's own lines.
    """

    name = "L1"
    patience = Patience(PATIENCE, PATIENCE)
    bdf = "0000:00:10.0"
    pid = 1
    trace = Path("/none")

    def __init__(
        self,
        machine: Machine,
        image: Path = Path("/Image"),
        state: SavedState | None = None,
        *,
        guests: Sequence[Sequence[str]] = (WELL,),
        restored: bool = False,
        problem: str = "",
        results: str = RESULTS,
        output: str = VMM_OUTPUT,
    ) -> None:
        self.machine, self.image, self.state, self.restored = machine, image, state, restored
        self.usable = False
        self.command = ["qemu"]
        self.console = GuestLog("L1", "console.log")
        self.snapshot = FakeSnapshot(self, restored=restored, problem=problem) if state else None
        self.asked: list[str] = []
        self.files: dict[str, str] = {"resource": f"{0x4460_0000:#x} 0x0 0x0\n", "maps": ""}
        self._results, self._output = results, output
        self._guests = list(guests)
        self._queue = EventQueue()
        self._job = FakeJob()

    def new_job(self) -> FakeJob:
        self._job = FakeJob()
        return self._job

    # -- its life -----------------------------------------------------------------------------

    def launch(self, logs: Path) -> None:
        self.asked.append("launch")

    def boot(self, deadline: Deadline) -> None:
        self.asked.append("restore" if self.restored else "boot")
        self.usable = True

    def begin_cell(self, logs: Path) -> None:
        self.asked.append("begin cell")

    def close(self) -> None:
        self.usable = False
        self.asked.append("close")

    # -- verbs --------------------------------------------------------------------------------

    def run(self, command: str, deadline: Deadline) -> Completed:
        self.asked.append(f"run {command}")
        return Completed(command, 0, "done\n", "")

    def start(self, command: str, stream: str, deadline: Deadline) -> Job:
        self.asked.append(f"start {command}")
        job = self.new_job()
        if self.snapshot is None or not self.snapshot.pending:
            self._play()
        return job

    def put(self, files: Mapping[str, Path | str]) -> dict[str, str]:
        self.asked.append(f"put {' '.join(files)}")
        return {name: f"/share/{name}" for name in files}

    def read(self, path: str, deadline: Deadline) -> bytes:
        name = path.rpartition("/")[2]
        if name not in self.files:
            raise MachineError(f"{path} on the host under test: No such file or directory")
        return self.files[name].encode()

    def bind(self, driver: str, deadline: Deadline) -> None:
        self.asked.append(f"bind {driver}")

    def tables(self) -> TableSource | None:
        return None

    def device_memory(self) -> bytes | None:
        return None

    def harm(self) -> Failure | None:
        return None

    def look(self) -> Place | None:
        return None

    def longest_silence(self) -> float:
        return self._queue.longest_silence()

    def answers(self, deadline: Deadline) -> bool:
        return self.usable

    def new_log(self) -> None:
        self.asked.append("new log")

    # -- events -------------------------------------------------------------------------------

    def wait(
        self, see: Callable[[Event], T | None], deadline: Deadline, silence: float | None = None
    ) -> T | None:
        def look(event: Event) -> T | None:
            if event.source == "qemu":
                self.usable = False
                gone = Failure(kind=FailureKind.PANIC, summary="Kernel panic", where="L1")
                raise HostLost(gone)
            if event.source == self._output and event.line == "exit":
                self._job.status = 0
                return see(Event(self._output, ""))
            return see(event)

        return self._queue.wait(look, deadline, silence)

    def drain(self, see: Callable[[Event], object], deadline: Deadline) -> None:
        self._queue.wait(lambda event: see(event) and None, deadline, silence=0)

    def send(self, channel: str, text: str) -> bool:
        self.asked.append(f"send {text.strip()}")
        if channel == MONITOR and "qmp_capabilities" in text:
            self._queue.events.put(Event(MONITOR, '{"return": {}}'))
        elif channel == MONITOR:
            self._play()
        return True

    def requeue(self, events: Iterable[Event]) -> None:
        self._queue.requeue(events)

    def _play(self) -> None:
        """The next guest, from its first line to its VMM's exit."""
        for line in self._guests.pop(0):
            if line == "!":
                self._queue.events.put(Event("qemu", None))
                return
            self._queue.events.put(Event(self._results, line))
        self._queue.events.put(Event(self._output, "exit"))


def only(asked: Sequence[str], *words: str) -> list[str]:
    """Those of `asked` that begin with one of `words`, in their order."""
    return [one for one in asked if one.startswith(words)]


def any_type(value: object) -> Any:
    """Pass a fake where its class is asked for."""
    return value
