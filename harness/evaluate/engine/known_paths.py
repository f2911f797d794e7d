# SPDX-License-Identifier: GPL-2.0-only
"""Paths that suites have given before: an expectation of another one may be misspelt.

`paths/SUITE-HASH.json` in the cache, a file for each suite, machine (device, topology, CPU…) and
harness. A path that is not there has not been seen yet, which proves nothing: it is warned of.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.files import write_atomic
from harness.base.json_text import json_text
from harness.base.locks import locked
from harness.base.paths import cache_dir
from harness.evaluate.engine.unchanged import harness_hash
from harness.evaluate.plan.expect import Expect, was_seen
from harness.evaluate.plan.plan import CellRequest, Plan, Problems
from harness.results.records import Cell

WAIT_SECONDS = 60.0
NAMED = 3  # suites or machines in a warning


def _file(request: CellRequest) -> Path:
    """Where the paths of the request's suite on its machine are kept."""
    suite, machine = request.suite, request.machine
    shape = json_text(machine, exclude={"name", "extends", "description", "limits"})
    parts = json.dumps([suite.source_hash, shape, harness_hash()])
    return (
        cache_dir("paths") / f"{suite.name}-{hashlib.sha256(parts.encode()).hexdigest()[:16]}.json"
    )


def _load(path: Path) -> set[str]:
    """The paths in the file; none where it cannot be read."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return {str(one) for one in json.loads(path.read_text())}
    return set()


def remember(ran: Iterable[tuple[CellRequest, Cell]]) -> None:
    """Keep the paths of those cells whose guests came to their end."""
    for request, cell in ran:
        if cell.failure or cell.carried or not cell.outcomes():
            continue
        path = _file(request)
        given = {o.path for o in cell.outcomes()}
        deadline = Deadline(WAIT_SECONDS)  # another run may end just now
        with locked(path.with_name("lock"), "the paths of suites", deadline):
            known = _load(path)
            if not given <= known:
                write_atomic(path, json.dumps(sorted(known | given)))


def not_seen_yet(plan: Plan, requests: Sequence[CellRequest], path: Path | None) -> list[str]:
    """Return a warning for each expectation of a path that its cells' suites have not given yet.

    `path` is the plan's file. There is no warning where one of the suites has not run to its end
    on its machine before.
    """
    told = Problems(path)
    for at, expect in enumerate(plan.expect):
        concerned = [request for request in requests if expect.concerns(request)]
        known = _known(concerned)
        if known and not was_seen(expect.path, sorted(known)):
            told.add(("expect", at, "path"), "", _words(expect, concerned, known))
    return [f"warning: {line}" for line in told.lines]


def _known(requests: Sequence[CellRequest]) -> set[str]:
    """All paths that the requests' suites have given; none where one of them never ran."""
    known = [_load(place) for place in {_file(request) for request in requests}]
    return set().union(*known) if all(known) else set()


def _words(expect: Expect, concerned: Sequence[CellRequest], known: set[str]) -> str:
    suites = _some([request.suite.name for request in concerned])
    machines = _some([request.machine.name for request in concerned])
    near = difflib.get_close_matches(expect.path, known, n=1)
    hint = f": did you mean '{near[0]}'?" if near else ""
    return f"expect {expect.path}: {suites} on {machines} has given no such path so far{hint}"


def _some(names: Iterable[str]) -> str:
    """The names, each once; how many more there are, when there are many."""
    once = list(dict.fromkeys(names))
    more = [f"{len(once) - NAMED} more"] if len(once) > NAMED else []
    return ", ".join(once[:NAMED] + more)
