# SPDX-License-Identifier: GPL-2.0-only
"""Page tables of a guest as its own host gives them, through a module in the host's kernel.

On silicon nothing outside can stop the machine and read its memory. The module stage2-tables
(guest-tests/stage2-tables) gives the descriptors of stage 2 to a program on the host, which holds
the VMM still meanwhile; the walk over them is made here, by harness/arm/tables, as for tables that
were read from outside.
"""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.arm.regs import Regs
from harness.arm.tables.params import FaultKind
from harness.arm.tables.result import Walk
from harness.arm.tables.walk import walk, walk_stage2
from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.text import clean
from harness.hosts.host import Host, HostLost
from harness.hosts.tables import (
    MODULE,
    NoTablesError,
    Reading,
    Sight,
    Target,
    may_be_isolated,
)

DEVICE = "/dev/stage2-tables"
NAME = "stage2_tables"  # the module's, for rmmod
LOCKDOWN = "/sys/kernel/security/lockdown"  # Documentation/admin-guide/LSM, security/lockdown
CALLS = 8  # of the program for one reading; each brings what the walks before had to leave open
ANSWER_SECONDS = 20.0  # for a command: one that takes longer means that the host hangs
NO_TABLES = 3  # the program's status where a host's tables cannot be read at all
OTHERS = "no vCPU runs the guest"  # begins the program's message when another try may see one


@dataclass(frozen=True)
class Material:
    """What one call of the program has read: registers, and memory by physical address.

    `values` are the vCPU's registers by the Arm ARM's names, `held` is how long the VMM was held
    still (s).
    """

    vcpu: int
    values: Mapping[str, int]
    memory: Mapping[int, int]
    held: float

    @classmethod
    def parse(cls, text: str) -> Material:
        """Return the material in the program's output (guest-tests/stage2-tables/README.md).

        Raise MachineError when the output is not whole.
        """
        memory: dict[int, int] = {}
        values: dict[str, int] = {}
        vcpu, held = None, None
        try:
            for line in text.splitlines():
                kind, *rest = line.split()
                pairs = {name: int(value, 0) for name, _, value in (w.partition("=") for w in rest)}
                if kind in ("entry", "memory"):
                    memory[pairs["address"]] = pairs["value"]
                elif kind == "held":
                    held = pairs["ns"] / 1e9
                else:
                    vcpu = pairs.pop("number", vcpu)
                    values |= {_register(name): value for name, value in pairs.items()}
        except (KeyError, ValueError):
            raise MachineError(f"the tables as read on the host: {clean(text[:200])}") from None
        if vcpu is None or held is None:
            raise MachineError("the tables as read on the host are not whole")
        return cls(vcpu, values, memory, held)


class ModuleReader:
    """The TableReader of a host on which the module is loaded; `program` is its path there."""

    def __init__(self, host: Host, program: str, *, nested: bool = False) -> None:
        self._host = host
        self._command = f"{shlex.quote(program)}{' -n' if nested else ''}"

    def read(
        self, targets: Sequence[Target], deadline: Deadline, *, answer: Deadline | None = None
    ) -> list[Reading]:
        """Return a reading of each target, all from one time that the VMM was held still.

        Raise MachineError when no vCPU ran the guest before `deadline`, NoTablesError on a host
        that keeps its tables from itself; HostLost when the host does not answer.
        """
        begin = time.monotonic()
        if any(target.host for target in targets):
            raise MachineError("the module reads no tables of the VMM itself")
        arguments = [_argument(target) for target in targets]
        for calls in range(1, CALLS + 1):
            material = self._material(arguments, deadline)
            readings = [_reading(target, material, begin, calls) for target in targets]
            if any(may_be_isolated(r.sight, r.walk) for r in readings) and not deadline.over:
                continue
            missing = [_missing(reading.walk) for reading in readings]
            more = [word for word in dict.fromkeys(missing) if word and word not in arguments]
            if not more:
                break
            arguments += more
        return readings

    def _material(self, arguments: Sequence[str], deadline: Deadline) -> Material:
        """Call the program, again while no vCPU runs the guest; return what it read."""
        command = " ".join([self._command, *(shlex.quote(word) for word in arguments)])
        while True:
            done = self._host.run(command, Deadline(ANSWER_SECONDS))
            if not done.status:
                return Material.parse(done.out)
            reason = _last_line(done.err or done.out).removeprefix("read-tables: ")
            if done.status == NO_TABLES:
                raise NoTablesError(reason)
            if not reason.startswith(OTHERS) or deadline.over:
                raise MachineError(f"the tables could not be read on the host: {reason}")


class ModuleTables:
    """The TableSource of a host whose kernel takes a module.

    `module` is stage2-tables.ko for the kernel that runs there, `program` the host's read-tables.
    With `nested` the tables are those of the guest that the host's guest runs: the shadow of stage
    2 which KVM on the host has built for it.
    """

    def __init__(self, host: Host, module: Path, program: Path, *, nested: bool = False) -> None:
        self._host = host
        self._module = module
        self._program = program
        self._nested = nested

    @contextlib.contextmanager
    def open(self, deadline: Deadline) -> Iterator[ModuleReader]:
        """Load the module, yield a reader, unload the module.

        Raise NoTablesError when the host does not take the module, HostLost when it is lost.
        """
        paths = self._host.put({self._module.name: self._module, "read-tables": self._program})
        program, module = paths["read-tables"], shlex.quote(paths[self._module.name])
        load = f"chmod +x {shlex.quote(program)}; [ -c {DEVICE} ] || insmod {module}"
        done = self._host.run(load, Deadline(ANSWER_SECONDS))
        if done.status:
            raise NoTablesError(refusal(done.err or done.out, self._lockdown()))
        try:
            yield ModuleReader(self._host, program, nested=self._nested)
        finally:
            with contextlib.suppress(HostLost, MachineError):
                self._host.run(f"rmmod {NAME}", Deadline(ANSWER_SECONDS))

    def _lockdown(self) -> str:
        return self._host.run(f"cat {LOCKDOWN} 2>/dev/null", Deadline(ANSWER_SECONDS)).out


def refusal(text: str, lockdown: str) -> str:
    """Return why a kernel did not take the module, in words.

    `text` is what insmod said, `lockdown` the kernel's file of that name (`none [integrity] …`).
    """
    reason = f"the host's kernel does not take the module that reads its tables: {_last_line(text)}"
    mode = lockdown.partition("[")[2].partition("]")[0]
    if mode not in ("", "none"):
        return f"{reason} (the kernel is locked down: {mode}; lockdown= on its command line)"
    return reason


def _register(name: str) -> str:
    return name if name == "cpsr" else name.upper()


def _argument(target: Target) -> str:
    """Return the target as the program takes it."""
    address = f"{target.address:#x}"
    if target.register:
        address = f"{target.register}+{address}"
    return f"{'i' if target.stage2_only else 'v'}:{address}"


def _reading(target: Target, material: Material, begin: float, calls: int) -> Reading:
    regs = Regs.from_names(material.values)
    address = target.resolve(material.values, regs)
    result = (walk_stage2 if target.stage2_only else walk)(material.memory.get, regs, address)
    sight = Sight(material.vcpu, regs.cpsr, regs.hcr_el2)
    took = time.monotonic() - begin
    return Reading(target, address, result, sight, regs, material.held, took, calls, MODULE)


def _missing(result: Walk) -> str:
    """Return the argument that brings a stage-2 table which a walk did not find; "" for none."""
    fault = result.fault
    if fault is None or fault.kind is not FaultKind.EXTERNAL or fault.stage != 2:
        return ""
    return f"i:{fault.address:#x}"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return clean(lines[-1]) if lines else "no message"
