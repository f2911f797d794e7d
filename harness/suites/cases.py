# SPDX-License-Identifier: GPL-2.0-only
"""Tests that only pass or fail, from a KTAP stream to records. Pure.

kselftest, kunit and their like print a result line for each test, and no measurements.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from harness.results.records import Case, Observation, Status, worst
from harness.suites.ktap import Test

# The status that a directive gives a result line, `ok` or `not ok` alike.
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
    """Return the status of `test` by its result line and directive."""
    return _DIRECTIVES.get(test.directive, Status.PASS if test.ok else Status.FAIL)


def fails_alone(test: Test) -> bool:
    """Return whether a parent's line is bad and no test below is: its process failed, say."""
    return test.ok is not None and status_of(test) in _BAD and not _bad_below(test)


def _bad_below(test: Test) -> bool:
    return any(
        _bad_below(child) if child.children or child.ok is None else status_of(child) in _BAD
        for child in test.children
    )


def seconds_of(test: Test) -> float | None:
    """Return the duration of `test` in seconds, None when no text of the test has it."""
    match = next(filter(None, map(_DURATION.search, (test.reason, *test.diagnostics))), None)
    if match is None:
        return None
    factor = 1e-3 if match["ms"] or match["unit"] == "ms" else 1.0
    return round(float(match["number"]) * factor, 6)


def case_of(suite: str, item: Observation, test: Test) -> Case:
    """Return `item`, the observation of a test's result line, as a case of the suite."""
    message = str(item.detail.get("reason", ""))
    if _DURATION.fullmatch(message.strip()):  # a duration is no reason
        message = "" if item.status is Status.PASS else "; ".join(test.diagnostics)
    name = item.path.removeprefix(f"{suite}.")
    return Case(name=name, status=item.status, message=message, seconds=seconds_of(test))


def merge_guests(guests: Iterable[Sequence[Case]]) -> list[Case]:
    """Return the cases of several guests of one cell, each name once, with its worst status."""
    merged: dict[str, Case] = {}
    for case in (case for guest in guests for case in guest):
        known = merged.setdefault(case.name, case)
        if worst([known.status, case.status]) is not known.status:
            merged[case.name] = case
    return list(merged.values())
