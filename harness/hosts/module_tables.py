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
from enum import StrEnum
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
# What put() brought may be on a file system from which nothing is run, as /run often is.
FOLDER = "/tmp/s2eval-tables"  # noqa: S108 - made anew, for root alone
PROGRAM = f"{FOLDER}/read-tables"
LOCKDOWN = "/sys/kernel/security/lockdown"  # Documentation/admin-guide/LSM, security/lockdown
CALLS = 40  # of the program for one reading; each brings what the walks before had to leave open
ANSWER_SECONDS = 20.0  # for a command: one that takes longer means that the host hangs
NO_TABLES = 3  # the program's status where a host's tables cannot be read at all
OTHERS = "no vCPU runs the guest"  # begins the program's message when another try may see one


class View(StrEnum):
    """The stage 2 that is read. The values name it in a record.

    GUEST: that of the host's guest. With nested virtualization the host's guest is a hypervisor and
    has a guest too, for which there are two: OWN is the hypervisor's, in its own memory, which no
    CPU walks; SHADOW is what KVM on the host has made of it, which the CPU walks.
    """

    GUEST = MODULE
    OWN = f"{MODULE}, the guest hypervisor's own stage 2"
    SHADOW = f"{MODULE}, the host's shadow stage 2"


# By which registers a guest hypervisor runs its guest, in the program's output.
OWN_REGISTERS = {name: f"GUEST_{name}" for name in ("VTTBR_EL2", "VTCR_EL2", "HCR_EL2")}


@dataclass(frozen=True)
class Material:
    """What one call of the program has read: registers, and memory by address.

    `values` are the vCPU's registers by the Arm ARM's names. `memory` is by physical address,
    `guest_memory` by the IPA of the host's guest. `held` is how long the VMM was held still (s).
    """

    vcpu: int
    values: Mapping[str, int]
    memory: Mapping[int, int]
    guest_memory: Mapping[int, int]
    held: float

    @classmethod
    def parse(cls, text: str) -> Material:
        """Return the material in the program's output (guest-tests/stage2-tables/README.md).

        Raise MachineError when the output is not whole.
        """
        memory: dict[int, int] = {}
        guest_memory: dict[int, int] = {}
        values: dict[str, int] = {}
        vcpu, held = None, None
        try:
            for line in text.splitlines():
                kind, *rest = line.split()
                pairs = {name: int(value, 0) for name, _, value in (w.partition("=") for w in rest)}
                if kind in ("entry", "memory"):
                    memory[pairs["address"]] = pairs["value"]
                    if kind == "memory" and pairs["mmu"] == 0:
                        guest_memory[pairs["ipa"]] = pairs["value"]
                elif kind == "held":
                    held = pairs["ns"] / 1e9
                else:
                    vcpu = pairs.pop("number", vcpu)
                    values |= {_register(name): value for name, value in pairs.items()}
        except (KeyError, ValueError):
            raise MachineError(f"the tables as read on the host: {clean(text[:200])}") from None
        if vcpu is None or held is None:
            raise MachineError("the tables as read on the host are not whole")
        return cls(vcpu, values, memory, guest_memory, held)


class ModuleReader:
    """The TableReader of a host on which the module is loaded, and the program is PROGRAM."""

    def __init__(self, host: Host, view: View = View.GUEST) -> None:
        self._host = host
        self._command = f"{PROGRAM}{'' if view is View.GUEST else ' -n'}"
        self._view = view

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
            readings = [self._reading(target, material, begin, calls) for target in targets]
            if any(may_be_isolated(r.sight, r.walk) for r in readings) and not deadline.over:
                continue
            missing = [self._missing(reading.walk) for reading in readings]
            more = [word for word in dict.fromkeys(missing) if word and word not in arguments]
            if not more:
                break
            arguments += more
        return readings

    def _reading(self, target: Target, material: Material, begin: float, calls: int) -> Reading:
        values, memory = dict(material.values), material.memory
        if self._view is View.OWN:
            values |= {name: values[theirs] for name, theirs in OWN_REGISTERS.items()}
            memory = material.guest_memory
        regs = Regs.from_names(values)
        address = target.resolve(values, regs)
        result = (walk_stage2 if target.stage2_only else walk)(memory.get, regs, address)
        sight = Sight(material.vcpu, regs.cpsr, regs.hcr_el2)
        took = time.monotonic() - begin
        return Reading(target, address, result, sight, regs, material.held, took, calls, self._view)

    def _missing(self, result: Walk) -> str:
        """Return the argument that brings what a walk did not find; "" for none."""
        fault = result.fault
        if fault is None or fault.kind is not FaultKind.EXTERNAL:
            return ""
        if self._view is View.OWN:
            # A step of stage 1 below one of stage 2 that is not read has no address yet.
            unread = (step.address for step in result.steps if step.descriptor is None)
            return next((f"g:{address:#x}" for address in unread if address is not None), "")
        return f"i:{fault.address:#x}" if fault.stage == 2 else ""

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
    """The TableSource of a host whose kernel takes a module. A context manager.

    `module` is stage2-tables.ko for the kernel that runs there, `program` the host's read-tables.
    It is loaded before a guest runs, who would wait for that in its first audit, and unloaded at
    the end.
    """

    def __init__(self, host: Host, module: Path, program: Path, view: View = View.GUEST) -> None:
        self._host = host
        self._module = module
        self._program = program
        self._view = view

    def __enter__(self) -> ModuleTables:
        """Load the module, unless it is loaded already.

        Raise NoTablesError when the host does not take the module, HostLost when it is lost.
        """
        paths = self._host.put({"read-tables": self._program, self._module.name: self._module})
        program, module = (shlex.quote(path) for path in paths.values())
        folder = f"rm -rf {FOLDER} && mkdir -m 700 {FOLDER}"
        copy = f"{folder} && cp {program} {PROGRAM} && chmod +x {PROGRAM}"
        self._host.run(copy, Deadline(ANSWER_SECONDS)).check()
        done = self._host.run(f"[ -c {DEVICE} ] || insmod {module}", Deadline(ANSWER_SECONDS))
        if done.status:
            raise NoTablesError(refusal(done.err or done.out, self._lockdown()))
        return self

    def __exit__(self, *_: object) -> None:
        """Unload the module; on a host that is lost it has gone."""
        with contextlib.suppress(HostLost, MachineError):
            self._host.run(f"rmmod {NAME}; rm -rf {FOLDER}", Deadline(ANSWER_SECONDS))

    @contextlib.contextmanager
    def open(self, deadline: Deadline) -> Iterator[ModuleReader]:
        """Yield a reader."""
        yield ModuleReader(self._host, self._view)

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


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return clean(lines[-1]) if lines else "no message"
