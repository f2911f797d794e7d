# SPDX-License-Identifier: GPL-2.0-only
"""What a worker is asked for, as data: it can be pickled and run by another process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.evaluate.cell.batch import Batch
from harness.hosts.qemu.binary import QemuBinary
from harness.results.store import RunStore


@dataclass(frozen=True)
class Policy:
    """How often a cell is run, how many more boots it gets, seconds it may take (None: any).

    `fresh`: L1 boots in each, instead of being restored. `boot_only`: no guest runs on it then.
    """

    repeat: int = 1
    retries: int = 0
    limit: float | None = None
    fresh: bool = False
    boot_only: bool = False


@dataclass(frozen=True)
class Task:
    """A batch that is to be run. Its logs go into the folder of the run.

    `boots_before` is how often its cells were booted in this run by earlier tasks.
    """

    batch: Batch
    qemu: QemuBinary
    policy: Policy
    run_folder: Path
    boots_before: int = 0

    @property
    def cells(self) -> list[str]:
        """Return the names of the task's cells."""
        return [request.name for request in self.batch]

    def cell_folder(self, cell: str, boot: int) -> Path:
        """Make and return the folder for the logs of a cell's boot, which are counted from 1."""
        return RunStore(self.run_folder).cell_folder(cell, self.boots_before + boot)
