# SPDX-License-Identifier: GPL-2.0-only
"""The audits of a mapping as rows of its block, all of stage 2 as one (docs/audit.md). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.base.text import clean
from harness.report.view.table import Block, Entry, Row
from harness.report.view.words import LABELS
from harness.results.compare import NOT_REACHED
from harness.results.readings import RAM, AuditRecord
from harness.results.records import OR, Cell, Observation, Status, worst
from harness.suites.census import CENSUS, leaves_in_words

STAGES = {"stage2": "stage 2 (audit)", "combined": "effective (audit)"}
WITNESSES = "witnesses"
# Mappings that exist whatever a suite maps: pages of every Linux guest, and its VMM's of the BAR.
OWN, OWN_TITLE = ("l2-", "l1-"), "must not change"
TRAPS = "traps (no leaf)"
CENSUS_TITLE, RULES = "all of stage 2", "rules"
NAMED = 2  # kinds of leaves, or rules, that an entry names
BAD = (Status.FAIL, Status.ERROR, Status.MISS)


def add_audits(blocks: dict[str, Block], cells: Sequence[Cell]) -> None:
    """Add rows with the audits to the blocks of their mappings; add blocks that are missing."""
    columns = [{audit.mapping: audit for audit in cell.audits} for cell in cells]
    names = dict.fromkeys(name for column in columns for name in column)
    for name in (n for n in names if not n.startswith(OWN)):
        block = blocks.setdefault(name, Block(clean(name)))
        labels = [row.label for row in block.rows]
        at = labels.index(LABELS["stage1"]) + 1 if LABELS["stage1"] in labels else 0
        block.rows[at:at] = [
            Row(
                label,
                [_entry(cell, audits.get(name), stage) for cell, audits in _zip(cells, columns)],
            )
            for stage, label in STAGES.items()
        ]
        _add_witnesses(block, name, cells)
    own = [n for n in names if n.startswith(OWN)]
    if own:
        blocks[OWN_TITLE] = Block(OWN_TITLE)
        blocks[OWN_TITLE].rows += [
            Row(
                clean(name), [_own(cell, audits.get(name)) for cell, audits in _zip(cells, columns)]
            )
            for name in own
        ]


def add_census(blocks: dict[str, Block], cells: Sequence[Cell]) -> None:
    """Add the block where a cell has a census."""
    regions = dict.fromkeys(
        kind.region for cell in cells if cell.census for kind in cell.census.kinds
    )
    if not regions:
        return
    block = blocks.setdefault(CENSUS_TITLE, Block(CENSUS_TITLE))
    for region in regions:
        block.rows.append(Row(region, [_region(cell, region) for cell in cells]))
    block.rows.append(Row(RULES, [_rules(cell) for cell in cells]))


def _region(cell: Cell, region: str) -> Entry:
    if cell.census is None:
        return _nothing(cell)
    kinds = [kind for kind in cell.census.kinds if kind.region == region]
    if not kinds:
        return Entry("no leaf")
    # Which pages of the guest's memory are mapped is chance.
    texts = list(dict.fromkeys(leaves_in_words(kind, counted=region != RAM) for kind in kinds))
    return Entry(_first(texts))


def _rules(cell: Cell) -> Entry:
    rules = [o for o in cell.observations if o.path.startswith(f"{CENSUS}.")]
    if not rules:
        return _nothing(cell)
    status = worst([rule.status for rule in rules])
    names = [o.path.removeprefix(f"{CENSUS}.") for o in rules if o.status is status]
    if status in (Status.FAIL, Status.MISS):
        return Entry(f"{status.value}: {_first(names)}", status)
    return Entry(f"{sum(rule.status is Status.PASS for rule in rules)} ok")


def _first(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - NAMED} more" if len(texts) > NAMED else ""
    return ", ".join(texts[:NAMED]) + more


def _zip(
    cells: Sequence[Cell], columns: Sequence[Mapping[str, AuditRecord]]
) -> list[tuple[Cell, Mapping[str, AuditRecord]]]:
    return list(zip(cells, columns, strict=True))


def _entry(cell: Cell, audit: AuditRecord | None, stage: str) -> Entry:
    """Return the entry of one stage of a mapping; a FAIL stands at the stage that it blames."""
    if audit is None:
        return _nothing(cell)
    name = _type(audit, stage)
    status = audit.status
    if status is Status.FAIL and stage == _blamed(audit):
        return Entry(f"{status.value}: {name}", status)
    return Entry(name, status if name == status.value else None)


def _type(audit: AuditRecord, stage: str) -> str:
    """Return `Normal-NC`, `traps (no leaf)`, or `MISS` where the type could not be read."""
    name = audit.combined if stage == "combined" else audit.stage2
    if name:
        ambiguous = audit.detail.ambiguous and stage == "combined"
        return clean(name) + (" (ambiguous)" if ambiguous else "")
    if audit.status is Status.SKIP and not audit.detail.trapped:
        return "not seen"
    return TRAPS if audit.detail.trapped or audit.status not in BAD else audit.status.value


def _blamed(audit: AuditRecord) -> str:
    """Return the stage that a FAIL blames: stage 2 where the combined type is the expected one."""
    readings = (audit.combined or "").split(OR)
    wrong = audit.expected is not None and audit.expected not in readings
    return "combined" if wrong else "stage2"


def _own(cell: Cell, audit: AuditRecord | None) -> Entry:
    """Return the entry of a page that every guest has: its type, and X if it must be executable."""
    if audit is None:
        return _nothing(cell)
    status, detail = audit.status, audit.detail
    text = _type(audit, "combined" if audit.combined else "stage2")
    if detail.expected.execute:
        access = (detail.stage2 and detail.stage2.el1) or ""
        text += ", X ok" if "x" in access else ", no X"
    if status is Status.FAIL:
        text = f"{status.value}: {text}"
    return Entry(text, status if status in BAD else None)


def _nothing(cell: Cell) -> Entry:
    """Return the entry of a mapping without an audit: `-` if the cell never reached its guest."""
    reached = cell.failure and cell.observations
    return Entry(NOT_REACHED, Status.SKIP) if reached else Entry("-")


def _add_witnesses(block: Block, name: str, cells: Sequence[Cell]) -> None:
    witnesses = [_observation(cell, f"witness.{name}") for cell in cells]
    if any(witnesses):
        block.rows.append(
            Row(WITNESSES, [_verdict(c, o) for c, o in zip(cells, witnesses, strict=True)])
        )


def _observation(cell: Cell, path: str) -> Observation | None:
    return next((o for o in cell.observations if o.path == path), None)


def _verdict(cell: Cell, witness: Observation | None) -> Entry:
    if witness is None:
        return _nothing(cell)
    if witness.status is Status.FAIL:
        return Entry("DISAGREE", witness.status)
    if witness.status is Status.SKIP:
        return Entry("nothing to compare", witness.status)
    return Entry("agree (probe abstains)" if witness.detail.get("abstains") else "agree")
