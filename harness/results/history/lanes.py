# SPDX-License-Identifier: GPL-2.0-only
"""Judges the points of a lane: since when it is bad, and which inputs changed before. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from harness.results.history.values import (
    FirstBad,
    Flake,
    Lane,
    LaneSeries,
    Point,
    Setup,
    input_changes,
)

GOOD = ("PASS", "DONE")
BAD = ("FAIL", "ERROR")  # a MISS or a SKIP tells nothing of the kernel


def lane_series(
    lane: Lane,
    points: Sequence[Point],
    setups: Mapping[int, Setup],
    flakes: Sequence[Flake],
    limit: int,
) -> LaneSeries:
    """Return all of a lane's `points`, oldest first, judged; the newest `limit` are kept."""
    kept = tuple(points[-limit:])
    inputs = {
        at: input_changes(setups[before.setup], setups[point.setup])
        for at, (before, point) in enumerate(itertools.pairwise(kept), 1)
        if before.setup != point.setup
    }
    return LaneSeries(lane, kept, _bad(lane, points, setups), tuple(flakes), inputs)


def _bad(lane: Lane, points: Sequence[Point], setups: Mapping[int, Setup]) -> FirstBad | None:
    first = good = None
    for point in reversed(points):
        if point.status in GOOD:
            good = point
            break
        if point.status in BAD:
            first = point
    if first is None:
        return None
    inputs = input_changes(setups[good.setup], setups[first.setup]) if good else ()
    return FirstBad(lane, first, good, inputs)
