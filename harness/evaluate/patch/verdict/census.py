# SPDX-License-Identifier: GPL-2.0-only
"""All of stage 2 under two kernels: what differs, region by region. Pure.

Memory is compared by its types and permissions alone: which of its pages are mapped, and how large
their blocks are, depends on when the guest and the host came to do what. Of other regions leaves
are counted, where both kernels were read at the same place of the suite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from harness.results.compare import Pair
from harness.results.readings import ELSEWHERE, RAM, CensusLeaves, CensusRecord
from harness.suites.census import CENSUS, leaves_in_words

NOTHING = "no leaf"
STAGE2 = ".stage2"  # ends the path of an audit's stage-2 type


class CensusSummary(BaseModel):
    """What the census of one machine and suite says of two kernels, in a line."""

    model_config = ConfigDict(extra="forbid")

    machine: str
    suite: str
    summary: str
    changed: bool


@dataclass(frozen=True)
class RegionChange:
    """A region whose leaves differ: both kernels' in words, NOTHING where there is none.

    `types` are the types before and after where nothing else differs, None otherwise.
    """

    region: str
    base: str
    patched: str
    types: tuple[str, str] | None = None

    @property
    def path(self) -> str:
        """Return the path of the change in a verdict."""
        return f"{CENSUS}.{self.region}"

    @property
    def text(self) -> str:
        """Return the change in words."""
        if self.base == NOTHING:
            return f"new: {self.region}: {self.patched}"
        if self.patched == NOTHING:
            return f"gone: {self.region}: {self.base}"
        after = self.types[1] if self.types else self.patched
        return f"{self.region}: {self.base} -> {after}"

    def told_by(self, changed: Mapping[str, tuple[str, str]]) -> str:
        """Return the path of an audit that tells the same; "" where none does.

        `changed` are the words of both kernels at each path that differs.
        """
        audits = (path for path in changed if path.startswith("audit.") and path.endswith(STAGE2))
        return next((path for path in audits if changed[path] == self.types), "")


def region_changes(pair: Pair) -> list[RegionChange]:
    """Return the regions that differ; none where a census is missing or not whole."""
    base, patched = pair.base.census, pair.patched.census
    if base is None or patched is None or base.problem or patched.problem:
        return []
    same_place = base.at == patched.at
    changes = (
        _change(region, base, patched, counted=same_place) for region in _regions(base, patched)
    )
    return [change for change in changes if change]


def census_summary(pair: Pair) -> CensusSummary | None:
    """Return what both censuses come to; None where a kernel has none."""
    base, patched = pair.base.census, pair.patched.census
    if base is None or patched is None:
        return None
    changes = region_changes(pair)
    return CensusSummary(
        machine=pair.patched.machine.name,
        suite=pair.patched.suite.name,
        summary="; ".join(_clauses(base, patched, changes)),
        changed=bool(changes),
    )


def _clauses(
    base: CensusRecord, patched: CensusRecord, changes: Sequence[RegionChange]
) -> Iterator[str]:
    if problem := base.problem or patched.problem:
        yield f"not compared, it was not read whole: {problem}"
        return
    # What is new or gone comes behind what is there with both.
    yield from (c.text for c in changes if NOTHING not in (c.base, c.patched))
    changed = {change.region for change in changes}
    if same := [region for region in _regions(base, patched) if region not in changed]:
        yield f"{', '.join(same)} unchanged"
    yield from (change.text for change in changes if NOTHING in (change.base, change.patched))
    if base.at != patched.at:
        yield f"by types alone: base was read at {base.at}, patched at {patched.at}"


def _regions(base: CensusRecord, patched: CensusRecord) -> list[str]:
    return list(dict.fromkeys(kind.region for kind in (*base.kinds, *patched.kinds)))


def _change(
    region: str, base: CensusRecord, patched: CensusRecord, *, counted: bool
) -> RegionChange | None:
    """Return how a region differs, None where it does not."""
    counted = counted and region != RAM
    was, now = (_alike(record, region, counted=counted) for record in (base, patched))
    if was == now:
        return None
    types = None
    if len(was) == len(now) == 1:
        (before,), (after,) = was, now
        if before.model_copy(update={"type": after.type}) == after:
            types = before.type, after.type
    return RegionChange(region, _words(was, counted=counted), _words(now, counted=counted), types)


def _alike(record: CensusRecord, region: str, *, counted: bool) -> list[CensusLeaves]:
    """Return the leaves of a region without what is not compared, in an order of their own."""
    update: dict[str, object] = {} if counted else {"leaves": 0}
    if region == RAM:
        update |= {"block": 0, "contiguous": False, "af": True}
    kinds = (kind.model_copy(update=update) for kind in record.kinds if kind.region == region)
    by_text = {repr(kind): kind for kind in kinds}
    return [by_text[text] for text in sorted(by_text)]


def _words(kinds: Sequence[CensusLeaves], *, counted: bool) -> str:
    texts = []
    for kind in kinds:
        place = " at a wrong place" if kind.target == ELSEWHERE else ""
        texts.append(leaves_in_words(kind, counted=counted) + place)
    return " and ".join(texts) or NOTHING
