# SPDX-License-Identifier: GPL-2.0-only
"""What a VMM is to the harness: a command for a guest, its channels, its words, its memory map."""

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
# L2's emulated serial port is slow, each character is an exit: its kernel log comes at the end,
# through a port of its own. Its init waits for the answers to audit requests.
APPEND = "quiet loglevel=4 s2eval.audit=1"
STREAM = "l2."  # how the names of a guest's channels begin on the host that runs its VMM
CONSOLE, WORDS, RESULTS, KMSG, MONITOR = (
    f"{STREAM}{name}" for name in ("console", "vmm", "results", "kmsg", "monitor")
)
STREAMS = (CONSOLE, WORDS, RESULTS, KMSG)  # of every guest; WORDS is what the VMM itself says


@dataclass(frozen=True)
class GuestSpec:
    """What a guest is started with, by names of the host that runs its VMM.

    `chardev(name)` says where a channel (`console`, `results`, …) goes, `more` are arguments of
    the VMM. `paused`: the guest waits until the VMM is told to let it begin.
    """

    machine: Machine
    kernel: str
    initrd: str
    append: str
    chardev: Chardev
    more: Sequence[str] = ()
    paused: bool = False


@dataclass(frozen=True)
class MemoryMap:
    """Where a VMM has what its guests see: physical addresses; None for what it has not."""

    ram: int
    gic: int | None  # the distributor


@dataclass(frozen=True)
class Monitor:
    """How a VMM that waits is spoken to: `hello` is answered when it is ready, `go` lets it run."""

    hello: str
    go: str
    ready: Callable[[str], bool]


class Vmm(Protocol):
    """A program that starts a guest; one that is found by `program` among the host's processes.

    `monitor` is None for a VMM that cannot wait before its guest's first instruction: a host with
    such a one is not saved. `source` names its rows of failures.toml.
    """

    name: str
    program: str
    source: Source
    memory_map: MemoryMap
    monitor: Monitor | None

    def command(self, guest: GuestSpec) -> list[str]:
        """Return the command that becomes the guest. Raise UsageError for what it cannot run."""

    def port(self, name: str) -> str:
        """Return the chardev of a channel that the harness reads."""

    def failure(self, words: Sequence[str], status: int | None, log: str) -> Failure | None:
        """Return what the VMM's words and its exit status tell; `status` is None while it runs."""

    def gave_up(self, line: str) -> bool:
        """Return whether the line says that the guest is over while the VMM stays."""


def guest_script(vmm: Vmm, guest: GuestSpec) -> str:
    """Return shell for the host: give the device to vfio-pci and become the guest's VMM."""
    bind = bind_script(guest.machine.device_bdf, "vfio-pci")
    return f"{bind}exec {shlex.join([*vmm.command(guest), *guest.more])}\n"
