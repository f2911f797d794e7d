# SPDX-License-Identifier: GPL-2.0-only
"""Tests that only pass or fail, from a KTAP stream to records. Pure.

What kselftest, kunit and their like print is a result line a test and nothing that was measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from harness.results.records import Case, Observation, Status, worst
from harness.suites.ktap import Test

# What a directive makes of a result; SKIP, ERROR and TIMEOUT whatever the result says.
_DIRECTIVES = {
    "SKIP": Status.SKIP,
    "ERROR": Status.ERROR,
    "TIMEOUT": Status.MISS,
    "TODO": Status.DONE,  # known to fail: no verdict
    "XFAIL": Status.DONE,
}
_BAD = (Status.FAIL, Status.ERROR, Status.MISS)
# `time=0.12s`, `duration: 3 ms`, TAP 14's `duration_ms: 12.5`: KTAP itself has no durations.
_DURATION = re.compile(
    r"\b(?:time|duration|took)(?P<ms>_ms)?\s*[=:]?\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>m?s)?\b"
)


def status_of(test: Test) -> Status:
    """Return what the result line of `test` comes to, its directive included."""
    return _DIRECTIVES.get(test.directive, Status.PASS if test.ok else Status.FAIL)


def fails_alone(test: Test) -> bool:
    """Tell whether a parent's line is bad and no test below it is: its process failed, say."""
    return test.ok is not None and status_of(test) in _BAD and not _bad_below(test)


def _bad_below(test: Test) -> bool:
    return any(
        _bad_below(child) if child.children or child.ok is None else status_of(child) in _BAD
        for child in test.children
    )


def seconds_of(test: Test) -> float | None:
    """Return how long `test` took, as far as it said so."""
    match = next(filter(None, map(_DURATION.search, (test.reason, *test.diagnostics))), None)
    if match is None:
        return None
    factor = 1e-3 if match["ms"] or match["unit"] == "ms" else 1.0
    return round(float(match["number"]) * factor, 6)


def case_of(suite: str, item: Observation, test: Test) -> Case:
    """Return the case that the observation of a test's result line is."""
    message = str(item.detail.get("reason", ""))
    if _DURATION.fullmatch(message.strip()):  # says nothing of why
        message = "" if item.status is Status.PASS else "; ".join(test.diagnostics)
    name = item.path.removeprefix(f"{suite}.")
    return Case(name=name, status=item.status, message=message, seconds=seconds_of(test))


def merge_guests(guests: Iterable[Sequence[Case]]) -> list[Case]:
    """Return the cases of several guests of one cell; a name that came twice is at its worst."""
    merged: dict[str, Case] = {}
    for case in (case for guest in guests for case in guest):
        known = merged.setdefault(case.name, case)
        if worst([known.status, case.status]) is not known.status:
            merged[case.name] = case
    return list(merged.values())
