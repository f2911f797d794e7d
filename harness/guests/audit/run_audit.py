# SPDX-License-Identifier: GPL-2.0-only
"""The audit of a run: what a suite's mappings really are, read while the guest waits."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.guests.audit import record as records
from harness.guests.audit.auditor import GIC, TABLE, TEXT, Auditor, Reading, Target
from harness.guests.audit.record import Expectation, audit_record
from harness.hosts.qemu.memory import SharedMemory, find_memfd
from harness.hosts.qemu.process import QemuProcess
from harness.results.readings import AuditDetail, AuditRecord
from harness.results.records import Status
from harness.suites.facts import Audit, Device, Fact

CONNECT = 5.0  # seconds for the stub to answer at all
SEARCH = 2.0  # seconds to find a vCPU in L2; the guest itself waits 5 s
# What the guest's own tables and its interrupt controller must be, whatever the suite maps.
ORDINARY = {TEXT: records.TEXT, TABLE: records.TABLE, GIC: records.GIC}
VFIO = "l1-vfio"  # the VMM's own mapping of the BAR, which no patch for guests should change
VFIO_SHIFT = 40  # of a BAR's number in an offset of vfio-pci's file: VFIO_PCI_OFFSET_SHIFT


class RunAudit:
    """Answers a suite's audit requests on one running L1. A context manager.

    `records` is a cell's `audits`; a fault of the reading itself is a record of status MISS, and
    the guest goes on.
    """

    def __init__(
        self,
        qemu: QemuProcess,
        memory_mib: int,
        promises: dict[str, str],
        limit: Deadline | None = None,
    ) -> None:
        """`limit` is that of the whole cell."""
        self.records: list[AuditRecord] = []
        self._qemu = qemu
        self._memory_mib = memory_mib
        self._promises = promises
        self._limit = limit
        self._host_bars: list[int] = []
        self._maps: list[str] = []
        self._device: Device | None = None
        self._stack = contextlib.ExitStack()
        self._auditor: Auditor | None = None

    def __enter__(self) -> RunAudit:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def host_resources(self, text: str) -> None:
        """L1's /sys/bus/pci/devices/BDF/resource: a line a BAR, its first word the start."""
        words = [line.split() for line in text.splitlines()]
        self._host_bars = [int(w[0], 16) for w in words if len(w) == 3]

    def vmm_maps(self, text: str) -> None:
        """The VMM's /proc/PID/maps."""
        self._maps = [line for line in text.splitlines() if "vfio-device" in line]

    def see(self, fact: Fact) -> bool:
        """Take a fact of the guest; True when it was a request, which is now answered."""
        if isinstance(fact, Device):
            self._device = fact
        if not isinstance(fact, Audit):
            return False
        targets = [Target(fact.mapping, fact.va), *([] if self.records else ORDINARY)]
        try:
            readings = self._connected().read(targets, Deadline(SEARCH, within=self._limit))
        except MachineError as error:
            self._stack.close()
            self._auditor = None
            self.records.append(_missed(fact, str(error)))
            return True
        first = not self.records
        self.records += [self._record(reading, fact) for reading in readings]
        if first and (va := self._vmm_va()):
            self.records.append(self._vfio(va, fact))
        return True

    def _vmm_va(self) -> int | None:
        """Where the VMM has mapped the BAR; None when it has not."""
        if not self._device or self._device.bar >= len(self._host_bars):
            return None
        number = self._device.bar
        # Until 6.9, vfio-pci puts the physical address in the place of the file's offset.
        offsets = (number << VFIO_SHIFT, self._host_bars[number])
        for line in self._maps:
            words = line.split()
            if len(words) > 2 and int(words[2], 16) in offsets:
                return int(words[0].partition("-")[0], 16)
        return None

    def _vfio(self, va: int, fact: Audit) -> AuditRecord:
        """The VMM's mapping: Device memory, whatever stage 2 gives the guest."""
        bar = self._host_bars[self._device.bar] if self._device else None
        target = Target(VFIO, va, host=True)
        try:
            reading = self._connected().read([target], Deadline(SEARCH, within=self._limit))[0]
        except MachineError as error:
            self._stack.close()
            self._auditor = None
            missed = _missed(replace(fact, mapping=VFIO, va=va), str(error))
            return missed.model_copy(update={"status": Status.SKIP})
        return audit_record(reading, Expectation(type="Device", pa=bar))

    def _connected(self) -> Auditor:
        if self._auditor is None:
            memfd = find_memfd(self._qemu.pid, self._memory_mib << 20)
            memory = self._stack.enter_context(SharedMemory(memfd)) if memfd else None
            auditor = Auditor(self._qemu.gdb_socket, Deadline(CONNECT, within=self._limit), memory)
            self._auditor = self._stack.enter_context(auditor)
        return self._auditor

    def _record(self, reading: Reading, fact: Audit) -> AuditRecord:
        return audit_record(reading, ORDINARY.get(reading.target) or self._expected(fact))

    def _expected(self, fact: Audit) -> Expectation:
        """What the driver asked for, at the place where L1 has the BAR."""
        pa = None
        if self._device and self._device.bar < len(self._host_bars):
            pa = self._host_bars[self._device.bar] + fact.ipa - self._device.start
        return replace(records.BAR, type=self._promises.get(fact.mapping), pa=pa)


def _missed(fact: Audit, reason: str) -> AuditRecord:
    """A record of the same shape for a reading that failed."""
    return AuditRecord(
        mapping=fact.mapping,
        va=f"{fact.va:#x}",
        ipa=f"{fact.ipa:#x}",
        pa=None,
        stage1=None,
        stage2=None,
        combined=None,
        expected=None,
        status=Status.MISS,
        detail=AuditDetail(reason=reason),
    )
