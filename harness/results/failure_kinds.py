# SPDX-License-Identifier: GPL-2.0-only
"""The kinds of failures, and for each whose fault it is and whether another boot can help."""

from __future__ import annotations

from enum import StrEnum


class Blame(StrEnum):
    """Whose fault a failure is."""

    KERNEL = "kernel"  # under test, or its KVM
    SUITE = "suite"  # the test itself
    INPUT = "input"  # the kernel, patch or plan asked for is wrong, or does not build
    MACHINE = "machine"  # the harness or what it runs on; also where nobody can tell


class FailureKind(StrEnum):
    """How a cell or a guest ended early; the value is the string in run.json.

    Code asks a kind for its properties, and never compares its text.
    """

    ATOMIC_SLEEP = "atomic-sleep"
    BUG = "bug"
    CFI = "cfi"
    EXTERNAL_ABORT = "external-abort"
    HANG = "hang"  # a silence that is not the machine's: a control boot has shown that
    HARD_LOCKUP = "hard-lockup"
    HUNG_TASK = "hung-task"
    KASAN = "kasan"
    KCSAN = "kcsan"
    KFENCE = "kfence"
    KMEMLEAK = "kmemleak"
    KVM_ERROR = "kvm-error"
    LIST_CORRUPTION = "list-corruption"
    LOCKDEP = "lockdep"
    OOPS = "oops"
    PANIC = "panic"
    RCU_STALL = "rcu-stall"
    RCU_USAGE = "rcu-usage"
    REFCOUNT = "refcount"
    RESET = "reset"
    SERROR = "serror"
    SLAB_CORRUPTION = "slab-corruption"
    SOFT_LOCKUP = "soft-lockup"
    UBSAN = "ubsan"
    UNHANDLED_EXCEPTION = "unhandled-exception"
    WARN = "warn"
    WORKQUEUE_LOCKUP = "workqueue-lockup"
    DEADLINE = "deadline"
    NO_INIT = "no-init"
    OOM = "oom"
    SILENCE = "silence"
    VMM_EXIT = "vmm-exit"
    VMM_REFUSED = "vmm-refused"  # by the kernel, twice in the same words; the base runs that VMM
    FLOOD = "flood"  # a suite printed more than a guest may
    BUILD = "build"
    INPUT = "input"
    MACHINE = "machine"  # a tool, a device or an answer is missing
    DISK_FULL = "disk-full"
    MISS = "miss"  # a boot without a verdict, though nothing ended early

    @property
    def blame(self) -> Blame:
        """Return whose fault this is: Blame.KERNEL makes a cell FAIL, every other blame MISS."""
        return _BLAME.get(self, Blame.KERNEL)

    @property
    def lasting(self) -> bool:
        """Tell whether another boot cannot help, so that there is no retry."""
        return self in (FailureKind.BUILD, FailureKind.INPUT, FailureKind.DISK_FULL)

    @property
    def ours(self) -> bool:
        """Tell whether this machine lacks something: `--resume` runs the cell again."""
        return self in (FailureKind.MACHINE, FailureKind.DISK_FULL)

    @property
    def stops_run(self) -> bool:
        """Tell whether the next cells would end in the same way, so that the run stops."""
        return self is FailureKind.DISK_FULL

    @property
    def timeout(self) -> bool:
        """Tell whether nothing came in time: TIMEOUT in TAP."""
        return self in (FailureKind.SILENCE, FailureKind.DEADLINE)

    @property
    def lockup(self) -> bool:
        """Tell whether the kernel itself found that a CPU or a task does not go on."""
        return self in _LOCKUPS

    @property
    def symptom(self) -> bool:
        """Tell whether this shows that something stopped, not why: a cause found elsewhere wins."""
        return self.timeout or self in _STOPPED

    @property
    def remark(self) -> bool:
        """Tell whether the kernel goes on as if nothing were: no cause of what fails after it."""
        return self in _REMARKS

    @property
    def by_chance(self) -> bool:
        """Tell whether it comes of a busy machine as well, or is seen in a sample only.

        That such a kind is gone proves nothing.
        """
        return self in _BY_CHANCE

    @property
    def of_guest(self) -> bool:
        """Tell whether KVM gave up a guest: that guest ended, its host did not."""
        return self is FailureKind.KVM_ERROR


_LOCKUPS = (
    FailureKind.SOFT_LOCKUP,
    FailureKind.HARD_LOCKUP,
    FailureKind.RCU_STALL,
    FailureKind.HUNG_TASK,
    FailureKind.WORKQUEUE_LOCKUP,
)
_REMARKS = (
    FailureKind.CFI,
    FailureKind.KCSAN,
    FailureKind.KMEMLEAK,
    FailureKind.LOCKDEP,
    FailureKind.RCU_USAGE,
    FailureKind.UBSAN,
    FailureKind.WARN,
)
_STOPPED = (FailureKind.VMM_EXIT, FailureKind.RESET, *_REMARKS)
_BY_CHANCE = (FailureKind.KCSAN, FailureKind.KFENCE, *_LOCKUPS)
# Kinds that are not listed are the kernel's fault.
_BLAME = {
    FailureKind.DEADLINE: Blame.MACHINE,
    FailureKind.NO_INIT: Blame.MACHINE,
    FailureKind.OOM: Blame.MACHINE,
    FailureKind.SILENCE: Blame.MACHINE,
    FailureKind.VMM_EXIT: Blame.MACHINE,
    FailureKind.FLOOD: Blame.SUITE,
    FailureKind.BUILD: Blame.INPUT,
    FailureKind.INPUT: Blame.INPUT,
    FailureKind.MACHINE: Blame.MACHINE,
    FailureKind.DISK_FULL: Blame.MACHINE,
    FailureKind.MISS: Blame.MACHINE,
}
