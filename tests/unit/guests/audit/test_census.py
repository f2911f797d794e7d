# SPDX-License-Identifier: GPL-2.0-only
"""Leaves of tables that table_builder made, told by the regions of a guest's address space."""

from __future__ import annotations

import itertools

from harness.arm.tables.census import read_stage2
from harness.guests.audit.census import Regions, census_record
from harness.guests.vmm.qemu import QemuVmm
from harness.hosts.tables import Census, Sight
from harness.results.readings import CensusRecord
from harness.suites.facts import Device
from tests.unit.arm.table_builder import Stage
from tests.unit.arm.tables.test_census import reader
from tests.unit.arm.tables.walk_cases import Case, Wanted, build, stage2_leaf

BAR = 0x80_0000_0000
DEVICE = Device(bdf="0000:00:01.0", vendor="1af4", device="1110", bar=2, start=BAR, size=0x40_0000)
HOST_BARS = [range(0x1000_0000, 0x1000_0100), range(0), range(0x70_0000_0000, 0x70_0040_0000)]
MIB = 1 << 20
Leaf = tuple[int, int, int]  # IPA, PA, level


def roomy_tables() -> tuple[Case, Stage]:
    """Tables of 4K pages that have room for the BAR."""
    seeds = itertools.count()
    cases = (build(Wanted(seed, "2", "4k", "4k", False, False, False, True)) for seed in seeds)
    return next(
        (case, below)
        for case in cases
        if (below := case.tables2) and min(below.input_bits, case.out2) >= 40
        if below.start_level <= 1
    )


def census(*leaves: Leaf, device: Device | None = DEVICE) -> CensusRecord:
    """The census of a guest with these leaves, 48 MiB of memory and a host with 2 GiB."""
    case, below = roomy_tables()
    case.memory.words.clear()
    below.tables.clear()
    for ipa, pa, level in leaves:
        below.map(ipa, level, stage2_leaf(below, pa, level, b5_2=1, b7_6=3, b54_53=2))
    tables = read_stage2(reader(case.memory), case.regs)
    host = range(0x4000_0000, 0x4000_0000 + 2048 * MIB)
    regions = Regions(QemuVmm.memory_map, 48 * MIB, host, device, HOST_BARS)
    return census_record("ioremap", Census(tables, Sight(0, 0, 0), 0.0042), regions)


def told(*leaves: Leaf, device: Device | None = DEVICE) -> list[tuple[str, bool, str, int]]:
    found = census(*leaves, device=device).kinds
    return [(kind.region, kind.memslot, kind.target, kind.leaves) for kind in found]


def test_memory_and_the_bar_lead_where_they_should() -> None:
    right = [(0x4000_0000 + n * 4096, 0x5000_0000 - n * 4096, 3) for n in range(3)]
    bar = [(BAR + n * 4096, HOST_BARS[2].start + n * 4096, 3) for n in range(4)]
    assert told(*right, *bar) == [("RAM", True, "memory", 3), ("BAR2", True, "device", 4)]


def test_a_page_of_the_bar_beside_its_own_is_elsewhere() -> None:
    start = HOST_BARS[2].start
    assert told((BAR, start, 3), (BAR + 0x1000, start, 3), (BAR + 0x2000, 0x5000_0000, 3)) == [
        ("BAR2", True, "device", 1),
        ("BAR2", True, "elsewhere", 2),
    ]


def test_memory_that_leads_to_a_device_is_elsewhere() -> None:
    assert told((0x4000_0000, HOST_BARS[2].start, 3)) == [("RAM", True, "elsewhere", 1)]


def test_what_has_no_memslot() -> None:
    ipas = (0x0800_0000, 0x0900_0000, 0x60_0000_0000)
    assert told(*((ipa, 0x5000_0000, 3) for ipa in ipas)) == [
        ("GIC", False, "unknown", 1),
        ("devices", False, "unknown", 1),
        ("unknown", False, "unknown", 1),
    ]


def test_another_bar_is_known_by_its_place_on_the_host() -> None:
    other = (0x1000_4000, HOST_BARS[0].start, 3)
    assert told(other) == [("BAR0", True, "device", 1)]  # a BAR of 256 bytes has its page
    assert told((0x1000_4000, HOST_BARS[0].start + 0x1000, 3)) == [("PCI", False, "unknown", 1)]
    assert told((0x1000_4000, 0x5000_0000, 3)) == [("PCI", False, "unknown", 1)]
    assert told((BAR, HOST_BARS[2].start, 3), device=None) == [("BAR2", True, "device", 1)]


def test_the_gic_is_the_gic_wherever_it_leads() -> None:
    for bar in (HOST_BARS[0], HOST_BARS[2]):
        assert told((0x0800_4000, bar.start, 3)) == [("GIC", False, "unknown", 1)]


def test_leaves_behind_the_end_of_the_memory_are_not_the_memorys() -> None:
    """They follow each other in both address spaces, and are one range of the tables."""
    end = 0x4000_0000 + 48 * MIB
    pages = [(end - 0x2000 + n * 4096, 0x5000_0000 + n * 4096, 3) for n in range(5)]
    assert told(*pages) == [("RAM", True, "memory", 2), ("unknown", False, "unknown", 3)]


def test_a_block_that_is_larger_than_its_memslot_is_not_the_memslots() -> None:
    small = Device(**{**vars(DEVICE), "size": 0x10_0000})
    assert told((BAR, HOST_BARS[2].start, 2), device=small) == [("BAR2", False, "device", 1)]


def test_ranges_of_the_record_are_those_of_all_but_memory() -> None:
    start = HOST_BARS[2].start
    record = census(
        (0x4000_0000, 0x5000_0000, 3), (BAR, start, 3), (BAR + 0x1000, start + 0x1000, 3)
    )
    (one,) = record.ranges
    assert (one.region, one.ipa, one.pa, one.size) == ("BAR2", hex(BAR), hex(start), 0x2000)
    assert (record.leaves, record.stopped_ms, record.problem, record.more) == (3, 4.2, "", 0)
