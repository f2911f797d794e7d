# SPDX-License-Identifier: GPL-2.0-only
"""The table of both stages: stage-1 types by stage-2 types, each entry as it was observed. Pure.

Made from cells of a suite whose mappings are named after stage-1 types (guest-tests/stage-types):
the type in the page tables (the audit), the behaviour of an unaligned load, and the type to which
the architecture combines both stages (harness/arm/combine.py, Arm ARM D8.6.5 and D8.6.6).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from harness.arm.combine import Attributes, Controls, combine
from harness.arm.memtype import MAIR_BYTES, Rule, Shareability, decode_mair_byte, decode_memattr
from harness.results.readings import AuditRecord, Stage2LeafRecord
from harness.results.records import VM_KILLED, Cell, Status
from harness.suites.witness import BEHAVIOUR, predicted

ROWS = tuple(MAIR_BYTES)  # strictest first
_LOADS = {"works": "works", "faults": "faults", VM_KILLED: "kills VM"}
_MARK = " !"  # after an entry that is not as the architecture says
_GAP = 2


@dataclass
class Combination:
    """A stage-1 type over a stage-2 type. `combined` and `behaviours` were observed.

    `expected` is the architecture's combination of both types, `must` the behaviour that an
    unaligned load must have with it, None where the architecture leaves that open. `behaviours`
    is empty where no load was observed.
    """

    expected: str
    must: str | None
    combined: set[str] = field(default_factory=set)
    behaviours: set[str] = field(default_factory=set)

    @property
    def agrees(self) -> bool:
        """Tell whether all observed types and behaviours are those of the architecture."""
        loads = self.behaviours if self.must is not None else set()
        return self.combined <= {self.expected} and loads <= {self.must}

    @property
    def text(self) -> str:
        """Return the observed types and behaviours, marked if they do not agree."""
        types = "/".join(_short(name) for name in sorted(self.combined))
        loads = "/".join(_LOADS.get(load, load) for load in sorted(self.behaviours))
        return ", ".join(filter(None, (types, loads))) + ("" if self.agrees else _MARK)


@dataclass
class Column:
    """A stage-2 type and the kernels that used it; `entries` are by stage-1 type, of those seen."""

    memattr: int
    name: str
    kernels: list[str] = field(default_factory=list)
    entries: dict[str, Combination] = field(default_factory=dict)


@dataclass
class StagesTable:
    """All columns with one value of HCR_EL2.FWB, sorted by MemAttr."""

    fwb: bool
    columns: list[Column]

    @property
    def title(self) -> str:
        """Return the heading of the table."""
        return f"FEAT_S2FWB {'on' if self.fwb else 'off'}: stage 1 (rows) over stage 2 (columns)"

    @property
    def agrees(self) -> bool:
        """Tell whether every entry is as the architecture says."""
        return all(entry.agrees for column in self.columns for entry in column.entries.values())


def matrix(cells: Iterable[Cell]) -> list[StagesTable]:
    """Return the tables of `cells`, FWB off first; none for suites with other mappings."""
    by_key: dict[tuple[bool, int], Column] = {}
    for cell in cells:
        for record, leaf in _leaves(cell):
            _enter(by_key, cell, record, leaf)
    return [
        StagesTable(fwb, [by_key[key] for key in sorted(by_key) if key[0] is fwb])
        for fwb in sorted({fwb for fwb, _ in by_key})
    ]


def _leaves(cell: Cell) -> Iterator[tuple[AuditRecord, Stage2LeafRecord]]:
    """Yield the audits of mappings named after a type, with leaves of both stages."""
    for record in cell.audits:
        leaf = record.detail.stage2
        if record.mapping in ROWS and record.combined and leaf and leaf.memattr:
            yield record, leaf


def _enter(
    by_key: dict[tuple[bool, int], Column], cell: Cell, record: AuditRecord, leaf: Stage2LeafRecord
) -> None:
    """Add an audit and the loads of its mapping to the entry of its two types."""
    row, fwb = record.mapping, bool(record.detail.fwb)
    memattr = int(leaf.memattr or "", 16)
    column = by_key.setdefault((fwb, memattr), Column(memattr, _stage2(memattr, fwb=fwb)))
    if cell.kernel.name not in column.kernels:
        column.kernels.append(cell.kernel.name)
    entry = column.entries.setdefault(row, _expected(row, memattr, fwb=fwb))
    # A mapping whose stage-1 type is not the one it is named after is marked as such.
    entry.combined.add(
        str(record.combined) if record.stage1 == row else f"stage 1 is {record.stage1}"
    )
    path = f"{cell.suite.name}.{row}.{BEHAVIOUR}"
    entry.behaviours |= {
        str(item.value)
        for item in cell.observations
        if item.path == path and item.value is not None and item.status is not Status.SKIP
    }


def _expected(row: str, memattr: int, *, fwb: bool) -> Combination:
    """Return the architecture's combination of a stage-1 type and a MemAttr."""
    stage1 = Attributes(decode_mair_byte(MAIR_BYTES[row]), Shareability.INNER)
    both = combine(stage1, memattr, Shareability.INNER, Controls(fwb=fwb)).name
    return Combination(both, predicted(row, both))


def _stage2(memattr: int, *, fwb: bool) -> str:
    attr = decode_memattr(memattr, fwb=fwb)
    return f"forced {attr.name}" if attr.rule is Rule.FORCE_WB else attr.name


def _short(name: str) -> str:
    """Return `nGnRE` for `Device-nGnRE`: the rest of a name tells Device from Normal."""
    return name.replace("Device-", "").replace("Normal-", "")


def lines(table: StagesTable, width: int = 80) -> list[str]:
    """Return the table as text of at most `width` characters, in parts where it is wider.

    An entry is the combined type and the behaviour of an unaligned load. An entry that is not as
    the architecture says is marked, and explained below the table.
    """
    label = max(map(len, ROWS)) + _GAP
    text = [table.title]
    for part in _parts(table.columns, width - label):
        wide = [_width(column) for column in part]
        text += ["", _line("", [f"{c.memattr:#x} {_short(c.name)}" for c in part], wide, label)]
        text += [_line(row, [_text(column, row) for column in part], wide, label) for row in ROWS]
    return [*text, "", *_sources(table.columns), *_odd(table)]


def _parts(columns: Sequence[Column], room: int) -> Iterator[list[Column]]:
    part: list[Column] = []
    for column in columns:
        if part and sum(map(_width, [*part, column])) > room:
            yield part
            part = []
        part.append(column)
    if part:
        yield part


def _width(column: Column) -> int:
    texts = [f"{column.memattr:#x} {_short(column.name)}", *(_text(column, row) for row in ROWS)]
    return max(map(len, texts)) + _GAP


def _text(column: Column, row: str) -> str:
    entry = column.entries.get(row)
    return entry.text if entry else "-"


def _line(label: str, texts: Sequence[str], wide: Sequence[int], label_width: int) -> str:
    parts = [text.ljust(size) for text, size in zip(texts, wide, strict=True)]
    return (label.ljust(label_width) + "".join(parts)).rstrip()


def _sources(columns: Sequence[Column]) -> Iterator[str]:
    for column in columns:
        yield f"MemAttr {column.memattr:#x} ({column.name}): {', '.join(column.kernels)}"


def _odd(table: StagesTable) -> Iterator[str]:
    for column in table.columns:
        for row, entry in column.entries.items():
            if not entry.agrees:
                must = f", {_LOADS[entry.must]}" if entry.must else ""
                yield (
                    f"{_MARK.strip()} {row} over {column.name}: the architecture says"
                    f" {_short(entry.expected)}{must}"
                )
