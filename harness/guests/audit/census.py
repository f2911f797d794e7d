# SPDX-License-Identifier: GPL-2.0-only
"""The record of a census: all leaves of stage 2, each told by the region that it is in. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.arm.tables.census import MappedRange, ranges
from harness.guests.audit.run_audit import RunAudit
from harness.guests.vmm.vmm import MemoryMap
from harness.hosts.machines.machine import Machine
from harness.hosts.qemu.memory import PAGE, RAM_BASE
from harness.hosts.tables import Census
from harness.results.readings import (
    ELSEWHERE,
    RAM,
    CensusLeaves,
    CensusRange,
    CensusRecord,
)
from harness.results.records import Status
from harness.suites.facts import Device

BAR, UNKNOWN = "BAR", "unknown"
TO_DEVICE, TO_MEMORY = "device", "memory"  # where a leaf leads
MOST_RANGES = 256  # in a record


@dataclass(frozen=True)
class Region:
    """The part of a guest's address space up to the IPA `end`, and what may be mapped there.

    `targets` are the host's addresses that a leaf may lead to; with `offset` only to the IPA plus
    that. `target` names such a leaf, "" where nobody knows the right place.
    """

    name: str
    end: int
    memslot: bool
    target: str = ""
    targets: range = range(0)
    offset: int | None = None

    def target_of(self, ipa: int, pa: int, size: int) -> str:
        """Return where `size` bytes that are mapped from `ipa` to `pa` lead."""
        if not self.target:
            return UNKNOWN
        inside = pa in self.targets and pa + size - 1 in self.targets
        right = self.offset is None or pa == ipa + self.offset
        return self.target if inside and right else ELSEWHERE


@dataclass(frozen=True)
class Regions:
    """A guest's address space: the VMM's map, `memory` bytes of RAM, and the device's BARs.

    `host_memory` are the host's addresses of its RAM, `host_bars` those of the device's BARs.
    `device` is what the guest says of the device: where it has placed the BAR under test.
    """

    memory_map: MemoryMap
    memory: int
    host_memory: range
    device: Device | None
    host_bars: Sequence[range]

    def at(self, ipa: int, pa: int) -> Region:
        """Return the region of an IPA that is mapped to `pa`.

        The guest places its BARs: of those that it does not tell, the address that they have on the
        host says which one a leaf is of.
        """
        device = self.device
        if device is not None and device.start <= ipa < device.start + device.size:
            return self._bar_under_test(device)
        ram_end = self.memory_map.ram + self.memory
        if self.memory_map.ram <= ipa < ram_end:
            return Region(RAM, ram_end, memslot=True, target=TO_MEMORY, targets=self.host_memory)
        areas = self.memory_map.areas
        area = next((a for a in areas if a.start <= ipa < a.start + a.size), None)
        if (area is None or area.bars) and (bar := self._other_bar(ipa, pa)):
            return bar
        if area is None:
            return Region(UNKNOWN, self._next_start(ipa), memslot=False)
        return Region(area.name, area.start + area.size, memslot=area.memslot)

    def _other_bar(self, ipa: int, pa: int) -> Region | None:
        for number, bar in enumerate(map(_whole_pages, self.host_bars)):
            if pa in bar and (self.device is None or number != self.device.bar):
                end = ipa + bar.stop - pa
                return Region(f"{BAR}{number}", end, memslot=True, target=TO_DEVICE, targets=bar)
        return None

    def _bar_under_test(self, device: Device) -> Region:
        name, end = f"{BAR}{device.bar}", device.start + device.size
        if device.bar >= len(self.host_bars):  # the host has not told
            return Region(name, end, memslot=True)
        bar = _whole_pages(self.host_bars[device.bar])
        offset = bar.start - device.start
        return Region(name, end, memslot=True, target=TO_DEVICE, targets=bar, offset=offset)

    def _next_start(self, ipa: int) -> int:
        """Return the first IPA above `ipa` at which another region begins."""
        starts = [self.memory_map.ram, *(area.start for area in self.memory_map.areas)]
        starts += [self.device.start] if self.device else []
        return min((start for start in starts if start > ipa), default=1 << 64)


def _whole_pages(bar: range) -> range:
    """Return the pages of a BAR: vfio-pci lets a VMM map the page of a smaller one."""
    return range(bar.start, -(-bar.stop // PAGE) * PAGE)


def run_census(audit: RunAudit, machine: Machine, memory_map: MemoryMap) -> CensusRecord | None:
    """Return all of stage 2 at the last audit of a nested run; None where nothing has given it."""
    if audit.census is None:
        return None
    at, census = audit.census
    memory = machine.l2.memory_mib << 20 if machine.l2 else 0
    host = range(RAM_BASE, RAM_BASE + (machine.memory_mib << 20))
    regions = Regions(memory_map, memory, host, audit.device, audit.host_bars)
    found = census_record(at, census, regions)
    return found.model_copy(update=_dump(audit.dumps))


def _dump(differences: Sequence[str]) -> dict[str, object]:
    """Return the record of what KVM's own dump has shown at each request; nothing without one.

    KVM may map a page between the two: a difference counts where the request before had one, too.
    """
    if not differences:
        return {}
    last = differences[-1]
    status = Status.PASS
    if last:
        status = Status.FAIL if differences[-2:-1] and differences[-2] else Status.MISS
    return {"dump": status, "dump_differs": last}


def census_record(at: str, census: Census, regions: Regions) -> CensusRecord:
    """Return the record of a census that was read with the audit of the mapping `at`."""
    found = ranges(census.tables)
    told = [part for one in found for part in _parts(one, regions)]
    listed = [_range(one, region) for one, region in told if region.name != RAM]
    return CensusRecord(
        at=at,
        leaves=sum(one.leaves for one in found),
        tables=len(census.tables.tables),
        stopped_ms=round(1e3 * census.stopped, 3),
        problem=census.tables.why_not_whole or "",
        kinds=_kinds(told),
        ranges=listed[:MOST_RANGES],
        more=max(len(listed) - MOST_RANGES, 0),
    )


def _parts(one: MappedRange, regions: Regions) -> Iterator[tuple[MappedRange, Region]]:
    """Yield a range cut where regions end, each part with its region.

    Leaves that follow each other may be of two regions. A leaf that begins in a memslot and ends
    behind it is not the memslot's.
    """
    while one.size:
        region = regions.at(one.ipa, one.pa)
        size = min(one.size, (region.end - one.ipa) // one.block * one.block)
        if not size:
            size, region = one.block, replace(region, memslot=False)
        yield replace(one, size=size), region
        one = replace(one, ipa=one.ipa + size, pa=one.pa + size, size=one.size - size)


def _kinds(told: Iterable[tuple[MappedRange, Region]]) -> list[CensusLeaves]:
    """Return the leaves that are alike, counted, in the order in which they were told."""
    counts: Counter[tuple[str, bool, str, MappedRange]] = Counter()
    for one, region in told:
        target = region.target_of(one.ipa, one.pa, one.size)
        alike = replace(one, ipa=0, pa=0, size=one.block)
        counts[region.name, region.memslot, target, alike] += one.leaves
    return [
        CensusLeaves(
            region=name,
            memslot=memslot,
            target=target,
            type=alike.type,
            rights=alike.rights,
            shareability=alike.shareability,
            block=alike.block,
            contiguous=alike.contiguous,
            af=alike.af,
            leaves=leaves,
        )
        for (name, memslot, target, alike), leaves in counts.items()
    ]


def _range(one: MappedRange, region: Region) -> CensusRange:
    return CensusRange(
        region=region.name,
        ipa=f"{one.ipa:#x}",
        pa=f"{one.pa:#x}",
        size=one.size,
        block=one.block,
        type=one.type,
        rights=one.rights,
        shareability=one.shareability,
        contiguous=one.contiguous,
        af=one.af,
    )
