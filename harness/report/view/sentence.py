# SPDX-License-Identifier: GPL-2.0-only
"""The changes of a patch as one sentence: behaviour first, then the audits. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from harness.base.text import clean
from harness.report.view.words import words
from harness.results.compare import ABSENT, NOT_REACHED, Pair, PathChange, difference
from harness.results.records import Cell, Status

NAMED = 4  # paths that a clause names before it counts the rest
CLAUSES = 12  # that a sentence has before it counts the rest
INDENT = "  "  # of the lines after the first
STAGES = {"stage1": "stage 1", "stage2": "stage 2", "combined": "effective type"}
VERDICTS = {"audit": "audit", "witness": "witnesses"}
AGREEMENT = {Status.PASS: "agree", Status.FAIL: "disagree", Status.SKIP: "abstain"}


def sentences(pairs: Iterable[Pair]) -> list[list[str]]:
    """Return the clauses of each comparison, head first; equal ones of several machines once.

    E.g. `["a -> b on nested-tcg:", "ioremap_wc.unaligned_load: VM killed -> works;", …]`.
    """
    pairs = list(pairs)
    suites = {pair.base.suite.name for pair in pairs}
    machines: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for pair in pairs:
        head = f"{clean(pair.base.kernel.name)} -> {clean(pair.patched.kernel.name)}"
        head += f", {clean(pair.base.suite.name)}" if len(suites) > 1 else ""
        key = (head, tuple(_clauses(pair)))
        machines.setdefault(key, []).append(clean(pair.base.machine.name))
    return [
        [f"{head} on {', '.join(names)}:", *clauses] for (head, clauses), names in machines.items()
    ]


def fill(clauses: Sequence[str], width: int) -> str:
    """Return clauses on lines of at most `width` characters; a clause that fits is not folded."""
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
            kind = f": {clean(cell.failure.kind)}" if cell.failure else ""
            return [f"nothing to compare, {clean(cell.kernel.name)} is {cell.status.value}{kind}"]
    differs = difference(pair)
    clauses = _changes(pair.patched, differs.changes)
    if len(clauses) > CLAUSES:
        clauses = [*clauses[:CLAUSES], f"{len(clauses) - CLAUSES} more changes"]
    clauses = [*clauses, f"{differs.unchanged} unchanged"] if clauses else ["nothing changed"]
    return [clean(clause) + ";" for clause in clauses[:-1]] + clauses[-1:]


def _changes(cell: Cell, changes: Sequence[PathChange]) -> list[str]:
    """Return a clause for all paths with the same change: tests, unreached tests, audits."""
    groups: dict[tuple[int, str, str, str], list[str]] = {}
    for change in changes:
        rank, prefix, name = _rank_and_name(cell, change)
        before, after = _words(prefix, change.before), _words(prefix, change.after)
        groups.setdefault((rank, prefix, before, after), []).append(name)
    ordered = sorted(groups.items(), key=lambda item: item[0][0])
    return [
        f"{prefix}{_first_names(names)}: {before} -> {after}"
        for (_, prefix, before, after), names in ordered
    ]


def _rank_and_name(cell: Cell, change: PathChange) -> tuple[int, str, str]:
    """Return how much a change matters (0 most), the words before its name, and the name."""
    top, _, rest = change.path.partition(".")
    if top in VERDICTS:
        mapping, _, stage = rest.rpartition(".") if rest.endswith(tuple(STAGES)) else (rest, "", "")
        ranks = (*STAGES, *VERDICTS)
        return 2 + ranks.index(stage or top), f"{STAGES.get(stage) or VERDICTS[top]} of ", mapping
    missing = {change.before, change.after} & {NOT_REACHED, ABSENT}
    return int(bool(missing)), "", change.path.removeprefix(f"{cell.suite.name}.")


def _words(prefix: str, value: str) -> str:
    if prefix.startswith(VERDICTS["witness"]) and value in set(AGREEMENT):
        return AGREEMENT[Status(value)]
    return words(value)


def _first_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
