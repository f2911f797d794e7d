# SPDX-License-Identifier: GPL-2.0-only
"""The host under test: whatever runs KVM and owns the device, reached by a few verbs."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.text import clean
from harness.hosts.qemu.channel import Event
from harness.hosts.qemu.process import QemuProcess
from harness.results.failure_kinds import FailureKind
from harness.results.records import Failure
from harness.suites.failures import classify
from harness.suites.failures.guest_log import GuestLog

T = TypeVar("T")
MONITOR = "l2.monitor"  # of L2's VMM, in a machine that is saved or was
L1_CHANNELS = ["console", "agent", "l2.console", "l2.vmm", "l2.results", "l2.kmsg"]
LAST_WORDS = 2.0  # seconds that a dying guest gets to finish its trace


class GuestDied(Exception):  # noqa: N818 - it is a finding first
    """A guest ended early; `failure` says how and who is to blame."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.summary)
        self.failure = failure


@dataclass(frozen=True)
class Completed:
    """A command that has run on the host under test."""

    command: str
    status: int
    out: str
    err: str

    def check(self) -> Completed:
        """MachineError when the command failed."""
        if self.status:
            words = (self.err or self.out).strip().splitlines() or ["no message"]
            raise MachineError(f"'{self.command}' on the host under test: {words[-1]}")
        return self


def vmm_failure(words: list[str], status: int | None, log: str) -> Failure | None:
    """What a VMM's `words` and its exit status tell; its last word where nothing else is known."""
    found = classify.vmm(words, status, log=log)
    if found and words and found.summary.startswith("QEMU ended with"):
        found.summary += f": {clean(words[-1])}"
    return found


def vmm_exit(qemu: QemuProcess) -> Failure:
    """QEMU ended although its guest had more to say: why, by QEMU's own account."""
    words = qemu.words()
    found = vmm_failure(words, qemu.returncode, "qemu.log") or classify.qmp(qemu.monitored, "L1")
    early = "the guest powered off before it was done"
    return found or Failure(kind=FailureKind.VMM_EXIT, summary=early, where="L1", log="console.log")


class L1Host:
    """A host under test that is itself a QEMU guest, controlled through a virtio port."""

    def __init__(self, qemu: QemuProcess, silence: float) -> None:
        self.qemu = qemu
        self.silence = silence
        self.limit: Deadline | None = None  # of the cell, which waits are within
        self.console = GuestLog("L1", "console.log")
        self._aside: list[Event] = []
        self._ids = itertools.count(1)

    def see(self, event: Event) -> None:
        """Look at an event of L1 and leave L2's for later; GuestDied when it is the end of L1."""
        if event.source.startswith("l2."):
            self._aside.append(event)
        if event.source == "qemu":
            raise GuestDied(self.console.failure() or vmm_exit(self.qemu))
        if event.source != "console" or event.line is None:
            return
        found = self.console.feed(event.line)
        if found and found.effect == "ends" and not found.kind.of_guest:
            self._last_words()

    def _wait(
        self, see: Callable[[Event], T | None], deadline: Deadline, silence: float | None = None
    ) -> T | None:
        """QemuProcess.wait(), after which nothing that L2 said is lost."""
        try:
            return self.qemu.wait(see, deadline, silence)
        finally:
            self.qemu.put_back(self._aside)
            self._aside = []

    def _last_words(self) -> None:
        """Let the trace be printed, then give up on L1."""

        def see(event: Event) -> bool | None:
            if event.source.startswith("l2."):
                self._aside.append(event)
            elif event.source == "console" and event.line is not None:
                self.console.feed(event.line)
            return True if event.source == "qemu" else None

        self._wait(see, Deadline(LAST_WORDS))
        raise GuestDied(self.console.failure() or vmm_exit(self.qemu))

    def boot(self, deadline: Deadline) -> None:
        """Wait until L1's init answers. GuestDied: panic, silence, QEMU's exit, too slow."""

        def see(event: Event) -> bool | None:
            self.see(event)
            return True if event.source == "agent" and event.line == "ready" else None

        if self._wait(see, deadline, self.silence) is None:
            raise GuestDied(
                self.console.failure() or self.console.quiet(deadline, self.silence, "L1's boot")
            )

    def run(self, command: str, deadline: Deadline) -> Completed:
        """Run a shell command in L1. GuestDied when L1 dies of it or does not answer."""
        ident = str(next(self._ids))
        if not self.qemu.send("agent", f"{ident} {command.encode().hex()}\n"):
            self._last_words()

        def see(event: Event) -> Completed | None:
            self.see(event)
            if event.source != "agent" or not event.line or not event.line.startswith(f"{ident} "):
                return None
            return _answer(command, event.line)

        done = self._wait(see, deadline)
        if done is None:
            raise GuestDied(self.console.quiet(deadline, self.silence, f"'{command}' in L1"))
        return done

    def read(self, path: str, deadline: Deadline) -> str:
        """A file of L1, empty when it cannot be read; GuestDied as in run()."""
        return self.run(f"<{path}", deadline).out

    def unmount(self, deadline: Deadline) -> bool:
        """Let go of the shared folder until the next command; False when it is in use."""
        return self.run("unmount", deadline).status == 0

    def wake(self, deadline: Deadline) -> None:
        """Set the timers going that QEMU does not save (guest-tests/init/l1.c)."""
        self.run("wake", deadline).check()

    def new_log(self) -> None:
        """Judge L1 by what it says from now on: an L2 of before is over."""
        self.console = GuestLog("L1", "console.log")

    def harm(self) -> Failure | None:
        """What L1's log tells of L1 itself; that KVM gave up a guest is none of it."""
        own = [line for line in self.console.lines if not _is_about_guest(line)]
        return classify.console(own, self.console.where, self.console.name)

    def answers(self, deadline: Deadline) -> bool:
        """Whether L1 itself is still there, when something in it says nothing any more."""
        with contextlib.suppress(GuestDied):
            return self.run("true", deadline).status == 0
        return False


def _is_about_guest(line: str) -> bool:
    found = classify.class_of(line)
    return found is not None and found.kind.of_guest


def _answer(command: str, line: str) -> Completed:
    """The agent's answer; MachineError when it is none, for L1 runs a kernel under test."""
    try:
        _, status, out, err = line.split(" ")
        return Completed(command, int(status), _decode(out), _decode(err))
    except ValueError:
        raise MachineError(f"L1's agent answered '{clean(line, 80)}'") from None


def bind_script(bdf: str, driver: str) -> str:
    """Shell that gives a PCI device to a driver (Documentation/ABI/testing/sysfs-bus-pci)."""
    device = f"/sys/bus/pci/devices/{bdf}"
    return (
        f"[ -e {device} ] || {{ echo 'no PCI device {bdf}' >&2; exit 1; }}\n"
        f"[ ! -e {device}/driver ] || echo {bdf} > {device}/driver/unbind\n"
        f"echo {driver} > {device}/driver_override\n"
        f"echo {bdf} > /sys/bus/pci/drivers_probe\n"
        f"[ -e {device}/driver ] || {{ echo '{driver} did not take {bdf}' >&2; exit 1; }}\n"
    )


def _decode(field: str) -> str:
    return bytes.fromhex(field[1:]).decode("utf-8", errors="replace")
