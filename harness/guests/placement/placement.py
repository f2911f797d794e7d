# SPDX-License-Identifier: GPL-2.0-only
"""What a placement is: where a suite runs, what that needs of the machine, and its run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.base.deadline import Deadline
from harness.guests.run.suite_run import SuiteOutcome
from harness.guests.vmm.vmm import Chardev
from harness.hosts.l1.host import L1Host
from harness.hosts.machines.machine import Machine
from harness.hosts.pool import HostPool
from harness.hosts.qemu.binary import QemuBinary
from harness.hosts.qemu.command import BootFiles
from harness.results.phases import PhaseName
from harness.results.readings import AuditRecord
from harness.suites.suite import Suite


@dataclass(frozen=True)
class RunContext:
    """A suite that is to run, and who is told how it goes.

    `image` is the kernel, `archive` an initramfs with the suite, `logs` the cell's folder, `limit`
    that of the whole cell. `fresh`: hosts boot, also where they could be restored. A host that the
    next cell can use is left in `pool`.

    `begin` is told each phase (None: the last one is over), `note` what a user should know,
    `started` that a guest of this machine's QEMU runs: its command line, its process, and whether
    it was restored. Audits are added to `audits` as they are made.
    """

    machine: Machine
    qemu: QemuBinary
    suite: Suite
    image: Path
    archive: Path
    logs: Path
    pool: HostPool[L1Host]
    begin: Callable[[PhaseName | None], None]
    note: Callable[[str], None]
    started: Callable[[list[str], int, bool], None]
    fresh: bool = False
    limit: Deadline | None = None
    audits: list[AuditRecord] = field(default_factory=list)

    def deadline(self, seconds: float) -> Deadline:
        """Return a deadline within the limit of the cell."""
        return Deadline(seconds, within=self.limit)


class Placement(Protocol):
    """Where a suite runs on a machine.

    `name` is the machine's topology, as files and records have it. `el2`: the machine's CPU has
    EL2. `has_guest`: the machine's own QEMU runs a host under test, with the suite in a guest of
    it. `needs_userland`: L1 has a user land of its own. `needs_nested_kvm`: under KVM, this
    machine's KVM must give its guest EL2.
    """

    name: str
    el2: bool
    has_guest: bool
    needs_userland: bool
    needs_nested_kvm: bool

    def boot_files(
        self, folder: Path, image: Path, archive: Path, *, userland: bool = False
    ) -> BootFiles:
        """Return what the machine's QEMU is started with; `userland` asks for L1's in any case."""

    def guest_script(
        self, machine: Machine, chardev: Chardev, append: str, more: Sequence[str] = ()
    ) -> str | None:
        """Return shell for L1 that starts the guest with the files of /share.

        `more` are arguments of its VMM. None where the suite runs in L1 itself.
        """

    def run(self, context: RunContext) -> SuiteOutcome:
        """Run the suite in its guests.

        Raise MachineError, OSError for what this machine lacks.
        """
