# SPDX-License-Identifier: GPL-2.0-only
"""Are stores gathered? Decided from how long they take, as network drivers do at their start.

A guest measures as many stores of eight bytes in two orders: in blocks of 64 bytes, which a
write-combining buffer can hand on as one transaction each, and with each store in another line
than the one before, which it cannot. Only the order differs. mlx5 decides from a single completion;
here a rank test over samples decides, so that the chance to be wrong is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# The chance to call stores gathered where both orders take the same time.
ERROR_RATE = 0.001
# And they have to be so many times as fast: caches and prefetching make for small differences,
# eight stores handed on as one for a large one.
SMALLEST_RATIO = 1.5
FEWEST_SAMPLES = 8  # of each; with less no order of ranks is unlikely enough


@dataclass(frozen=True)
class Combining:
    """`ratio`: median time of spaced stores over that of blocks; `p`: of the rank test."""

    gathered: bool
    ratio: float
    p: float

    @property
    def word(self) -> str:
        return "gathered" if self.gathered else "not-gathered"


def decide(blocks: Sequence[float], spaced: Sequence[float]) -> Combining:
    """Decide from samples of both orders, in one unit of time.

    ValueError when there are too few, or one is no time at all.
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
