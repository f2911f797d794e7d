# SPDX-License-Identifier: GPL-2.0-only
"""The host under test: whatever runs KVM and owns the device, reached by a few verbs."""

from __future__ import annotations

import base64
import contextlib
import itertools
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.deadline import Deadline
from harness.errors import MachineError
from harness.guest import classify
from harness.guest.channel import Event
from harness.guest.log import GuestLog
from harness.guest.qemu import QemuProcess
from harness.results.records import Failure

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


class HostUnderTest(Protocol):
    """What a test needs of the machine that runs KVM, an L1 guest or one in a lab."""

    def run(self, command: str, deadline: Deadline) -> Completed: ...
    def get(self, path: str, deadline: Deadline) -> bytes: ...
    def bind(self, bdf: str, driver: str, deadline: Deadline) -> None: ...


def vmm_exit(qemu: QemuProcess) -> Failure:
    """QEMU ended although its guest had more to say: its exit code and its own last words."""
    words = qemu.words()
    found = classify.vmm(words, qemu.returncode, log="qemu.log")
    summary = words[-1] if words else "QEMU ended before the guest was done"
    return found or Failure(kind="vmm-exit", summary=summary, where="VMM", log="qemu.log")


class L1Host:
    """A host under test that is itself a QEMU guest, controlled through a virtio port."""

    def __init__(self, qemu: QemuProcess, silence: float) -> None:
        self.qemu = qemu
        self.silence = silence
        self.console = GuestLog("L1", "console.log")
        self.kvm_error = False  # KVM said why it could not go on with L2
        self._ids = itertools.count(1)

    def see(self, event: Event) -> None:
        """Look at an event of L1 itself; GuestDied when it is the end of L1."""
        if event.source == "qemu":
            raise GuestDied(self.console.failure() or vmm_exit(self.qemu))
        if event.source != "console" or event.line is None:
            return
        found = self.console.feed(event.line)
        if found and found.kind == "kvm-error":
            self.kvm_error = True
        elif found and found.effect == "ends":
            self._last_words()

    def _last_words(self) -> None:
        """Let the trace be printed, then give up on L1."""

        def see(event: Event) -> bool | None:
            if event.source == "console" and event.line is not None:
                self.console.feed(event.line)
            return True if event.source == "qemu" else None

        self.qemu.wait(see, Deadline(LAST_WORDS))
        raise GuestDied(self.console.failure() or vmm_exit(self.qemu))

    def boot(self, deadline: Deadline) -> None:
        """Wait until L1's init answers. GuestDied: panic, silence, QEMU's exit, too slow."""

        def see(event: Event) -> bool | None:
            self.see(event)
            return True if event.source == "agent" and event.line == "ready" else None

        if self.qemu.wait(see, deadline, self.silence) is None:
            raise GuestDied(
                self.console.failure() or self.console.quiet(deadline, self.silence, "L1's boot")
            )

    def run(self, command: str, deadline: Deadline) -> Completed:
        """Run a shell command in L1. GuestDied when L1 dies of it or does not answer."""
        ident = str(next(self._ids))
        code = base64.b64encode(command.encode()).decode()
        if not self.qemu.send("agent", f"{ident} {code}\n"):
            raise MachineError("L1's agent port is closed")

        def see(event: Event) -> Completed | None:
            self.see(event)
            if event.source != "agent" or not event.line or not event.line.startswith(f"{ident} "):
                return None
            _, status, out, err = event.line.split(" ")
            return Completed(command, int(status), _decode(out), _decode(err))

        done = self.qemu.wait(see, deadline)
        if done is None:
            raise GuestDied(self.console.quiet(deadline, self.silence, f"'{command}' in L1"))
        return done

    def get(self, path: str, deadline: Deadline) -> bytes:
        """The bytes of a file in L1."""
        done = self.run(f"base64 -w0 {shlex.quote(path)}", deadline).check()
        return base64.b64decode(done.out)

    def bind(self, bdf: str, driver: str, deadline: Deadline) -> None:
        """Give the PCI device `bdf` to `driver`."""
        self.run(bind_script(bdf, driver), deadline).check()


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
    return base64.b64decode(field[1:]).decode("utf-8", errors="replace")


@contextlib.contextmanager
def l1_process(logs: Path) -> Iterator[QemuProcess]:
    """A QemuProcess with the channels that nested.j2 connects to."""
    with QemuProcess(logs, L1_CHANNELS) as qemu:
        yield qemu
