# SPDX-License-Identifier: GPL-2.0-only
"""All of a guest's stage 2 judged by rules: one observation a rule, `census.RULE`. Pure.

The rules are those of stage2-rules.toml, in the form of a suite's invariants (policy.py). Their
tests are regions, their facts what leaves of a region have in common.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from harness.arm.tables.descriptor import size_label
from harness.base.toml import unknown
from harness.results.readings import CensusLeaves, CensusRecord
from harness.results.records import Observation, Status
from harness.suites.policy import Facts, Rule, load_rules

RULES = Path(__file__).parent / "stage2-rules.toml"
CENSUS = "census"  # begins the paths
NAMED = 3  # deviations that a reason names


def census_observations(
    census: CensusRecord | None, lifted: Collection[str] = ()
) -> list[Observation]:
    """Return `census.RULE` for each rule that is not `lifted`; none without a census.

    FAIL: leaves break the rule. MISS: none of those that could be read does, and some could not.
    SKIP: the rule speaks of leaves that the guest has none of. Raise UsageError for a name in
    `lifted` that no rule has.
    """
    if census is None:
        return []
    names = {rule.name for rule in _rules()}
    if strange := next((name for name in lifted if name not in names), None):
        raise unknown("rule of stage 2", strange, names)
    facts = [(kind, _facts(kind, census.kinds)) for kind in census.kinds]
    rules = [rule for rule in _rules() if rule.name not in lifted]
    return [*(_judged(rule, census, facts) for rule in rules), *_dumped(census)]


def _dumped(census: CensusRecord) -> Iterator[Observation]:
    """Yield `census.ptdump`, whether KVM's own dump has the same leaves, where there is one."""
    if census.dump is not None:
        item = Observation(path=f"{CENSUS}.ptdump", status=census.dump)
        if census.dump_differs:
            item.detail["reason"] = census.dump_differs
        yield item


def leaves_in_words(kind: CensusLeaves, *, counted: bool = True) -> str:
    """Return leaves in words, e.g. `1,024 x 4K Device-nGnRE rw-`; without their number on demand.

    What nearly all leaves have in common (AF=1) is left out.
    """
    words = [f"{kind.leaves:,} x {size_label(kind.block)}"] if counted else []
    words += [kind.type, kind.rights]
    words += ["contiguous"] if kind.contiguous else []
    words += [] if kind.af else ["AF=0"]
    return " ".join(words)


def _judged(
    rule: Rule, census: CensusRecord, facts: Sequence[tuple[CensusLeaves, Facts]]
) -> Observation:
    item = Observation(path=f"{CENSUS}.{rule.name}", status=Status.PASS)
    concerned = [(kind, known) for kind, known in facts if rule.applies(kind.region, known)]
    broken = [
        f"{kind.region} has {leaves_in_words(kind)}: {'; '.join(texts)}"
        for kind, known in concerned
        if (texts := list(rule.deviations(known)))
    ]
    if broken:
        more = f", and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
        item.status = Status.FAIL
        item.detail["reason"] = f"{', '.join(broken[:NAMED])}{more} ({rule.why})"
    elif census.problem:
        item.status = Status.MISS
        item.detail["reason"] = f"not all of stage 2 could be read: {census.problem}"
    elif not concerned:
        item.status = Status.SKIP
        item.detail["reason"] = "no leaf that this is about"
    return item


def _facts(kind: CensusLeaves, kinds: Sequence[CensusLeaves]) -> Facts:
    types = {one.type for one in kinds if one.region == kind.region}
    return {
        "region": kind.region,
        "memslot": str(kind.memslot).lower(),
        "target": kind.target,
        "type": kind.type,
        "types": str(len(types)),
        "rights": kind.rights,
        "shareability": kind.shareability,
        "block": str(kind.block),
    }


@functools.cache
def _rules() -> list[Rule]:
    return load_rules(RULES)
