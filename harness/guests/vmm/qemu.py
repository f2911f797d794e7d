# SPDX-License-Identifier: GPL-2.0-only
"""L1's own QEMU as the VMM of L2."""

from __future__ import annotations

from collections.abc import Sequence

from harness.base.errors import UsageError
from harness.guests.vmm.vmm import GuestSpec, MemoryArea, MemoryMap, Monitor
from harness.hosts.machines.machine import render
from harness.results.records import Failure
from harness.suites.failures import classify
from harness.suites.failures.classify import Source


class QemuVmm:
    """QEMU's virt machine; its options are the template that the machine's [l2] table names."""

    name = "qemu"
    program = "qemu-system-aarch64"
    source: Source = "qemu"
    # hw/arm/virt.c, base_memmap: VIRT_MEM and VIRT_GIC_DIST; VIRT_FLASH, VIRT_GIC_DIST to
    # VIRT_GIC_REDIST, VIRT_UART to VIRT_SECURE_MEM, VIRT_PCIE_MMIO to VIRT_PCIE_ECAM.
    memory_map = MemoryMap(
        ram=0x4000_0000,
        gic=0x0800_0000,
        areas=(
            MemoryArea("flash", 0, 0x0800_0000, memslot=True),
            MemoryArea("GIC", 0x0800_0000, 0x0100_0000),
            MemoryArea("devices", 0x0900_0000, 0x0700_0000),
            MemoryArea("PCI", 0x1000_0000, 0x3000_0000, bars=True),
        ),
    )
    monitor: Monitor | None = Monitor(
        hello='{"execute": "qmp_capabilities"}\n',
        go='{"execute": "cont"}\n',
        ready=lambda line: '"return"' in line,
    )

    def command(self, guest: GuestSpec) -> list[str]:
        """Return QEMU's command line for the guest.

        Raise UsageError for a machine without an [l2] table, or a template that cannot be filled.
        """
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
        """Return the chardev of L2's QEMU for a channel: a virtio port of L1."""
        kind = "pipe" if name in ("results", "monitor") else "file"
        return f"{kind},id={name},path=/run/ports/l2.{name}"

    def failure(self, lines: Sequence[str], status: int | None, log: str) -> Failure | None:
        """Return the failure that QEMU's output and exit status show, None without one."""
        return classify.vmm(lines, status, log=log, source=self.source, name="QEMU")

    def gave_up(self, line: str) -> bool:
        """Return whether `line` says that QEMU has paused the VM, which KVM could not run."""
        return classify.vmm([line], None, source=self.source) is not None
