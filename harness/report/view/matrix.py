# SPDX-License-Identifier: GPL-2.0-only
"""The table of both stages: stage-1 types by stage-2 types, each entry as it was observed. Pure.

Made from cells of a suite whose mappings are named after stage-1 types (guest-tests/stage-types):
what the page tables gave (the audit), how an unaligned load behaved, and what the architecture
says both stages combine to (harness/arm/combine.py, Arm ARM D8.6.5 and D8.6.6).
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
_WORDS = {"works": "works", "faults": "faults", VM_KILLED: "kills VM"}
_MARK = " !"  # after what is not as the architecture says
_GAP = 2


@dataclass
class Combination:
    """A stage-1 type over a stage-2 type. `combined` and `behaviours` are what was observed.

    `expected` is what the architecture makes of both, `must` what an unaligned load has to do
    then, None where nothing can be said. `behaviours` is empty where no load came back.
    """

    expected: str
    must: str | None
    combined: set[str] = field(default_factory=set)
    behaviours: set[str] = field(default_factory=set)

    @property
    def agrees(self) -> bool:
        """Tell whether all that was observed is what the architecture says."""
        loads = self.behaviours if self.must is not None else set()
        return self.combined <= {self.expected} and loads <= {self.must}

    @property
    def text(self) -> str:
        types = "/".join(_short(one) for one in sorted(self.combined))
        loads = "/".join(_WORDS.get(one, one) for one in sorted(self.behaviours))
        return ", ".join(filter(None, (types, loads))) + ("" if self.agrees else _MARK)


@dataclass
class Column:
    """A stage-2 type and the kernels that gave it. `entries` has those of ROWS that were seen."""

    memattr: int
    name: str
    kernels: list[str] = field(default_factory=list)
    entries: dict[str, Combination] = field(default_factory=dict)


@dataclass
class StagesTable:
    """All columns with HCR_EL2.FWB as `fwb` says, by MemAttr."""

    fwb: bool
    columns: list[Column]

    @property
    def title(self) -> str:
        return f"FEAT_S2FWB {'on' if self.fwb else 'off'}: stage 1 (rows) over stage 2 (columns)"

    @property
    def agrees(self) -> bool:
        return all(entry.agrees for column in self.columns for entry in column.entries.values())


def matrix(cells: Iterable[Cell]) -> list[StagesTable]:
    """Return the tables of all that `cells` show, FWB off first; none for cells of other suites."""
    found: dict[tuple[bool, int], Column] = {}
    for cell in cells:
        for record, leaf in _leaves(cell):
            _enter(found, cell, record, leaf)
    return [
        StagesTable(fwb, [found[key] for key in sorted(found) if key[0] is fwb])
        for fwb in sorted({fwb for fwb, _ in found})
    ]


def _leaves(cell: Cell) -> Iterator[tuple[AuditRecord, Stage2LeafRecord]]:
    """The audits of mappings that are named after a type and have leaves of both stages."""
    for record in cell.audits:
        leaf = record.detail.stage2
        if record.mapping in ROWS and record.combined and leaf and leaf.memattr:
            yield record, leaf


def _enter(
    found: dict[tuple[bool, int], Column], cell: Cell, record: AuditRecord, leaf: Stage2LeafRecord
) -> None:
    row, fwb = record.mapping, bool(record.detail.fwb)
    memattr = int(leaf.memattr or "", 16)
    column = found.setdefault((fwb, memattr), Column(memattr, _stage2(memattr, fwb)))
    if cell.kernel.name not in column.kernels:
        column.kernels.append(cell.kernel.name)
    entry = column.entries.setdefault(row, _expected(row, memattr, fwb))
    # A mapping that is not of its row's type cannot speak for it.
    entry.combined.add(
        str(record.combined) if record.stage1 == row else f"stage 1 is {record.stage1}"
    )
    path = f"{cell.suite.name}.{row}.{BEHAVIOUR}"
    entry.behaviours |= {
        str(item.value)
        for item in cell.observations
        if item.path == path and item.value is not None and item.status is not Status.SKIP
    }


def _expected(row: str, memattr: int, fwb: bool) -> Combination:
    """What the architecture says, from the type's name and MemAttr alone."""
    stage1 = Attributes(decode_mair_byte(MAIR_BYTES[row]), Shareability.INNER)
    both = combine(stage1, memattr, Shareability.INNER, Controls(fwb=fwb)).name
    return Combination(both, predicted(row, both))


def _stage2(memattr: int, fwb: bool) -> str:
    attr = decode_memattr(memattr, fwb=fwb)
    return f"forced {attr.name}" if attr.rule is Rule.FORCE_WB else attr.name


def _short(name: str) -> str:
    """`nGnRE` for `Device-nGnRE`: which of both it is, the type itself says."""
    return name.replace("Device-", "").replace("Normal-", "")


def lines(table: StagesTable, width: int = 80) -> list[str]:
    """Return the table as text of at most `width` characters, in parts where it is wider.

    An entry is the combined type and what an unaligned load did. What the architecture says
    otherwise is marked and told below.
    """
    label = max(map(len, ROWS)) + _GAP
    made = [table.title]
    for part in _parts(table.columns, width - label):
        wide = [_width(column) for column in part]
        made += ["", _line("", [f"{c.memattr:#x} {_short(c.name)}" for c in part], wide, label)]
        made += [_line(row, [_text(column, row) for column in part], wide, label) for row in ROWS]
    return [*made, "", *_sources(table.columns), *_odd(table)]


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
                must = f", {_WORDS[entry.must]}" if entry.must else ""
                yield (
                    f"{_MARK.strip()} {row} over {column.name}: the architecture says"
                    f" {_short(entry.expected)}{must}"
                )
