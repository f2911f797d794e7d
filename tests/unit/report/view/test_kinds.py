# SPDX-License-Identifier: GPL-2.0-only
"""The table of kinds of memory, from what the suite vma reported on real hosts."""

from __future__ import annotations

import pytest

from harness.report.view.kinds import FWB, NO_FWB, NOT_OFFERED, Answer, KindsTable, kinds_tables
from harness.results.failure_kinds import FailureKind
from harness.results.records import (
    Cell,
    Failure,
    KernelRecord,
    MachineRecord,
    Observation,
    Status,
    SuiteRecord,
)
from harness.suites.mappings import load_kinds, mapping_observations
from harness.suites.policy import judge_policies
from tests.unit.suites.vma_runs import (
    BY_VMA,
    BY_VMA_NO_FWB,
    DEVICE,
    SUITE,
    UNCHECKED_NO_FWB,
    observed,
    recorded,
)


def cell(kernel: str, machine: str, name: str | None) -> Cell:
    """A cell with the results of a recorded run; without one it is a MISS."""
    items: list[Observation] = []
    fwb = name in (DEVICE, BY_VMA)
    if name:
        items = list(observed(recorded(name)).values())
        for item in items:  # as an audit of that host has it
            if "memslot" in item.detail:
                item.detail["fwb"] = fwb
        judge_policies("vma", SUITE, items)
        items = [*mapping_observations("vma", items, load_kinds(SUITE)), *items]
    return Cell(
        name=f"{kernel}/{machine}/vma",
        kernel=KernelRecord(name=kernel),
        machine=MachineRecord(
            name=machine, topology="host", accel="tcg", cpu="max", smp=2, memory_mib=1024
        ),
        suite=SuiteRecord(name="vma"),
        status=Status.PASS if name else Status.MISS,
        failure=None if name else Failure(kind=FailureKind.SILENCE, summary="silence"),
        observations=items,
    )


@pytest.fixture(scope="module")
def table() -> KindsTable:
    (table,) = kinds_tables(
        [
            cell("6.1", "max", DEVICE),
            cell("from-vma", "max", BY_VMA),
            cell("from-vma", "a72", BY_VMA_NO_FWB),
            cell("from-vma-v3", "max", BY_VMA),
            cell("from-vma-v3", "a72", UNCHECKED_NO_FWB),
            cell("lost", "max", None),
        ]
    )
    return table


def answers(table: KindsTable, mapping: str) -> dict[str, list[Answer]]:
    row = next(row for row in table.rows if row.mapping == mapping)
    return dict(zip(table.kernels, row.entries, strict=True))


def test_each_kernel_has_a_column_and_each_kind_that_was_tried_a_row(table: KindsTable) -> None:
    assert table.kernels == ["6.1", "from-vma", "from-vma-v3", "lost"]
    tried = [row.mapping for row in table.rows]
    assert tried[0] == "vfio_bar.noncached"
    assert "reserved.cached" in tried and "memfd.cached" in tried
    order = [kind.mapping for kind in load_kinds(SUITE)]
    assert tried == [mapping for mapping in order if mapping in tried]


def test_what_a_guest_gets_dies_of_and_is_refused(table: KindsTable) -> None:
    (device,) = answers(table, "bar.device")["6.1"]
    assert (device.gets, device.machines, device.broken) == ("Device-nGnRE rw- 4K", "", 0)
    assert device.clauses == [
        "VM killed by unaligned_load",
        "guest faults at execute",
        "dirty_log refused",
    ]
    assert device.cells == [0]


def test_machines_are_named_by_what_divides_them(table: KindsTable) -> None:
    with_fwb, without = answers(table, "reserved.cached")["from-vma"]
    assert (with_fwb.machines, with_fwb.gets[:9]) == (FWB, "Normal-WB")
    assert (without.machines, without.gets, without.clauses) == (
        NO_FWB, "refused (EINVAL)", [],
    )  # fmt: skip
    (same,) = answers(table, "memfd.cached")["from-vma"]
    assert (same.machines, same.cells) == ("", [1, 2])


def test_a_broken_invariant_stands_at_its_kind(table: KindsTable) -> None:
    broken = answers(table, "reserved.cached")["from-vma-v3"]
    assert [(answer.machines, answer.broken > 0) for answer in broken] == [
        (FWB, False),
        (NO_FWB, True),
    ]


def test_what_is_not_known(table: KindsTable) -> None:
    (lost,) = answers(table, "memfd.cached")["lost"]
    assert (lost.gets, lost.clauses) == ("MISS: silence", [])


def test_a_kind_that_only_one_kernel_offers() -> None:
    offers, lacks = cell("offers", "max", DEVICE), cell("lacks", "max", DEVICE)
    lacks.observations = [o for o in lacks.observations if ".memfd." not in o.path]
    reason = {"reason": "memfd_create() is not there"}
    lacks.observations.append(
        Observation(path="vma.memfd.cached.4k.any", status=Status.SKIP, detail=reason)
    )
    (table,) = kinds_tables([offers, lacks])
    (absent,) = answers(table, "memfd.cached")["lacks"]
    assert (absent.gets, absent.clauses) == (NOT_OFFERED, [reason["reason"]])


def test_other_suites_have_no_table() -> None:
    other = cell("6.1", "max", DEVICE)
    other.observations = [o for o in other.observations if "kind" not in o.detail]
    assert kinds_tables([other]) == []
