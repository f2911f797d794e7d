# SPDX-License-Identifier: GPL-2.0-only
"""L1's own QEMU as the VMM of L2."""

from __future__ import annotations

from collections.abc import Sequence

from harness.base.errors import UsageError
from harness.guests.vmm.vmm import GuestSpec, MemoryMap, Monitor
from harness.hosts.machines.machine import render
from harness.results.records import Failure
from harness.suites.failures import classify
from harness.suites.failures.classify import Source


class QemuVmm:
    """QEMU's virt machine; its options are the template that the machine's [l2] table names."""

    name = "qemu"
    program = "qemu-system-aarch64"
    source: Source = "qemu"
    # hw/arm/virt.c, base_memmap: VIRT_MEM and VIRT_GIC_DIST.
    memory_map = MemoryMap(ram=0x4000_0000, gic=0x0800_0000)
    monitor: Monitor | None = Monitor(
        hello='{"execute": "qmp_capabilities"}\n',
        go='{"execute": "cont"}\n',
        ready=lambda line: '"return"' in line,
    )

    def command(self, guest: GuestSpec) -> list[str]:
        """As Vmm.command(). Raise UsageError for a machine without an [l2] table."""
        machine = guest.machine
        if machine.l2 is None:
            raise UsageError(f"machine {machine.name} is nested but has no [l2] table")
        arguments = render(
            machine.l2.template,
            machine,
            chardev=guest.chardev,
            files={
                "device_bdf": machine.device_bdf,
                "kernel": guest.kernel,
                "initrd": guest.initrd,
                "monitor": "1" if guest.paused else "",
            },
            append=guest.append,
        )
        return [self.program, *arguments]

    def port(self, name: str) -> str:
        """Return L1's virtio port of the channel, as a chardev of L2's QEMU."""
        kind = "pipe" if name in ("results", "monitor") else "file"
        return f"{kind},id={name},path=/run/ports/l2.{name}"

    def failure(self, words: Sequence[str], status: int | None, log: str) -> Failure | None:
        """As Vmm.failure()."""
        return classify.vmm(words, status, log=log, source=self.source, name="QEMU")

    def gave_up(self, line: str) -> bool:
        """As Vmm.gave_up(): the VM is paused, and KVM's reason is on the host's console."""
        return classify.vmm([line], None, source=self.source) is not None
