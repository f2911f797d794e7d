# SPDX-License-Identifier: GPL-2.0-only
"""Decides from timings whether stores are gathered, as network drivers do at their start.

A guest measures as many stores of eight bytes in two orders: in blocks of 64 bytes, each of which
a write-combining buffer can hand on as one transaction, and with each store in another line than
the store before, which a buffer cannot merge. Only the order differs. mlx5 decides from a single
completion; here a rank test over samples decides, so that the chance to be wrong is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# The probability to call stores gathered where both orders take the same time.
ERROR_RATE = 0.001
# Blocks must also be so many times as fast: caches and prefetching make small differences, eight
# stores handed on as one make a large one.
SMALLEST_RATIO = 1.5
FEWEST_SAMPLES = 8  # of each order; with fewer no order of ranks is unlikely enough


@dataclass(frozen=True)
class Combining:
    """The decision: `ratio` is median time of spaced stores over blocks, `p` the rank test's p."""

    gathered: bool
    ratio: float
    p: float

    @property
    def word(self) -> str:
        """Return the decision as a value of an observation."""
        return "gathered" if self.gathered else "not-gathered"


def decide(blocks: Sequence[float], spaced: Sequence[float]) -> Combining:
    """Return the decision from samples of both orders, in the same unit of time.

    Raise ValueError when there are fewer than FEWEST_SAMPLES, or a sample is not positive.
    """
    import numpy as np  # noqa: PLC0415 - numpy and scipy take 300 ms
    from scipy.stats import mannwhitneyu  # noqa: PLC0415

    if min(len(blocks), len(spaced)) < FEWEST_SAMPLES:
        raise ValueError(f"{FEWEST_SAMPLES} samples of each order are needed")
    if min(*blocks, *spaced) <= 0:
        raise ValueError("no store takes no time")
    p = float(mannwhitneyu(spaced, blocks, alternative="greater").pvalue)
    ratio = float(np.median(spaced) / np.median(blocks))
    return Combining(p < ERROR_RATE and ratio >= SMALLEST_RATIO, ratio, p)
