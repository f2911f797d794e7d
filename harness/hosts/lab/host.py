# SPDX-License-Identifier: GPL-2.0-only
"""A lab host: a host under test that is a real machine, reached by SSH.

It boots the kernel under test for one boot, runs the guests of several cells one after the other,
and goes back to its own kernel at the end. What it has of the harness is on a file system in
memory, but for files that do not change, in the folder of the host's file.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.byte_stream import StreamLog
from harness.hosts.events import Event
from harness.hosts.host import Completed
from harness.hosts.lab.boot.control import BootControl, BootMethod
from harness.hosts.lab.boot.kexec import KexecInitramfs, KexecRoot
from harness.hosts.lab.boot.state import MachineState
from harness.hosts.lab.boot.tuning import restore, tune
from harness.hosts.lab.command import Stream
from harness.hosts.lab.device import check_device
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.job import LabJob, job_script, make_ports, port_script
from harness.hosts.lab.lease import Lease
from harness.hosts.lab.link import Link
from harness.hosts.lab.machine import LabMachine
from harness.hosts.lab.userland.root import lab_root
from harness.hosts.lab.watched import LOST, LabEvents, WatchedHost, quietly
from harness.hosts.machines.bind import bind_script
from harness.hosts.tables import TableSource

RUN = "/run/s2eval"  # files of one boot, on the host


class LabHost(WatchedHost):
    """A lab host from its lease to its own kernel. A context manager: at its end all is given back.

    `streams` are the names of the channels of jobs. `archive` is the suite's, which the first
    guest boots. `usable` is True from the end of boot() until something has harmed the host;
    `state` is that of the kernel under test, `safe` of the host's own.
    """

    def __init__(
        self,
        machine: LabMachine,
        image: Path,
        archive: Path,
        streams: Sequence[str],
        note: Callable[[str], object],
    ) -> None:
        super().__init__(machine.host, streams, LabEvents(machine.host, Path()))
        self.machine = machine
        self.image = image
        self.usable = False
        self.command: list[str] = []
        self.state: MachineState | None = None
        self.safe: MachineState | None = None
        self._archive = archive
        self._note = note
        self._link = Link(machine.host)
        self._control = BootControl(self._link, self, note)
        self._lease: Lease | None = None
        self._tuned = False
        self._there: dict[Path, str] = {}
        self._copies = itertools.count(1)
        self._numbers = itertools.count(1)
        self._ports: dict[str, Stream] = {}
        self._logs = {name: StreamLog() for name in streams}

    def __enter__(self) -> LabHost:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def bdf(self) -> str:
        """Return the PCI address of the device under test."""
        return self.machine.device_bdf

    def launch(self, logs: Path, wait: Deadline | None = None) -> None:
        """Reserve the machine, waiting for others until `wait` is over, and log its console.

        Raise LabError when it cannot be had, or is not at its own kernel and cannot be brought
        back.
        """
        limits = self.host.limits
        self._log_to(logs)
        self._link.connect(Deadline(limits.connect, key=self.host.key_of("connect")))
        lease = Lease(self._link, wait=wait, waiting=self._tell_waiting)
        lease.__enter__()
        self._lease = lease
        self.events.open()
        self.safe = self._control.look()
        self._lease.renew()
        restore(self._link, Deadline(limits.command))  # of a run that was killed
        check_device(self._link, self.host, Deadline(limits.command))

    def boot(self, deadline: Deadline) -> None:
        """Boot the kernel under test, verify that it runs, and open its channels.

        Raise HostLost when it does not come up, LabError when the lab is at fault.
        """
        method = self._method()
        self.new_log()
        if method is None:
            self.state = self._control.stay(self.image, deadline)
        else:
            self.state = self._control.into(method, self.image, self._archive, deadline)
            self._there = method.files_there(self.image, self._archive)
        self.command = self.state.cmdline.split()
        if self._lease:
            self.call(self._lease.renew, deadline)
        self.call(self._open_ports, deadline)
        self._tuned = True
        self.call(lambda: tune(self._link, deadline), deadline)
        self.usable = True

    def begin_cell(self, logs: Path) -> None:
        """Log into the next cell's folder `logs` from now on, with an empty console log."""
        self._log_to(logs)
        self.new_log()

    def close(self) -> None:
        """Go back to the machine's own kernel, give the lease back and end the console."""
        self.usable = False
        try:
            if self._tuned and not self._control.left:
                self._tuned = False
                quietly(lambda: restore(self._link, Deadline(self.host.limits.command)))
            if self._control.left:
                self._control.left = False
                self._control.back(self._link.boot)
                if self._lease:
                    quietly(self._lease.renew)
        except MachineError as error:
            self._note(f"{error} (it is brought back by the next run, or s2eval host check)")
        finally:
            if self._lease:
                self._lease.release()
                self._lease = None
            self._link.close()
            self.events.close()
            for log in self._logs.values():
                log.close()

    def run(self, command: str, deadline: Deadline) -> Completed:
        """Run a shell command to its end; return its status and output."""
        done = self.call(lambda: self._link.shell(command, deadline), deadline)
        return Completed(command, done.status, done.out, done.err)

    def start(self, command: str, stream: str, deadline: Deadline) -> LabJob:
        """Start a shell command, whose lines are events of `stream`; return its job.

        Raise MachineError when the command cannot be started.
        """
        if self._lease:
            self._lease.check()
        job = LabJob(next(self._numbers), stream, self._streams)
        self._jobs = [*(other for other in self._jobs if other.stream != stream), job]
        self.run(job_script(job.number, command, stream, self._streams), deadline).check()
        return job

    def put(self, files: Mapping[str, Path | str]) -> dict[str, str]:
        """Copy files and texts to the host; return the path of each there.

        A file that is there already is not copied again.
        """
        paths = {}
        for name, content in files.items():
            if isinstance(content, Path) and content in self._there:
                paths[name] = self._there[content]
                continue
            paths[name] = path = f"{RUN}/{next(self._copies)}-{name}"
            size = content.stat().st_size if isinstance(content, Path) else len(content)
            limits = self.host.limits
            deadline = Deadline(limits.command + size / 1024 / limits.rate)
            self._copy(content, path, deadline)
            if isinstance(content, Path):
                self._there[content] = path
        return paths

    def _copy(self, content: Path | str, path: str, deadline: Deadline) -> None:
        self.call(lambda: self._link.put(content, path, deadline), deadline)

    def read(self, path: str, deadline: Deadline) -> bytes:
        """Return the contents of a file of the host. Raise MachineError when it cannot be read."""
        return self.call(lambda: self._link.read(path, deadline), deadline)

    def bind(self, driver: str, deadline: Deadline) -> None:
        """Bind the device under test to `driver`. Raise MachineError when the driver refuses it."""
        self.run(bind_script(self.bdf, driver), deadline).check()

    def tables(self) -> TableSource | None:
        """Return None: nothing outside of a real machine reads its tables."""
        return None

    def device_memory(self) -> None:
        """Return None: nothing outside of a real machine sees its device's memory."""

    def send(self, channel: str, text: str) -> bool:
        """Send `text` to the reader of `channel`. Return False when there is none."""
        port = self._ports.get(channel)
        return port is not None and port.status is None and port.send(text)

    def answers(self, deadline: Deadline) -> bool:
        """Return whether the host runs a command.

        Raise LabError when it does not, and the console shows no failure: that may be the network.
        """
        try:
            self._link.shell("true", deadline, repeat=True)
        except LabError as error:
            if self.console.failure():
                return False
            cause = f"it does not answer ({error.cause}), and the console shows no reason"
            raise self.fault(Step.SSH, cause) from None
        return True

    def why_lost(self) -> str:
        """Return what is known of a lost connection: whether the machine has booted since."""
        before = self._link.boot
        with contextlib.suppress(LabError):
            self._link.connect(Deadline(self.host.limits.connect))
            if self._link.boot != before:
                return "the machine was rebooted while guests ran, and the console shows no reason"
        return super().why_lost()

    def _method(self) -> BootMethod | None:
        """Return the boot method of the host's file; None where the running kernel is to judge."""
        name = self.host.boot.method
        if name == "none":
            return None
        if name == "kexec-initramfs":
            return KexecInitramfs(self._link, lab_root())
        if name == "kexec-root":
            return KexecRoot(self._link, lab_root())
        known = "kexec-initramfs, kexec-root and none"
        raise self.fault(Step.BOOT, f"the boot method {name} is not there yet: {known} are")

    def _open_ports(self) -> None:
        """Make the channels of jobs, and read them."""
        deadline = Deadline(self.host.limits.command)
        self._link.shell(f"mkdir -p {RUN}\n{make_ports(self._streams)}", deadline).check()
        for name in self._streams:
            self._ports[name] = self._link.stream(
                ["sh", "-c", port_script(name)],
                partial(self._take, name),
                deadline,
                self._closed,
            )

    def _log_to(self, logs: Path) -> None:
        self.events.log_to(logs / "console.log")
        for name, log in self._logs.items():
            log.log_to(logs / f"{name}.log")

    def _take(self, name: str, line: str) -> None:
        self._logs[name].keep(f"{line}\n".encode())
        self.events.put(Event(name, line))

    def _closed(self, status: int | None) -> None:
        if self.usable:
            self.events.put(Event(LOST, None))

    def _tell_waiting(self, holder: str) -> None:
        self._note(f"{self.host.name} is in use by {holder}: waiting")
