# SPDX-License-Identifier: GPL-2.0-only
"""What a patch changed as one sentence: behaviour first, then the audits, then the rest. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from harness.base.text import clean
from harness.report.view.words import words
from harness.results.compare import ABSENT, NOT_REACHED, Pair, PathChange, difference
from harness.results.records import Cell, Status

NAMED = 4  # places that a clause names before it counts the rest
CLAUSES = 12  # that a sentence has before it counts the rest
INDENT = "  "  # of the lines after the first
STAGES = {"stage1": "stage 1", "stage2": "stage 2", "combined": "effective type"}
VERDICTS = {"audit": "audit", "witness": "witnesses"}
AGREEMENT = {Status.PASS: "agree", Status.FAIL: "disagree", Status.SKIP: "abstain"}


def sentences(pairs: Iterable[Pair]) -> list[list[str]]:
    """Return the clauses of each comparison, its head first; equal ones of several machines once.

    E.g. `["a -> b on nested-tcg:", "ioremap_wc.unaligned_load: VM killed -> works;", …]`.
    """
    pairs = list(pairs)
    suites = {pair.base.suite.name for pair in pairs}
    machines: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for pair in pairs:
        what = f"{clean(pair.base.kernel.name)} -> {clean(pair.patched.kernel.name)}"
        what += f", {clean(pair.base.suite.name)}" if len(suites) > 1 else ""
        key = (what, tuple(_clauses(pair)))
        machines.setdefault(key, []).append(clean(pair.base.machine.name))
    return [[f"{what} on {', '.join(names)}:", *told] for (what, told), names in machines.items()]


def fill(clauses: Sequence[str], width: int) -> str:
    """Return clauses on lines of at most `width` characters, each in one piece where it fits."""
    lines = [""]
    for clause in clauses:
        joined = f"{lines[-1]} {clause}" if lines[-1] else clause
        if len(joined) <= width:
            lines[-1] = joined
            continue
        first = INDENT if lines[0] else ""
        folded = textwrap.wrap(
            clause,
            width,
            initial_indent=first,
            subsequent_indent=INDENT * 2,
            break_on_hyphens=False,
        )
        lines = [*lines, *folded] if lines[0] else folded
    return "\n".join(lines)


def _clauses(pair: Pair) -> list[str]:
    for cell in (pair.base, pair.patched):
        if not cell.outcomes():
            why = f": {clean(cell.failure.kind)}" if cell.failure else ""
            return [f"nothing to compare, {clean(cell.kernel.name)} is {cell.status.value}{why}"]
    found = difference(pair)
    told = _told(pair.patched, found.changes)
    if len(told) > CLAUSES:
        told = [*told[:CLAUSES], f"{len(told) - CLAUSES} more changes"]
    told = [*told, f"{found.unchanged} unchanged"] if told else ["nothing changed"]
    return [clean(clause) + ";" for clause in told[:-1]] + told[-1:]


def _told(cell: Cell, changes: Sequence[PathChange]) -> list[str]:
    """Places with the same change together: how tests behave, what was not seen, the audits."""
    groups: dict[tuple[int, str, str, str], list[str]] = {}
    for change in changes:
        rank, what, place = _named(cell, change)
        before, after = _words(what, change.before), _words(what, change.after)
        groups.setdefault((rank, what, before, after), []).append(place)
    ordered = sorted(groups.items(), key=lambda item: item[0][0])
    return [
        f"{what}{_several(places)}: {before} -> {after}"
        for (_, what, before, after), places in ordered
    ]


def _named(cell: Cell, change: PathChange) -> tuple[int, str, str]:
    """How much a change matters (0 most), what is said before its place, and the place."""
    top, _, rest = change.path.partition(".")
    if top in VERDICTS:
        mapping, _, stage = rest.rpartition(".") if rest.endswith(tuple(STAGES)) else (rest, "", "")
        ranks = (*STAGES, *VERDICTS)
        return 2 + ranks.index(stage or top), f"{STAGES.get(stage) or VERDICTS[top]} of ", mapping
    unseen = {change.before, change.after} & {NOT_REACHED, ABSENT}
    return int(bool(unseen)), "", change.path.removeprefix(f"{cell.suite.name}.")


def _words(what: str, value: str) -> str:
    if what.startswith(VERDICTS["witness"]) and value in set(AGREEMENT):
        return AGREEMENT[Status(value)]
    return words(value)


def _several(places: Sequence[str]) -> str:
    more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
    return ", ".join(places[:NAMED]) + more
