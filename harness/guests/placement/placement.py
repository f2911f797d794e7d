# SPDX-License-Identifier: GPL-2.0-only
"""The Placement protocol: where a suite runs, what that needs of the machine, and its run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from harness.base.deadline import Deadline
from harness.guests.run.suite_run import SuiteOutcome, suite_limit
from harness.guests.vmm.vmm import Chardev
from harness.hosts.machines.machine import Machine
from harness.hosts.pool import HostPool
from harness.hosts.qemu.binary import QemuBinary
from harness.hosts.qemu.command import BootFiles
from harness.results.phases import PhaseName
from harness.results.readings import AuditRecord
from harness.results.records import HostRecord
from harness.suites.suite import Suite

if TYPE_CHECKING:
    from harness.hosts.coverage.plugin import Coverage


class Started(Protocol):
    """Called when a guest of QEMU on this computer runs."""

    def __call__(self, command: list[str], pid: int, *, restored: bool) -> None:
        """Take QEMU's command line and process id, and whether the guest was restored."""


@dataclass(frozen=True)
class RunContext:
    """A suite that is to run, with the callbacks that report its progress.

    `image` is the kernel, `archive` an initramfs with the suite, `logs` the cell's folder, `limit`
    the limit of the whole cell. `fresh`: hosts boot, also where they could be restored.
    `boot_only`: a host is only booted, no guest runs on it; a suite without a host runs as ever.
    A host that the next cell can use is left in `pool`. With `coverage` the instructions that are
    executed are recorded, and the record is kept in `logs`.

    `begin` is called with each phase (None: the last phase is over), `note` with a line for the
    user, `started` when QEMU runs, `on_host` when a lab host runs the kernel, with that kernel's
    command line. Audits are added to `audits` as they are made. `make_module` builds the sources of
    a module for the kernel under test and returns the folder with it.
    """

    machine: Machine
    qemu: QemuBinary
    suite: Suite
    image: Path
    archive: Path
    logs: Path
    pool: HostPool
    begin: Callable[[PhaseName | None], None]
    note: Callable[[str], None]
    started: Started
    on_host: Callable[[list[str], HostRecord], None] = lambda command, host: None
    fresh: bool = False
    boot_only: bool = False
    limit: Deadline | None = None
    coverage: Coverage | None = None
    audits: list[AuditRecord] = field(default_factory=list)
    make_module: Callable[[Path], Path] | None = None

    def deadline(self, seconds: float, key: str = "") -> Deadline:
        """Return a deadline within the limit of the cell; `key` is as for Deadline."""
        return Deadline(seconds, within=self.limit, key=key)

    def suite_deadline(self) -> Deadline:
        """Return the deadline of a guest that runs the suite."""
        limit, key = suite_limit(self.suite, self.machine)
        return self.deadline(limit, key)

    def coverage_options(self, files: BootFiles) -> list[str]:
        """Return QEMU's options that record what is executed; none where nobody wants that."""
        if self.coverage is None:
            return []
        return self.coverage.options(files.coverage, self.machine.memory_mib << 20)


class Placement(Protocol):
    """A way to run a suite on a machine: in L1, or in a guest of L1.

    `name` is the machine's topology, as files and records have it. `el2`: the machine's CPU has
    EL2. `has_guest`: the machine's own QEMU runs a host under test, with the suite in a guest of
    that host. `needs_userland`: L1 has a user land of its own. `needs_nested_kvm`: under KVM,
    this computer's KVM must give its guest EL2. `is_here`: the machine is a guest of this
    computer.
    """

    name: str
    el2: bool
    has_guest: bool
    needs_userland: bool
    needs_nested_kvm: bool
    is_here: bool

    def boot_files(
        self, folder: Path, image: Path, archive: Path, *, userland: bool = False
    ) -> BootFiles:
        """Return the files that the machine's QEMU boots; with `userland` always L1's root.

        Raise MachineError or BuildError when L1's root cannot be made.
        """

    def guest_script(
        self, machine: Machine, chardev: Chardev, append: str, more: Sequence[str] = ()
    ) -> str | None:
        """Return shell for L1 that starts the guest, or the suite, with the files of /share.

        `more` are arguments of the VMM. Return None where L1 is nothing but the suite's guest.
        Raise UsageError when the machine's files do not fit.
        """

    def run(self, context: RunContext) -> SuiteOutcome:
        """Run the suite in its guests; return what they reported and how each ended.

        Raise MachineError or OSError when this computer lacks something the run needs.
        """
