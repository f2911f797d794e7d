# SPDX-License-Identifier: GPL-2.0-only
"""Paths that suites have been seen to give: an expectation about another one is a mistake.

`paths/SUITE-HASH.json` in the cache, a file for each suite, topology and harness: what a suite
gave before it was changed says nothing.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.expect import Expect, was_seen
from harness.home import cache_dir
from harness.plan import CellRequest, Plan, Problems
from harness.results.records import Cell
from harness.sched.unchanged import harness_hash


def _file(suite: str, source_hash: str, topology: str) -> Path:
    parts = f"{source_hash} {topology} {harness_hash()}"
    return cache_dir("paths") / f"{suite}-{hashlib.sha256(parts.encode()).hexdigest()[:16]}.json"


def _load(path: Path) -> set[str]:
    with contextlib.suppress(OSError, ValueError):
        return set(json.loads(path.read_text()))
    return set()


def remember(cells: Iterable[Cell]) -> None:
    """Keep the paths of the cells whose guests came to their end."""
    for cell in cells:
        if cell.failure or cell.carried or not cell.observations:
            continue
        path = _file(cell.suite.name, cell.suite.source_hash, cell.machine.topology)
        known = _load(path)
        seen = known | {o.path for o in cell.observations}
        if seen != known:
            part = path.with_suffix(".part")
            part.write_text(json.dumps(sorted(seen)))
            part.replace(path)


def never_seen(plan: Plan, requests: Sequence[CellRequest], path: Path | None) -> list[str]:
    """A line for each expectation about a path that its cells' suites have never given.

    Suites that have not run to their end yet are believed to give anything.
    """
    told = Problems(path)
    for at, expect in enumerate(plan.expect):
        known = _known(expect, requests)
        if known and not was_seen(expect.path, sorted(known)):
            near = difflib.get_close_matches(expect.path, known, n=1)
            hint = f": did you mean '{near[0]}'?" if near else ""
            what = f"expect {expect.path}: no suite here gives such a path{hint}"
            told.add(("expect", at, "path"), "", what)
    return told.lines


def _known(expect: Expect, requests: Sequence[CellRequest]) -> set[str]:
    """All paths of the suites that `expect` is about; empty where one of them is not known."""
    places = {
        _file(r.suite.name, r.suite.source_hash, r.machine.topology)
        for r in requests
        if expect.concerns(r)
    }
    known = [_load(place) for place in places]
    return set().union(*known) if all(known) else set()
