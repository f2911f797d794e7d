# SPDX-License-Identifier: GPL-2.0-only
"""L1: a host under test that is itself a QEMU guest.

One L1 runs the guests of several cells one after the other, until one of them harms it. A new
guest costs a third of a new L1 with its guest.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.base.deadline import Deadline
from harness.base.scratch import scratch_folder
from harness.hosts.coverage import record
from harness.hosts.event_host import CONSOLE
from harness.hosts.l1 import agent
from harness.hosts.l1.link import L1Link
from harness.hosts.l1.saved import OpenState, SavedState
from harness.hosts.l1.snapshot import WAITING, L1Snapshot, memory_file, restore
from harness.hosts.l1.userland import l1_root
from harness.hosts.machines.bind import bind_script
from harness.hosts.machines.machine import Machine
from harness.hosts.qemu.binary import QemuBinary
from harness.hosts.qemu.command import BAR_SIZE, BootFiles, command_line
from harness.hosts.qemu.memory import find_memfd
from harness.hosts.qemu.process import QemuProcess
from harness.results.places import Place

if TYPE_CHECKING:
    from harness.hosts.coverage.plugin import Coverage
    from harness.hosts.qemu.stub_tables import QemuTables

SHARE = "/share"  # where L1 has the folder that put() fills


class L1Host(L1Link):
    """An L1 from its boot on. A context manager: at its end QEMU and all files are gone.

    `streams` are the channels for the lines of jobs on L1. With `state` L1 is restored from that
    state when it exists, else saved there while the VMM of L1's first guest waits. `usable` is
    True from the end of boot() until something has harmed L1; `command` is QEMU's command line.
    With `coverage` the instructions that L1 and its guests execute are recorded.
    """

    def __init__(
        self,
        machine: Machine,
        qemu: QemuBinary,
        image: Path,
        streams: Sequence[str],
        state: SavedState | None = None,
        coverage: Coverage | None = None,
    ) -> None:
        super().__init__(streams, machine.patience, machine.boot_patience)
        self.machine = machine
        self.image = image
        self.state = state
        self.coverage = coverage
        self.usable = False
        self.command: list[str] = []
        self.snapshot: L1Snapshot | None = None
        self._qemu = qemu
        self._copies: dict[str, int] = {}  # by name: how many files of it are in the shared folder
        self._put: dict[Path, str] = {}
        self._stack = contextlib.ExitStack()
        self._opened: OpenState | None = None
        if state and (opened := state.open()):
            self._opened = self._stack.enter_context(opened)

    def __enter__(self) -> L1Host:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def bdf(self) -> str:
        """Return the PCI address of the device under test in L1."""
        return self.machine.device_bdf

    @property
    def restored(self) -> bool:
        """Return whether L1 does not boot but goes on from the saved state of an earlier L1."""
        return self._opened is not None

    @property
    def pid(self) -> int:
        """Return the process id of L1's QEMU."""
        return self._process.pid

    @property
    def _ram_size(self) -> int:
        return self.machine.memory_mib << 20

    @property
    def trace(self) -> Path:
        """Return the file with QEMU's trace of the device's accesses; it is removed with L1."""
        return self._files.trace

    def launch(self, logs: Path) -> None:
        """Start L1's QEMU, which logs into the folder `logs`; boot() waits for L1.

        Raise MachineError when QEMU cannot be started, OSError when its files cannot be written.
        """
        folder = self._stack.enter_context(scratch_folder())
        channels = [CONSOLE, *self._streams, agent.CHANNEL]
        process = self._stack.enter_context(
            QemuProcess(folder, logs, channels, {agent.CHANNEL: agent.LINE_LIMIT})
        )
        self.attach(process)
        with contextlib.ExitStack() as stack:
            memory = stack.enter_context(memory_file()) if self.state else None
            ram = "" if memory is None else f"/dev/fd/{memory}"
            root = l1_root()
            self._files = BootFiles(folder, self.image, root, ram, root)
            self._files.make_bar()
            self._files.share.mkdir()
            self.command = command_line(
                self.machine,
                self._qemu,
                self._files,
                process.chardev,
                gdb_socket=process.gdb_socket,
                monitor=self.state is not None,
                more=self._coverage_options(),
            )
            if self.state:
                self.snapshot = L1Snapshot(
                    self, process, self.state, self._ram_size, restored=self.restored
                )
            if self._opened and memory is not None:
                self._opened.copy_logs(logs)
                self._opened.copy_coverage(self._files.coverage)
                self.command += WAITING
                process.start(self.command, [memory, self._opened.device])
                self._opened.fill(memory)  # while QEMU starts
            else:
                process.record(on=self.state is not None)
                process.start(self.command, [] if memory is None else [memory])

    def _coverage_options(self) -> list[str]:
        if self.coverage is None:
            return []
        return self.coverage.options(self._files.coverage, self._ram_size)

    def boot(self, deadline: Deadline) -> None:
        """Wait until L1's init has come up, or L1 is restored.

        Raise HostLost when init does not come up, MachineError when L1 cannot be restored.
        """
        if self._opened:
            self._process.requeue(self._opened.events())
            restore(self._process, self._opened, deadline)
        self.wait_ready(deadline)
        self.usable = True

    def keep_coverage(self, folder: Path) -> None:
        """Put the record of what L1 and its guests have executed so far into a cell's `folder`.

        Raise OSError without room.
        """
        if self.coverage:
            record.keep(self._files.coverage, folder)

    def begin_cell(self, logs: Path) -> None:
        """Log into the next cell's folder `logs` from now on, with an empty console log."""
        self._process.log_to(logs)
        self.new_log()

    def close(self) -> None:
        """End QEMU and remove L1's files."""
        self.usable = False
        self._stack.close()

    def put(self, files: Mapping[str, Path | str]) -> dict[str, str]:
        """Copy files and texts into the shared folder; return the path of each in L1.

        Each gets a name that L1 has not read before. A file that was put before is not copied
        again.
        """
        paths = {}
        for name, content in files.items():
            if isinstance(content, Path) and content in self._put:
                paths[name] = self._put[content]
                continue
            number = self._copies[name] = self._copies.get(name, 0) + 1
            unused = name if number == 1 else f"{name}-{number}"
            target = self._files.share / unused
            paths[name] = f"{SHARE}/{unused}"
            if isinstance(content, Path):
                shutil.copyfile(content, target)
                self._put[content] = paths[name]
            else:
                target.write_text(content)
        return paths

    def bind(self, driver: str, deadline: Deadline) -> None:
        """Bind the device under test to `driver`. Raise MachineError when the driver refuses it."""
        self.run(bind_script(self.bdf, driver), deadline).check()

    def tables(self) -> QemuTables:
        """Return the tables of L1's guests, read through QEMU's gdb stub and L1's memory."""
        from harness.hosts.qemu.stub_tables import QemuTables  # noqa: PLC0415 - not before L1

        return QemuTables(self._process.gdb_socket, self._process.pid, self._ram_size)

    def look(self) -> Place | None:
        """Return where the CPUs of L1 and its guests are, read through QEMU's gdb stub."""
        from harness.hosts.qemu.stub_samples import QemuCpus  # noqa: PLC0415 - few guests hang

        return QemuCpus(self._process.gdb_socket, self.image).look()

    def device_memory(self) -> bytes | None:
        """Return the device's memory as the harness sees it; None for a device that hides it."""
        if self.machine.device.screen:
            return self._process.screen()
        if not self.machine.device.host_file:
            return None
        if not self.state:
            return self._files.bar.read_bytes()
        memory = find_memfd(self._process.pid, BAR_SIZE)
        return memory.read_bytes() if memory else None
