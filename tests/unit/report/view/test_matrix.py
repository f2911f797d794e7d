# SPDX-License-Identifier: GPL-2.0-only
"""The table of both stages, from records like those of guest-tests/stage-types."""

from __future__ import annotations

from typing import Any

from harness.report.view.matrix import ROWS, StagesTable, lines, matrix
from harness.results.readings import AuditDetail, AuditRecord
from harness.results.records import (
    VM_KILLED,
    Cell,
    KernelRecord,
    MachineRecord,
    Observation,
    Status,
    SuiteRecord,
)

SUITE = "stage-types"


def record(mapping: str, combined: str, memattr: int, fwb: bool, **other: Any) -> AuditRecord:
    """An audit as audit_record() makes it, with what the table looks at."""
    made = {
        "mapping": mapping,
        "stage1": mapping,
        "combined": combined,
        "status": "PASS",
        "detail": {"fwb": fwb, "stage2": {"memattr": f"{memattr:#x}"}},
        **other,
    }
    return AuditRecord.model_validate(made)


def cell(
    kernel: str,
    audits: list[AuditRecord],
    loads: dict[str, str] | None = None,
    status: Status = Status.PASS,
) -> Cell:
    """A cell with the `loads` of some mappings: mapping to outcome."""
    return Cell(
        name=f"{kernel}/m/{SUITE}",
        kernel=KernelRecord(name=kernel),
        machine=MachineRecord(
            name="m", topology="nested", accel="tcg", cpu="max", smp=2, memory_mib=2048
        ),
        suite=SuiteRecord(name=SUITE),
        status=Status.PASS,
        audits=audits,
        observations=[
            Observation(path=f"{SUITE}.{name}.unaligned_load", status=status, value=value)
            for name, value in (loads or {}).items()
        ],
    )


def one(*cells: Cell) -> StagesTable:
    (table,) = matrix(cells)
    return table


# Over stage 2 Normal-NC (MemAttr 0x5) every type keeps what it has, but caches are gone.
OVER_NC = {**{name: name for name in ROWS}, "Normal-WT": "Normal-NC", "Normal-WB": "Normal-NC"}


def test_a_column_has_every_stage_1_type() -> None:
    for fwb in (False, True):
        audits = [record(row, both, 0x5, fwb) for row, both in OVER_NC.items()]
        table = one(cell("k", audits))
        assert (table.fwb, table.agrees) == (fwb, True)
        (column,) = table.columns
        assert (column.memattr, column.name, column.kernels) == (0x5, "Normal-NC", ["k"])
        assert {row: e.expected for row, e in column.entries.items()} == OVER_NC


def test_fwb_makes_another_table_and_memattr_another_column() -> None:
    cells = [
        cell("b", [record("Normal-WB", "Normal-WB", 0xF, False)]),
        cell("a", [record("Normal-WB", "Device-GRE", 0x3, False)]),
        cell("c", [record("Normal-WB", "Normal-WB", 0x6, True)]),
    ]
    off, on = matrix(cells)
    assert [column.memattr for column in off.columns] == [0x3, 0xF]
    assert [column.name for column in on.columns] == ["forced Normal-WB"]


def test_kernels_with_the_same_stage_2_share_a_column() -> None:
    nc = record("Normal-NC", "Normal-NC", 0x5, True)
    table = one(cell("a", [nc], {"Normal-NC": "works"}), cell("b", [nc], {"Normal-NC": "works"}))
    (column,) = table.columns
    assert column.kernels == ["a", "b"]
    assert column.entries["Normal-NC"].text == "NC, works"


def test_what_the_tables_gave_is_held_against_the_architecture() -> None:
    table = one(cell("k", [record("Normal-NC", "Normal-WB", 0x5, False)]))
    assert not table.agrees
    assert table.columns[0].entries["Normal-NC"].text == "WB !"
    assert lines(table)[-1] == "! Normal-NC over Normal-NC: the architecture says NC, works"


def test_what_a_load_did_is_held_against_the_architecture() -> None:
    nc = record("Normal-NC", "Device-nGnRE", 0x1, False)
    assert one(cell("k", [nc], {"Normal-NC": VM_KILLED}, Status.FAIL)).agrees
    assert not one(cell("k", [nc], {"Normal-NC": "works"})).agrees
    device = record("Device-GRE", "Device-GRE", 0x5, False)
    assert one(cell("k", [device], {"Device-GRE": "faults"})).agrees
    assert not one(cell("k", [device], {"Device-GRE": VM_KILLED}, Status.FAIL)).agrees


def test_a_mapping_of_another_type_does_not_speak_for_its_row() -> None:
    table = one(cell("k", [record("Normal-WT", "Normal-NC", 0x5, False, stage1="Normal-WB")]))
    assert table.columns[0].entries["Normal-WT"].text == "stage 1 is WB !"


def test_a_load_that_the_machine_cannot_show_is_left_out() -> None:
    device = record("Device-GRE", "Device-GRE", 0x5, False)
    table = one(cell("k", [device], {"Device-GRE": "works"}, Status.SKIP))
    assert table.columns[0].entries["Device-GRE"].text == "GRE"
    assert table.agrees


def test_where_sources_disagree_both_readings_are_expected() -> None:
    """Device over Device with FWB: the stricter one or stage 2's."""
    both = "Device-nGnRnE or Device-nGnRE"
    strict = record("Device-nGnRnE", both, 0x1, True)
    table = one(cell("k", [strict], {"Device-nGnRnE": "faults"}))
    assert table.columns[0].entries["Device-nGnRnE"].text == "nGnRnE or nGnRE, faults"
    assert table.agrees


def test_forced_write_back_over_device_predicts_no_load() -> None:
    forced = record("Device-nGnRE", "Normal-WB", 0x6, True)
    for outcome in ("faults", "works"):
        assert one(cell("k", [forced], {"Device-nGnRE": outcome})).agrees


def test_other_suites_and_mappings_without_a_leaf_are_left_out() -> None:
    assert matrix([cell("k", [record("ioremap_wc", "Normal-NC", 0x5, False)])]) == []
    missed = AuditRecord(mapping="Normal-NC", detail=AuditDetail(reason="gone"))
    assert matrix([cell("k", [missed])]) == []


def test_the_text_is_a_table_that_keeps_its_width() -> None:
    audits = [record(row, both, 0x5, False) for row, both in OVER_NC.items()]
    cells = [cell("plain", audits, dict.fromkeys(ROWS[:4], "faults") | {"Normal-NC": "works"})]
    table = one(*cells, cell("dev", [record("Normal-NC", "Device-GRE", 0x3, False)]))
    assert lines(table, 60) == [
        "FEAT_S2FWB off: stage 1 (rows) over stage 2 (columns)",
        "",
        "               0x3 GRE  0x5 NC",
        "Device-nGnRnE  -        nGnRnE, faults",
        "Device-nGnRE   -        nGnRE, faults",
        "Device-nGRE    -        nGRE, faults",
        "Device-GRE     -        GRE, faults",
        "Normal-NC      GRE      NC, works",
        "Normal-WT      -        NC",
        "Normal-WB      -        NC",
        "",
        "MemAttr 0x3 (Device-GRE): dev",
        "MemAttr 0x5 (Normal-NC): plain",
    ]
    narrow = lines(table, 34)
    assert [line.split() for line in narrow if line.startswith(" ")] == [
        ["0x3", "GRE"],
        ["0x5", "NC"],
    ]
