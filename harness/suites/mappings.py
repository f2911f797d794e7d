# SPDX-License-Identifier: GPL-2.0-only
"""A line for each kind of mapping: what a guest gets of it, what is refused, what dies. Pure.

Made of the tests of a suite that runs VMs itself, MEMORY.PGPROT.SIZE.ACCESS. The suite's kinds.toml
says which mappings stand for what a reader asks for ("BAR by vfio-pci").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from harness.base.toml import parse, read_toml
from harness.results.records import OR, VM_KILLED, Observation, Status
from harness.suites.facts import NO_LEAF, UNREAD

KINDS = "kinds.toml"
PARTS = 4  # of a test's name
NAMED = 4  # accesses that a clause names before the rest is counted
WORKS = "works"
TAGGED = "-mte"  # ends the name of a test in a VM with MTE
# Outcomes in the order in which a line has them, each with its words.
OUTCOMES = {
    VM_KILLED: "VM killed by {}",
    "faults": "guest faults at {}",
    "trapped": "{} trapped to the VMM",
    "refused": "{} refused",
}
UNITS = {1 << 12: "4K", 1 << 21: "2M", 1 << 30: "1G"}


class Kind(BaseModel):
    """What a reader asks for, and the mapping (`MEMORY.PGPROT`) that stands for it."""

    model_config = ConfigDict(extra="forbid")
    name: str
    mapping: str


class Kinds(BaseModel):
    """The kinds of kinds.toml in the order in which they are shown."""

    model_config = ConfigDict(extra="forbid")
    kind: list[Kind]


def load_kinds(folder: Path) -> list[Kind]:
    """Return the kinds of the suite in `folder`. Raise UsageError when the file is wrong."""
    path = folder / KINDS
    return parse(Kinds, path, read_toml(path)).kind


def mapping_observations(
    suite: str, observations: Iterable[Observation], kinds: Sequence[Kind] = ()
) -> list[Observation]:
    """Return `SUITE.MEMORY.PGPROT` for each mapping that was tried, all sizes together.

    That of one of the `kinds` has its name (`detail["kind"]`) and its place (`detail["row"]`).
    """
    groups: dict[tuple[str, str], dict[str, Observation]] = {}
    for item in observations:
        parts = item.path.removeprefix(f"{suite}.").split(".")
        if len(parts) == PARTS and "memslot" in item.detail:
            groups.setdefault((parts[0], parts[1]), {})[item.path] = item
    summaries = [
        _summary(f"{suite}.{memory}.{pgprot}", list(tests.values()))
        for (memory, pgprot), tests in groups.items()
    ]
    rows = {f"{suite}.{kind.mapping}": (row, kind.name) for row, kind in enumerate(kinds)}
    for summary in summaries:
        if summary.path in rows:
            summary.detail["row"], summary.detail["kind"] = rows[summary.path]
    return summaries


def _summary(path: str, tests: Sequence[Observation]) -> Observation:
    leaves = [t.detail for t in tests if t.detail.get("leaf") not in (None, NO_LEAF, UNREAD)]
    types = " or ".join(dict.fromkeys(str(leaf["leaf"]) for leaf in leaves)) or "no leaf"
    rights = {right for leaf in leaves for right in str(leaf["access"])}
    access = "".join(right if right in rights else "-" for right in "rwx") if leaves else ""
    sizes = "+".join(UNITS.get(size, str(size)) for size in sorted({lf["size"] for lf in leaves}))
    refused = _refused_sizes(tests)
    clauses = _clauses(tests, refused)
    summary = Observation(path=path, status=Status.DONE)
    gets = " ".join(filter(None, (types, access, sizes)))
    summary.value = "; ".join([gets, *clauses])
    errors = dict.fromkeys(str(test.detail["memslot"]) for test in tests)
    if refused and all(test.value == "refused" for test in tests):
        gets, clauses = f"refused ({OR.join(errors)})", []
    else:  # VMs with MTE are not everywhere: they are no difference between two machines
        clauses = _clauses([t for t in tests if not t.path.endswith(TAGGED)], refused)
    summary.detail.update(tests=len(tests), gets=gets, clauses=clauses)
    if broken := sum(test.status is Status.FAIL for test in tests):
        summary.detail["broken"] = broken
    return summary


def _clauses(tests: Sequence[Observation], refused: Sequence[str]) -> list[str]:
    """Return what tests ended in that did not work; of the sizes `refused` no test is named."""
    by_outcome: dict[str, list[str]] = {outcome: [] for outcome in OUTCOMES}
    by_outcome["refused"] += refused
    for test in tests:
        outcome, name = str(test.value), _what_differs(test)
        if test.path.split(".")[-2] in refused:
            continue
        if outcome != WORKS and name:
            by_outcome.setdefault(outcome, []).append(name)
    return [
        OUTCOMES.get(outcome, f"{outcome}: {{}}").format(_names(names))
        for outcome, names in by_outcome.items()
        if names
    ]


def _refused_sizes(tests: Sequence[Observation]) -> list[str]:
    """Return the sizes of which no memslot was taken, whatever the access."""
    sizes: dict[str, set[str]] = {}
    for test in tests:
        sizes.setdefault(test.path.split(".")[-2], set()).add(str(test.value))
    return [size for size, outcomes in sizes.items() if outcomes == {"refused"}]


def _what_differs(test: Observation) -> str:
    """Return the word for a test in the summary: its access, of a refused memslot the variant.

    Variants of an access that was not refused (`load-wb`) have no word of their own, unless the
    VMM died in them.
    """
    access, _, variant = test.path.rpartition(".")[2].partition("-")
    if test.value == "refused":
        return variant or access
    return access if not variant or test.value not in OUTCOMES else ""


def _names(names: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - NAMED} more" if len(distinct) > NAMED else ""
    return ", ".join(distinct[:NAMED]) + more
