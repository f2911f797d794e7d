# SPDX-License-Identifier: GPL-2.0-only
"""The kinds of failures, and what follows from each: whose fault it is, whether a retry helps."""

from __future__ import annotations

from enum import StrEnum


class Blame(StrEnum):
    """Whose fault a failure is."""

    KERNEL = "kernel"  # under test, or its KVM
    SUITE = "suite"  # the test itself
    INPUT = "input"  # what was asked for is wrong, or does not build
    MACHINE = "machine"  # the harness or what it runs on; also where nobody can tell


class FailureKind(StrEnum):
    """How a cell or a guest ended early; the value is what stands in run.json.

    Code asks a kind for what follows from it, and never compares it with text:

        blame      whose fault: Blame.KERNEL makes a cell FAIL, every other one MISS
        lasting    another boot cannot help: no retry
        ours       this machine lacks something: the cell runs again when its run is resumed
        stops_run  the next cells would end in the same way: the run stops
        timeout    nothing came in time: TIMEOUT in TAP
        symptom    tells that something stopped, not why: a cause found elsewhere comes first
        of_guest   KVM gave up a guest: the end of that guest, not of its host
    """

    BUG = "bug"
    EXTERNAL_ABORT = "external-abort"
    HARD_LOCKUP = "hard-lockup"
    HUNG_TASK = "hung-task"
    KVM_ERROR = "kvm-error"
    OOPS = "oops"
    PANIC = "panic"
    RCU_STALL = "rcu-stall"
    RESET = "reset"
    SERROR = "serror"
    SOFT_LOCKUP = "soft-lockup"
    WARN = "warn"
    DEADLINE = "deadline"
    NO_INIT = "no-init"
    OOM = "oom"
    SILENCE = "silence"
    VMM_EXIT = "vmm-exit"
    FLOOD = "flood"  # a suite that says more than anybody could want to know
    BUILD = "build"
    INPUT = "input"
    MACHINE = "machine"  # a tool, a device or an answer is missing
    DISK_FULL = "disk-full"
    MISS = "miss"  # a boot without a verdict, though nothing ended early

    @property
    def blame(self) -> Blame:
        return _BLAME.get(self, Blame.KERNEL)

    @property
    def lasting(self) -> bool:
        return self in (FailureKind.BUILD, FailureKind.INPUT, FailureKind.DISK_FULL)

    @property
    def ours(self) -> bool:
        return self in (FailureKind.MACHINE, FailureKind.DISK_FULL)

    @property
    def stops_run(self) -> bool:
        return self is FailureKind.DISK_FULL

    @property
    def timeout(self) -> bool:
        return self in (FailureKind.SILENCE, FailureKind.DEADLINE)

    @property
    def symptom(self) -> bool:
        return self.timeout or self in _STOPPED

    @property
    def of_guest(self) -> bool:
        return self is FailureKind.KVM_ERROR


_STOPPED = (FailureKind.VMM_EXIT, FailureKind.RESET, FailureKind.WARN)
# Of every kind that is not the kernel's fault.
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
