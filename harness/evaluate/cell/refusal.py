# SPDX-License-Identifier: GPL-2.0-only
"""A VMM that the kernel under test refuses, told from one that dies for reasons of its own. Pure.

Nothing in a VMM's last words says whose fault they are. The kernel's they are where the same VMM
runs its guest on the base, and on this kernel ends twice in the same words, which are not about
this machine: its memory, its disk, a signal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from harness.guests.vmm.vmm import VMM_OUTPUT
from harness.results.failure_kinds import FailureKind
from harness.results.records import Cell, Comparison, Failure, Status, worst

# Addresses, sizes and process ids differ from boot to boot.
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+", re.IGNORECASE)
# strerror() of ENOMEM and ENOSPC, how QEMU, the C library and the shell tell of a crash, and what
# nested_run.py says of a guest that switched itself off.
_OF_VMM = re.compile(
    r"Cannot allocate memory|Could not allocate|No space left on device|Segmentation fault"
    r"|Assertion .* failed|ended with signal|terminating on signal|Killed|powered off before"
)


def refusal(base: Cell | None, cell: Cell) -> Failure | None:
    """Return the failure of `cell` as the kernel's, when it refused the VMM; None otherwise.

    `base` is the cell of the kernel that `cell` is compared with.
    """
    failure = cell.failure
    if base is None or failure is None or not of_vmm(failure) or not _ran(base):
        return None
    if not any(same_words(failure, earlier) for earlier in cell.retried):
        return None
    return as_refusal(failure)


def of_vmm(failure: Failure) -> bool:
    """Tell whether a VMM ended by itself, for no reason that its last words show to be its own."""
    # L1's own QEMU has another log, and no kernel under test below it.
    of_guest = failure.log.rpartition("/")[2] == f"{VMM_OUTPUT}.log"
    if failure.kind is not FailureKind.VMM_EXIT or not of_guest:
        return False
    if failure.summary.endswith("Aborted"):  # the shell's word alone: nobody knows why
        return False
    return not any(_OF_VMM.search(line) for line in (failure.summary, *failure.excerpt))


def same_words(one: Failure, other: Failure) -> bool:
    """Tell whether two VMMs ended in the same words, but for numbers."""
    return of_vmm(other) and _NUMBER.sub("N", one.summary) == _NUMBER.sub("N", other.summary)


def as_refusal(failure: Failure) -> Failure:
    """Return the end of a VMM as the kernel's refusal, with the VMM's words."""
    return failure.model_copy(update={"kind": FailureKind.VMM_REFUSED})


def blame_kernel(cell: Cell, failure: Failure) -> None:
    """Make `cell` the record of a kernel's `failure`: FAIL, wherever it had the one of before."""
    before = cell.failure.kind if cell.failure else None
    for item in cell.observations:
        if item.status is Status.MISS and item.detail.get("failure") == before:
            item.status, item.value = Status.FAIL, failure.kind.value
            item.detail |= {"failure": failure.kind, "reason": failure.summary}
    cell.failure = failure
    cell.status = worst([item.status for item in cell.outcomes()])


def judge_refusal(cell: Cell, cells: Sequence[Cell], compared: Iterable[Comparison]) -> None:
    """Blame the kernel of `cell` where it refused the VMM that ran on the kernel it is compared to.

    `cells` are those of the run, `compared` its comparisons: with none, its first kernel is the
    base of all others.
    """
    names = [one.base for one in compared if one.patched == cell.kernel.name]
    if not names and not list(compared):
        names = [one.kernel.name for one in cells[:1] if one.kernel.name != cell.kernel.name]
    place = (cell.machine.name, cell.suite.name)
    for one in cells:
        if one.kernel.name in names and (one.machine.name, one.suite.name) == place:
            failure = refusal(one, cell)
            if failure:
                blame_kernel(cell, failure)
                return


def _ran(cell: Cell) -> bool:
    """Tell whether the suite reported a test from its guest."""
    apart = f"{cell.suite.name}.guest"
    known = (Status.PASS, Status.FAIL, Status.DONE)
    return any(
        item.path.startswith(f"{cell.suite.name}.") and item.path != apart and item.status in known
        for item in cell.outcomes()
    )
