# SPDX-License-Identifier: GPL-2.0-only
"""The types read from page tables, mapping by mapping, and the limits of the machines. Pure.

Equal readings of several cells are one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.base.text import clean
from harness.report.view.audits import TRAPS
from harness.report.view.findings import BAD
from harness.results.readings import AuditRecord, Stage1LeafRecord, Stage2LeafRecord
from harness.results.records import Cell, Run, Status


@dataclass(frozen=True)
class TypesRead:
    """The types of both stages' leaves, each with the bits that it was decoded from."""

    stage1: str
    stage1_bits: str
    stage2: str
    stage2_bits: str
    combined: str
    expected: str
    status: Status
    reason: str


@dataclass
class Line:
    """The cells in which a mapping has the same reading."""

    reading: TypesRead
    kernels: list[str] = field(default_factory=list)
    machines: list[str] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)


@dataclass
class Mapped:
    """A mapping of a suite, with a line for each different reading."""

    suite: str
    mapping: str
    lines: list[Line]

    @property
    def status(self) -> Status | None:
        """Return the worst status of the lines; None where no status is bad."""
        return next((s for s in BAD if any(line.reading.status is s for line in self.lines)), None)


@dataclass
class MachineLimits:
    """Sentences about what `machines` cannot show; `what` is the subject of all sentences."""

    machines: list[str]
    what: str
    sentences: list[str]


def audits(run: Run) -> list[Mapped]:
    """Return every audited mapping, in the order of the run."""
    by_mapping: dict[tuple[str, str], dict[TypesRead, Line]] = {}
    for index, cell in enumerate(run.cells):
        for audit in cell.audits:
            key = (clean(cell.suite.name), clean(audit.mapping))
            reading = _reading(audit, cell)
            line = by_mapping.setdefault(key, {}).setdefault(reading, Line(reading))
            line.cells.append(index)
            _add_once(line.kernels, clean(cell.kernel.name))
            _add_once(line.machines, clean(cell.machine.name))
    return [Mapped(*key, lines=list(lines.values())) for key, lines in by_mapping.items()]


def limits(run: Run) -> list[MachineLimits]:
    """Return the measured limits of this run's emulators; machines with the same limits as one."""
    machines_with: dict[tuple[str, ...], list[str]] = {}
    for cell in run.cells:
        sentences = tuple(map(clean, cell.fidelity.limits.values()))
        if sentences:
            _add_once(machines_with.setdefault(sentences, []), clean(cell.machine.name))
    return [
        MachineLimits(machines, *_split(sentences)) for sentences, machines in machines_with.items()
    ]


def _split(sentences: Sequence[str]) -> tuple[str, list[str]]:
    """Return the words that all sentences begin with (the machine), and the rest of each."""
    if len(sentences) == 1:
        return "", list(sentences)
    split = [sentence.split() for sentence in sentences]
    shared = 0
    while all(words[shared : shared + 1] == split[0][shared : shared + 1] != [] for words in split):
        shared += 1
    return " ".join(split[0][:shared]), [" ".join(words[shared:]) for words in split]


def _add_once(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)


def _reading(audit: AuditRecord, cell: Cell) -> TypesRead:
    first, second = (
        audit.detail.stage1 or Stage1LeafRecord(),
        audit.detail.stage2 or Stage2LeafRecord(),
    )
    no_leaf = TRAPS if audit.detail.trapped else ""
    verdict = next((o for o in cell.observations if o.path == f"audit.{audit.mapping}"), None)
    return TypesRead(
        stage1=clean(audit.stage1 or ""),
        stage1_bits=_bits(("AttrIndx", first.attr_index), ("MAIR", first.mair_byte)),
        stage2=clean(audit.stage2 or no_leaf),
        stage2_bits=_bits(("MemAttr", second.memattr), ("", second.descriptor)),
        combined=clean(audit.combined or ""),
        expected=clean(audit.expected or ""),
        status=audit.status,
        reason=clean(str(verdict.detail.get("reason", ""))) if verdict else "",
    )


def _bits(*named: tuple[str, str | int | None]) -> str:
    bits = (f"{name} {value}".strip() for name, value in named if value is not None)
    return clean(", ".join(bits))
