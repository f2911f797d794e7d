# SPDX-License-Identifier: GPL-2.0-only
"""The audit of a run: a suite's mappings are read from the page tables while the guest waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.arm.tables.census import ranges
from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.guests.audit import record
from harness.guests.audit.ptdump import difference
from harness.guests.audit.record import Expectation, audit_record, unread_record
from harness.guests.audit.tables import BUDGET, NO_TABLES, OpenTables
from harness.hosts.tables import Census, NoTablesError, Reading, TableSource, Target
from harness.results.readings import AuditRecord
from harness.results.records import Status
from harness.suites.facts import Audit, Device, Fact

SEARCH = 6.0  # of BUDGET, seconds to find a vCPU in L2, which others may keep waiting
VFIO = "l1-vfio"  # names the record of the VMM's own mapping of the BAR
VFIO_SHIFT = 40  # of a BAR's number in an offset of vfio-pci's file: VFIO_PCI_OFFSET_SHIFT
BARS, MAPPINGS = "the host's addresses of the BARs", "the VMM's mappings"


class RunAudit(OpenTables):
    """Answers a suite's audit requests on one running host. A context manager.

    `source` is the host's way to page tables; with None each request is SKIP. `ordinary` are
    targets that the first request reads as well, whatever the suite maps. `promises` has the type
    that the suite asked for by mapping, `records` is a cell's `audits`, `limit` the cell's limit. A
    failure of the reading itself is a record of status MISS, and the guest goes on.

    `census` is all of stage 2 at the last request that was read, behind that request's mapping;
    None where the source does not give it. `dumps` has, by request, how KVM's own dump of stage 2
    differs from that, "" where it does not.
    """

    def __init__(
        self,
        source: TableSource | None,
        ordinary: Mapping[Target, Expectation],
        promises: Mapping[str, str],
        records: list[AuditRecord] | None = None,
        limit: Deadline | None = None,
    ) -> None:
        super().__init__(source)
        self.records = [] if records is None else records
        self._ordinary = ordinary
        self._promises = promises
        self._limit = limit
        self.census: tuple[str, Census] | None = None
        self.dumps: list[str] = []
        self._host_bars: list[range] = []
        self._maps: list[str] = []
        self._lacking: dict[str, str] = {}  # what could not be read of the host, and why
        self._device: Device | None = None

    def host_resources(self, text: str) -> None:
        """Take the host's /sys/bus/pci/devices/BDF/resource, which has the BARs' addresses.

        A BAR is a line: start, end and flags (Documentation/PCI/sysfs-pci.rst).
        """
        rows = [line.split() for line in text.splitlines()]
        self._host_bars = [
            range(int(columns[0], 16), int(columns[1], 16) + 1)
            for columns in rows
            if len(columns) == 3
        ]
        self._lacking.pop(BARS, None)

    def vmm_maps(self, text: str) -> None:
        """Take the text of the VMM's /proc/PID/maps (proc_pid_maps(5))."""
        self._maps = [line for line in text.splitlines() if "vfio-device" in line]
        self._lacking.pop(MAPPINGS, None)

    def lacks(self, what: str, reason: str) -> None:
        """Note that `what` (BARS or MAPPINGS) could not be read: no verdict is based on it."""
        self._lacking[what] = f"{what} could not be read: {reason}"

    def see(self, fact: Fact) -> bool:
        """Take a fact of the guest; return whether it was an audit request, which is read now."""
        if isinstance(fact, Device):
            self._device = fact
        if not isinstance(fact, Audit):
            return False
        if self._source is None:
            self.records.append(_unread(fact, NO_TABLES, Status.SKIP))
            return True
        first, budget = not self.records, Deadline(BUDGET, within=self._limit)
        targets = [Target(fact.mapping, fact.va), *(self._ordinary if first else ())]
        try:
            readings = self.read(targets, budget.at_most(SEARCH), answer=budget)
        except MachineError as error:
            status = Status.SKIP if isinstance(error, NoTablesError) else Status.MISS
            self.records.append(_unread(fact, str(error), status))
            return True
        self.records += [self._record(reading, fact) for reading in readings]
        if whole := readings[-1].census:
            self.census = fact.mapping, whole
        if first:
            self.records += self._vfio(fact, budget)
        return True

    def dumped(self, text: str) -> None:
        """Take KVM's own dump of stage 2 (ptdump.py), made after the last request was read."""
        if self.census is None:
            return
        tables = self.census[1].tables
        if tables.params is None or tables.why_not_whole:
            return
        try:
            found = difference(text, ranges(tables), tables.params.layout.granule)
        except ValueError as error:
            found = str(error)
        self.dumps.append(found)

    @property
    def device(self) -> Device | None:
        """Return the guest's device, None before it has been reported."""
        return self._device

    @property
    def host_bars(self) -> list[range]:
        """Return the host's physical addresses of the device's BARs, none where not known."""
        return self._host_bars

    def _bar(self) -> int | None:
        """Return the host's physical address of the BAR under test; None where it is not known."""
        if self._device is None or BARS in self._lacking:
            return None
        if self._device.bar >= len(self._host_bars):
            self.lacks(BARS, f"there is no BAR {self._device.bar} among {len(self._host_bars)}")
            return None
        return self._host_bars[self._device.bar].start

    def _vfio(self, fact: Audit, budget: Deadline) -> list[AuditRecord]:
        """Return the record of the VMM's mapping, which must be Device memory in any case."""
        bar = self._bar()
        if self._device is None:
            return []
        if self._lacking:
            reason = "; ".join(self._lacking.values())
            return [_unread(replace(fact, mapping=VFIO, va=0), reason, Status.SKIP)]
        # Until Linux 6.9, the physical address stands in maps where the file's offset does later.
        offsets = (self._device.bar << VFIO_SHIFT, bar)
        rows = [line.split() for line in self._maps]  # start-end, rights, offset, ...
        starts = [
            columns[0].partition("-")[0]
            for columns in rows
            if len(columns) > 2 and int(columns[2], 16) in offsets
        ]
        if not starts:  # the VMM has not mapped the BAR
            return []
        va = int(starts[0], 16)
        try:
            (reading,) = self.read(
                [Target(VFIO, va, host=True)], budget.at_most(SEARCH), answer=budget
            )
        except MachineError as error:
            return [_unread(replace(fact, mapping=VFIO, va=va), str(error), Status.SKIP)]
        return [audit_record(reading, Expectation(type="Device", pa=bar))]

    def _record(self, reading: Reading, fact: Audit) -> AuditRecord:
        if reading.target in self._ordinary:
            return audit_record(reading, self._ordinary[reading.target])
        audited = audit_record(reading, self._expected(fact))
        if audited.status is Status.PASS and BARS in self._lacking:
            # The type is right; whether the mapping leads to the device was not checked.
            detail = audited.detail.model_copy(update={"reason": self._lacking[BARS]})
            return audited.model_copy(update={"status": Status.MISS, "detail": detail})
        return audited

    def _expected(self, fact: Audit) -> Expectation:
        """Return the type that the driver asked for, at the host's address of the BAR."""
        bar = self._bar()
        pa = None if bar is None or self._device is None else bar + fact.ipa - self._device.start
        return replace(record.BAR, type=self._promises.get(fact.mapping), pa=pa)


def _unread(fact: Audit, reason: str, status: Status) -> AuditRecord:
    return unread_record(fact.mapping, fact.va, fact.ipa, reason, status)
