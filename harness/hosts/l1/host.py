# SPDX-License-Identifier: GPL-2.0-only
"""L1: a host under test that is itself a QEMU guest.

L1 stays for as long as nothing has hurt it: one after the other, the guests of several cells run
on it. A new guest costs a third of a new L1 with its guest.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.scratch import scratch_folder
from harness.hosts.l1 import agent
from harness.hosts.l1.link import CONSOLE, L1Link
from harness.hosts.l1.saved import OpenState, SavedState
from harness.hosts.l1.snapshot import WAITING, L1Snapshot, memory_file, restore
from harness.hosts.l1.userland import l1_root
from harness.hosts.machines.bind import bind_script
from harness.hosts.machines.machine import Machine
from harness.hosts.qemu.binary import QemuBinary
from harness.hosts.qemu.command import BAR_SIZE, BootFiles, command_line
from harness.hosts.qemu.memory import find_memfd
from harness.hosts.qemu.process import QemuProcess
from harness.hosts.qemu.stub_tables import QemuTables

SHARE = "/share"  # where L1 has the folder that put() fills


class L1Host(L1Link):
    """One L1 from its boot on. A context manager: at its end QEMU and all files are gone.

    `streams` are the channels for what runs on it. With `state` L1 is restored from it, or is
    saved as it while the VMM of its first guest waits. `usable` once L1 is there, until something
    has hurt it; `command` is how QEMU was started.
    """

    def __init__(
        self,
        machine: Machine,
        qemu: QemuBinary,
        image: Path,
        streams: Sequence[str],
        state: SavedState | None = None,
    ) -> None:
        super().__init__(streams, machine.limits.silence)
        self.machine = machine
        self.image = image
        self.state = state
        self.usable = False
        self.command: list[str] = []
        self.snapshot: L1Snapshot | None = None
        self._qemu = qemu
        self._names: dict[str, int] = {}  # of files in the shared folder, and how often
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
        """The device under test, as L1 names it."""
        return self.machine.device_bdf

    @property
    def restored(self) -> bool:
        """Whether L1 does not boot but goes on from where an earlier one was saved."""
        return self._opened is not None

    @property
    def pid(self) -> int:
        """The process of L1's QEMU."""
        return self._process.pid

    @property
    def _ram_size(self) -> int:
        return self.machine.memory_mib << 20

    @property
    def trace(self) -> Path:
        """QEMU's trace of the accesses to the device, for as long as L1 is there."""
        return self._files.trace

    def launch(self, logs: Path) -> None:
        """Start L1's QEMU, which logs into `logs`; boot() waits for L1.

        Raise MachineError when QEMU cannot be started, OSError without room for its files.
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
            )
            if self.state:
                self.snapshot = L1Snapshot(
                    self, process, self.state, self._ram_size, restored=self.restored
                )
            if self._opened and memory is not None:
                self._opened.copy_logs(logs)
                self.command += WAITING
                process.start(self.command, [memory, self._opened.device])
                self._opened.fill(memory)  # while QEMU starts
            else:
                process.record(on=self.state is not None)
                process.start(self.command, [] if memory is None else [memory])

    def boot(self, deadline: Deadline) -> None:
        """Wait for L1's init.

        Raise HostLost when it never comes, MachineError when L1 cannot be restored.
        """
        if self._opened:
            self._process.requeue(self._opened.events())
            restore(self._process, self._opened, deadline)
        self.wait_ready(deadline)
        self.usable = True

    def begin_cell(self, logs: Path) -> None:
        """Let the next cell begin: with logs of its own, on a host that has done no harm yet."""
        self._process.log_to(logs)
        self.new_log()

    def close(self) -> None:
        """End QEMU and remove all that L1 was made of."""
        self.usable = False
        self._stack.close()

    def put(self, files: Mapping[str, Path | str]) -> dict[str, str]:
        """Put files into the shared folder, under names that L1 has not read before.

        A file that was put before is there already.
        """
        places = {}
        for name, content in files.items():
            if isinstance(content, Path) and content in self._put:
                places[name] = self._put[content]
                continue
            number = self._names[name] = self._names.get(name, 0) + 1
            own = name if number == 1 else f"{name}-{number}"
            target = self._files.share / own
            places[name] = f"{SHARE}/{own}"
            if isinstance(content, Path):
                shutil.copyfile(content, target)
                self._put[content] = places[name]
            else:
                target.write_text(content)
        return places

    def bind(self, driver: str, deadline: Deadline) -> None:
        """Give the device under test to `driver`. Raise MachineError when it is not taken."""
        self.run(bind_script(self.bdf, driver), deadline).check()

    def tables(self) -> QemuTables:
        """Return the gdb stub of L1's QEMU, with L1's memory."""
        return QemuTables(self._process.gdb_socket, self._process.pid, self._ram_size)

    def device_memory(self) -> bytes | None:
        """Return the device's memory as this machine sees it; None where it cannot."""
        if self.machine.device.screen:
            return self._process.screen()
        if not self.machine.device.host_file:
            return None
        if not self.state:
            return self._files.bar.read_bytes()
        memory = find_memfd(self._process.pid, BAR_SIZE)
        return memory.read_bytes() if memory else None
