# SPDX-License-Identifier: GPL-2.0-only
"""Page tables of a nested guest, read through QEMU's gdb stub while the machine stands still.

The VM is stopped at a moment when one of its vCPUs runs the nested guest (EL0 or EL1,
HCR_EL2.VM=1, TGE=0), because only then do its system registers hold that guest's tables. Both
stages are walked in the stopped machine's memory (harness/arm/tables/walk.py) and the VM goes on.
docs/audit.md tells what this can and cannot see; harness/guests/audit records the readings.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from harness.arm.bits import bit
from harness.arm.regs import Regs
from harness.arm.tables.census import StageTables, read_stage2
from harness.arm.tables.result import Walk
from harness.arm.tables.walk import walk, walk_stage2
from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.qemu.gdbstub import GdbStub, State
from harness.hosts.qemu.memory import Memory, SharedMemory, StubMemory, find_memfd
from harness.hosts.tables import Census, Reading, Sight, Target, may_be_isolated

STOPPED_SECONDS = 0.1  # how long a stop may last; targets left then are read in the next stop
PAUSE_SECONDS = 0.002  # between two looks for a vCPU that runs the guest
STUB_SECONDS = 2.0  # the stub's own time for an answer, beyond the search's deadline
LOOK = ("cpsr", "HCR_EL2")
REGISTERS = (
    "cpsr", "TTBR0_EL1", "TTBR1_EL1", "TCR_EL1", "TCR2_EL1", "MAIR_EL1", "SCTLR_EL1", "VBAR_EL1",
    "VTTBR_EL2", "VTCR_EL2", "HCR_EL2", "SCTLR_EL2", "ESR_EL1", "FAR_EL1", "ESR_EL2", "FAR_EL2",
    "HPFAR_EL2", "ID_AA64MMFR0_EL1", "ID_AA64MMFR1_EL1",
)  # fmt: skip
# QEMU leaves the suffix out of names that AArch32 has too (target/arm/helper.c).
QEMU_NAMES = {"SCTLR_EL1": "SCTLR", "VBAR_EL1": "VBAR"}
EL2_REGISTERS = ("VTTBR_EL2", "VTCR_EL2", "HCR_EL2")
# The EL2&0 regime of a VHE host: the EL1 registers, each with the EL2 register of the same layout.
HOST_REGISTERS = {
    "TTBR0_EL1": "TTBR0_EL2", "TTBR1_EL1": "TTBR1_EL2", "TCR_EL1": "TCR_EL2",
    "MAIR_EL1": "MAIR_EL2", "SCTLR_EL1": "SCTLR_EL2",
}  # fmt: skip
E2H = 34  # the bit of HCR_EL2


class StubTables:
    """The TableReader of a QEMU with a gdb stub. A context manager; between readings the VM runs.

    `address` is the gdb stub's socket, `memory` the file behind the machine's RAM (faster); with
    None memory is read through the stub. Every method raises MachineError like the stub; after any
    exception the VM runs and the connection is closed.
    """

    def __init__(
        self, address: str | Path, deadline: Deadline, memory: Memory | None = None
    ) -> None:
        self._stub = GdbStub(address, deadline)
        self._deadline = deadline
        self._memory = memory

    def __enter__(self) -> StubTables:
        self._stub.__enter__()
        with self._detach_on_error():
            self._stub.resume(self._deadline)
        return self

    def __exit__(self, *_: object) -> None:
        self._stub.close()

    @property
    def vcpus(self) -> int:
        """Return the number of the VM's vCPUs."""
        return self._stub.vcpus

    @property
    def has_el2(self) -> bool:
        """Return whether the CPU has EL2."""
        return "HCR_EL2" in self._stub.registers

    def read(
        self,
        targets: Sequence[Target],
        deadline: Deadline,
        *,
        answer: Deadline | None = None,
        vcpu: int | None = None,
        flat: bool = False,
    ) -> list[Reading]:
        """Return a reading of each target, made in one stop unless it exceeds STOPPED_SECONDS.

        A vCPU is looked for until `deadline`; the stub may answer until `answer`. `vcpu` restricts
        the search to one vCPU. `flat` also takes a vCPU whose EL1&0 regime translates without
        stage 2: at once where there is no EL2, else after half the time. Raise MachineError when
        no vCPU was seen in the right state before the deadline.
        """
        begin = time.monotonic()
        left = list(targets)
        readings: list[Reading] = []
        stops = 0
        answer = answer or Deadline(deadline.left() + STUB_SECONDS)
        with self._detach_on_error():
            while left:
                stops += 1
                self._stub.stop(answer)
                stopped = time.monotonic()
                sights = self._look(answer, vcpu)
                late = _half_over(deadline)
                sight = _choose(sights, flat=flat and (late or not self.has_el2))
                values = self._values(sight.vcpu, answer) if sight else {}
                walks = list(self._walks(sight, values, left, stopped, answer, take_all=late))
                tables = self._mapped_stage2(sight, values)
                self._stub.resume(answer)
                now = time.monotonic()
                census = Census(tables, sight, now - stopped) if sight and tables else None
                for target, address, result, seen, regs in walks:
                    left.remove(target)
                    times = (now - stopped, now - begin, stops)
                    readings.append(
                        Reading(target, address, result, seen, regs, *times, census=census)
                    )
                if left:
                    _pause(deadline, sights)
        return readings

    def read_all(self, deadline: Deadline, *, vcpu: int | None = None) -> Census:
        """Return all tables of stage 2, read in one stop; they are decoded when the VM runs again.

        Arguments and errors are those of read().
        """
        answer = Deadline(deadline.left() + STUB_SECONDS)
        with self._detach_on_error():
            while True:
                self._stub.stop(answer)
                stopped = time.monotonic()
                sights = self._look(answer, vcpu)
                sight = _choose(sights, flat=False)
                tables = self._stage2(sight, answer) if sight else None
                self._stub.resume(answer)
                if sight and tables:
                    return Census(tables, sight, time.monotonic() - stopped)
                _pause(deadline, sights)

    def _stage2(self, sight: Sight, deadline: Deadline) -> StageTables:
        regs = Regs.from_names(self._values(sight.vcpu, deadline))
        if self._memory:
            return read_stage2(self._memory.read, regs)
        with self._stub.physical(deadline):
            return read_stage2(StubMemory(self._stub, deadline).read, regs)

    def _mapped_stage2(self, sight: Sight | None, values: Mapping[str, int]) -> StageTables | None:
        """Return all tables of stage 2 where memory is mapped, so that they take next to no time.

        None without a guest, and where each page would have to come through the stub.
        """
        if sight is None or self._memory is None or not sight.in_guest:
            return None
        return read_stage2(self._memory.read, Regs.from_names(values))

    def _look(self, deadline: Deadline, vcpu: int | None) -> list[Sight]:
        sights = []
        for number in range(self.vcpus) if vcpu is None else [vcpu]:
            values = self._stub.read_registers(number, LOOK, deadline)
            sights.append(Sight(number, values["cpsr"], values.get("HCR_EL2", 0)))
        return sights

    def _values(self, vcpu: int, deadline: Deadline) -> dict[str, int]:
        """Return REGISTERS by the Arm ARM's names; those of EL2 are 0 on a CPU without EL2."""
        names = [*REGISTERS, *(n for n in HOST_REGISTERS.values() if n in self._stub.registers)]
        stub_names = {QEMU_NAMES.get(name, name): name for name in names}
        values = self._stub.read_registers(vcpu, [*stub_names, *QEMU_NAMES], deadline)
        named = {stub_names.get(name, name): value for name, value in values.items()}
        if not self.has_el2:
            named.update(dict.fromkeys(EL2_REGISTERS, 0))
        return named

    def _walks(
        self,
        sight: Sight | None,
        values: Mapping[str, int],
        targets: Sequence[Target],
        stopped: float,
        deadline: Deadline,
        *,
        take_all: bool,
    ) -> Iterator[tuple[Target, int, Walk, Sight, Regs]]:
        """Yield one walk at least, and as many as the stop has time for; none without a `sight`.

        `values` are the registers of its vCPU by the Arm ARM's names.

        Without `take_all`, a walk that may_be_isolated() doubts is left for another stop.
        """
        if sight is None:
            return
        regs = Regs.from_names(values)
        host = _host_regs(values) if any(target.host for target in targets) else regs
        memory = self._memory or StubMemory(self._stub, deadline)
        mode: AbstractContextManager[None] = nullcontext()
        if not self._memory:
            mode = self._stub.physical(deadline)
        with mode:
            for target in targets:
                address = target.resolve(values, regs)
                walk_target = walk_stage2 if target.stage2_only else walk
                target_regs = host if target.host else regs
                result = walk_target(memory.read_u64, target_regs, address)
                if take_all or not may_be_isolated(sight, result):
                    yield target, address, result, sight, target_regs
                if time.monotonic() - stopped > STOPPED_SECONDS:
                    return

    def _detach_on_error(self) -> _DetachOnError:
        return _DetachOnError(self._stub)


class QemuTables:
    """The TableSource of a QEMU that has a gdb stub, and RAM in a memfd of `size` bytes."""

    def __init__(self, gdb_socket: Path, pid: int, size: int) -> None:
        self._gdb_socket = gdb_socket
        self._pid = pid
        self._size = size

    @contextlib.contextmanager
    def open(self, deadline: Deadline) -> Iterator[StubTables]:
        """Connect to the stub, yield a reader. Raise MachineError when the stub does not answer."""
        with contextlib.ExitStack() as stack:
            memfd = find_memfd(self._pid, self._size)
            memory = stack.enter_context(SharedMemory(memfd)) if memfd else None
            yield stack.enter_context(StubTables(self._gdb_socket, deadline, memory))


class _DetachOnError:
    """Closes the stub, which leaves the VM running, when its block ends in an exception."""

    def __init__(self, stub: GdbStub) -> None:
        self._stub = stub

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        if error is not None or self._stub.state is not State.RUNNING:
            self._stub.close()


def _host_regs(values: Mapping[str, int]) -> Regs:
    """Return the EL2&0 regime as EL1&0, whose layout the registers have with HCR_EL2.E2H set.

    While a vCPU runs the guest of a VHE host, TTBR0_EL2 is the VMM's: its thread was the last one
    to run there. Raise MachineError on a host without VHE: no register holds the VMM's tables then.
    """
    if not bit(values["HCR_EL2"], E2H):
        raise MachineError("without VHE the VMM's tables are not there while its guest runs")
    moved = {name: values.get(el2, 0) for name, el2 in HOST_REGISTERS.items()}
    return Regs.from_names({**values, **moved, "HCR_EL2": 1 << E2H})


def _choose(sights: Sequence[Sight], *, flat: bool) -> Sight | None:
    """Return the vCPU to walk for, one that runs a guest, at EL1 if any; None without such a vCPU.

    `flat` also takes a vCPU whose EL1&0 regime translates without stage 2.
    """
    fitting = [s for s in sights if s.in_guest or (flat and s.own_regime)]
    return max(fitting, key=lambda s: (s.in_guest, s.el), default=None)


def _half_over(deadline: Deadline) -> bool:
    return deadline.left() < deadline.seconds / 2


def _pause(deadline: Deadline, sights: Sequence[Sight]) -> None:
    if deadline.over:
        states = ", ".join(f"vCPU {s.vcpu} at {s.describe()}" for s in sights)
        raise MachineError(
            f"no vCPU was seen running a nested guest (EL0 or EL1, HCR_EL2.VM=1, TGE=0) in"
            f" {deadline.seconds:.1f} s; last seen: {states} (a guest that sleeps is never seen)"
        )
    time.sleep(min(PAUSE_SECONDS, deadline.left()))
