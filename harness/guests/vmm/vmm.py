# SPDX-License-Identifier: GPL-2.0-only
"""The Vmm protocol: a command for a guest, its channels, failures in its output, a memory map."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.hosts.machines.bind import bind_script
from harness.hosts.machines.machine import Machine
from harness.results.records import Failure
from harness.suites.failures.classify import Source

Chardev = Callable[[str], str]
# L2's emulated serial port is slow, each character is an exit: the kernel log comes at the end,
# through a port of its own. With audit=1, L2's init waits for the answers to audit requests.
APPEND = "quiet loglevel=4 s2eval.audit=1"
STREAM = "l2."  # how the names of a guest's channels begin on the host that runs its VMM
CONSOLE, VMM_OUTPUT, RESULTS, KMSG, MONITOR = (
    f"{STREAM}{name}" for name in ("console", "vmm", "results", "kmsg", "monitor")
)
STREAMS = (CONSOLE, VMM_OUTPUT, RESULTS, KMSG)  # of every guest; VMM_OUTPUT is the VMM's own


@dataclass(frozen=True)
class GuestSpec:
    """The inputs of a guest's start; paths are those of the host that runs the VMM.

    `chardev(name)` returns the option for a channel (`console`, `results`, …), `more` are
    arguments of the VMM. `paused`: the guest waits until the VMM's monitor gets `go`.
    """

    machine: Machine
    kernel: str
    initrd: str
    append: str
    chardev: Chardev
    more: Sequence[str] = ()
    paused: bool = False


@dataclass(frozen=True)
class MemoryArea:
    """A part of a VMM's address space for guests, `size` bytes from `start` on.

    `memslot`: the VMM gives KVM memory there. An emulated device has none, all accesses trap.
    `bars`: a guest places BARs there.
    """

    name: str
    start: int
    size: int
    memslot: bool = False
    bars: bool = False


@dataclass(frozen=True)
class MemoryMap:
    """Guest-physical addresses of a VMM's RAM and GIC; None for a device that it does not have.

    `areas` are the others of its address space; BARs are nowhere in it, the guest places them.
    """

    ram: int
    gic: int | None  # the distributor
    areas: tuple[MemoryArea, ...] = ()


@dataclass(frozen=True)
class Monitor:
    """The lines of a waiting VMM's monitor: a VMM answers `hello` when it is ready, `go` starts it.

    `ready` returns whether a line is the answer to `hello`.
    """

    hello: str
    go: str
    ready: Callable[[str], bool]


class Vmm(Protocol):
    """A program that starts a guest; `program` is its name among the host's processes.

    `monitor` is None for a VMM that cannot wait before its guest's first instruction: a host with
    such a VMM is not saved. `source` names the VMM's rows of failures.toml.
    """

    name: str
    program: str
    source: Source
    memory_map: MemoryMap
    monitor: Monitor | None

    def command(self, guest: GuestSpec) -> list[str]:
        """Return the VMM's command line. Raise UsageError when the VMM cannot run the guest."""

    def port(self, name: str) -> str:
        """Return the option for a channel that the harness reads."""

    def failure(self, lines: Sequence[str], status: int | None, log: str) -> Failure | None:
        """Return the failure that the VMM's output and exit status show, None without one.

        `status` is None while the VMM runs, `log` the name of the file with its output.
        """

    def gave_up(self, line: str) -> bool:
        """Return whether the line says that the guest is over while the VMM stays."""


def guest_script(vmm: Vmm, guest: GuestSpec) -> str:
    """Return shell for the host that binds the device to vfio-pci and becomes the guest's VMM.

    Raise UsageError when the VMM cannot run the guest.
    """
    bind = bind_script(guest.machine.device_bdf, "vfio-pci")
    l2 = guest.machine.l2
    pinned = ["taskset", "-c", l2.cpus] if l2 and l2.cpus else []
    return f"{bind}exec {shlex.join([*pinned, *vmm.command(guest), *guest.more])}\n"
