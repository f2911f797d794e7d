# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import errno
import os

import pytest

from harness.base.errors import BuildError, DiskFullError, MachineError, UsageError
from harness.evaluate.cell.cell import harness_failure
from harness.results.failure_kinds import FailureKind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BuildError("mmu.c:1: error"), FailureKind.BUILD),
        (UsageError("no such name"), FailureKind.INPUT),
        (MachineError("no QEMU"), FailureKind.MACHINE),
        (DiskFullError("no space left in the cache"), FailureKind.DISK_FULL),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/share/x"), FailureKind.DISK_FULL),
        (OSError(errno.EACCES, os.strerror(errno.EACCES), "/share/x"), FailureKind.MACHINE),
        # A guest or a VMM may say so of itself: that is not this machine's disk.
        (MachineError("L2 said: No space left on device"), FailureKind.MACHINE),
    ],
)
def test_an_error_of_the_harness_as_a_failure(error: Exception, kind: FailureKind) -> None:
    assert isinstance(error, OSError | BuildError | UsageError | MachineError)
    assert harness_failure(error).kind is kind
