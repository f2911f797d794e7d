# SPDX-License-Identifier: GPL-2.0-only
"""Samples of a machine's CPUs through QEMU's gdb stub; between two of them the machine runs."""

from __future__ import annotations

import struct
import time
from dataclasses import replace
from pathlib import Path

from harness.arm.bits import bit, mask
from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.hang.samples import CpuSample, Frame, Round
from harness.hosts.hang.stacks import blocked_task, cpu_places, namer
from harness.hosts.qemu.gdbstub import GdbStub
from harness.hosts.qemu.memory import RAM_BASE
from harness.hosts.qemu.stub_tasks import Sleeper, Tasks
from harness.kernel.addresses.symbols import BANNER, Symbols
from harness.results.places import CpuState, Place, place_of

ROUNDS = 12  # samples of each CPU
PAUSE = 0.025  # seconds in which the machine runs between two samples: more than a tick
SECONDS = 5.0  # for all of them
DEPTH = 24  # frames of a stack
PAGE = 4096
VA_BITS = 48  # of the kernels here; a pointer authentication code stands above (Arm ARM D8.10)
SELECT = 55  # the bit of an address that says which of the two tables translates it
WORDS = b"Linux version "  # how linux_banner begins (init/version.c)
REGISTERS = ("cpsr", "pc", "x29", "x30", "HCR_EL2", "VBAR", "VBAR_EL1", "SCTLR", "SCTLR_EL1")


class QemuCpus:
    """The CPUs of a QEMU that runs the kernel `image`; `where` is the machine's name (L1).

    A nested guest is called L2. Its RAM begins where that of the machine does.
    """

    def __init__(self, gdb_socket: Path, image: Path, where: str = "L1") -> None:
        self._gdb_socket = gdb_socket
        self._image = image
        self._where = where

    def look(self) -> Place | None:
        """Return where the CPUs are, None when the gdb stub does not tell."""
        deadline = Deadline(SECONDS)
        try:
            with GdbStub(self._gdb_socket, deadline) as stub:
                sampler = Sampler(stub, deadline)
                rounds = [sampler.round()]
                symbols = self._symbols(stub, deadline)
                for _ in range(1, ROUNDS):
                    stub.resume(deadline)
                    time.sleep(PAUSE)
                    stub.stop(deadline)
                    rounds.append(sampler.round())
                names = namer(symbols, RAM_BASE, RAM_BASE)
                cpus = cpu_places(rounds, names, self._where, "L2")
                blocked = []
                if symbols and all(cpu.state is CpuState.IDLE for cpu in cpus):
                    tasks = Tasks(stub, symbols, self._image, RAM_BASE, deadline)
                    blocked = [
                        blocked_task(task.name, sampler.sleeping(task), names)
                        for task in tasks.blocked()
                    ]
        except MachineError:
            return None
        return place_of(cpus, blocked)

    def _symbols(self, stub: GdbStub, deadline: Deadline) -> Symbols | None:
        """Return the kernel's symbols; None when its memory does not hold that kernel."""
        symbols = Symbols.beside(self._image)
        banner = symbols.physical(BANNER, RAM_BASE) if symbols else None
        if banner is None:
            return None
        with stub.physical(deadline):
            said = stub.read_memory(banner, len(WORDS), deadline)
        return symbols if said == WORDS else None


class Sampler:
    """Reads all CPUs of a stopped machine. Methods raise MachineError like the stub."""

    def __init__(self, stub: GdbStub, deadline: Deadline) -> None:
        self._stub = stub
        self._deadline = deadline
        self._pages: dict[tuple[int, bool, int], int | None] = {}

    def round(self) -> Round:
        """Return a sample of each CPU."""
        return [self._sample(cpu) for cpu in range(self._stub.vcpus)]

    def _sample(self, cpu: int) -> CpuSample:
        stub, deadline = self._stub, self._deadline
        halted = stub.halted(cpu, deadline)
        values = stub.read_registers(cpu, REGISTERS, deadline)
        sample = CpuSample(
            cpu,
            values["cpsr"],
            values.get("HCR_EL2", 0),
            halted,
            vbar=values.get("VBAR", values.get("VBAR_EL1", 0)),
            sctlr=values.get("SCTLR", values.get("SCTLR_EL1", 0)),
        )
        if halted:
            return sample
        addresses = [values["pc"], *self._returns(values["x29"])]
        stub.monitor(f"cpu {cpu}", deadline)  # whose translation the monitor uses
        frames = tuple(self._frame(sample, address) for address in addresses)
        link = self._frame(sample, plain_address(values["x30"]))
        return replace(sample, frames=frames, link=link)

    def sleeping(self, task: Sleeper) -> CpuSample:
        """Return a task that sleeps as if the first CPU, which is idle, ran it at this moment."""
        idle = self._sample(0)
        addresses = [plain_address(task.pc), *self._returns(task.frame)]
        return replace(idle, frames=tuple(self._frame(idle, address) for address in addresses))

    def _returns(self, frame: int) -> list[int]:
        """Return the return addresses on the stack whose newest frame record is at `frame`.

        A record is the address of the one before and a return address (AAPCS64, "The Frame
        Pointer").
        """
        found: list[int] = []
        while frame and not frame % 8 and len(found) < DEPTH:
            record = self._stub.read_memory(frame, 16, self._deadline)
            if record is None:
                break
            frame, address = struct.unpack("<QQ", record)
            if not address:
                break
            found.append(plain_address(address))
        return found

    def _frame(self, sample: CpuSample, address: int) -> Frame:
        """Return the frame with its physical address, as the CPU that was read translates it."""
        if sample.in_guest:
            return Frame(address)
        regime = (sample.el, bit(sample.hcr, 34), address // PAGE)
        if regime not in self._pages:
            said = self._stub.monitor(f"gva2gpa {address & ~(PAGE - 1):#x}", self._deadline)
            _, colon, physical = said.partition("gpa: ")
            self._pages[regime] = int(physical.split()[0], 16) if colon else None
        page = self._pages[regime]
        return Frame(address, None if page is None else page + address % PAGE)


def plain_address(address: int) -> int:
    """Return the address without a pointer authentication code."""
    high = mask(64 - VA_BITS) << VA_BITS
    return address | high if bit(address, SELECT) else address & ~high
