# SPDX-License-Identifier: GPL-2.0-only
"""Figures: what a set of samples says, and whether two sets differ. Pure; scipy does the work.

Medians, because timings have outliers to one side; intervals by bootstrap and a rank test,
because nothing is known about their distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
RESAMPLES = 2000
SEED = 20260101  # the same samples give the same interval
# Cliff's delta: what Romano et al. (2006) call a small effect begins at 0.147.
SMALL_EFFECT = 0.147


@dataclass(frozen=True)
class Summary:
    """`median` of `count` samples with its 95 % bootstrap interval, in the samples' unit.

    One sample, or samples that are all the same, give an interval of no width.
    """

    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Shift:
    """How the samples of `patched` lie against those of `base`.

    `ratio` is median over median (NaN when the base's is 0), `p` the probability of such ranks if
    nothing had changed (two-sided Mann-Whitney U), `effect` Cliff's delta: -1 (every patched
    sample is smaller) to 1 (every one is larger).
    """

    base: Summary
    patched: Summary
    ratio: float
    p: float
    effect: float

    @property
    def differs(self) -> bool:
        """Too unlikely to be chance, and not too small to matter."""
        return self.p < 1 - CONFIDENCE and abs(self.effect) >= SMALL_EFFECT


def summarize(samples: Sequence[float]) -> Summary:
    """The median and its interval. ValueError for no sample, or one that is not finite."""
    return summaries([samples])[0]


def summaries(sets: Sequence[Sequence[float]]) -> list[Summary]:
    """summarize() of each of `sets`, all of one size: together they take a fraction of the time."""
    import numpy as np  # noqa: PLC0415 - numpy and scipy take 300 ms, most commands need neither
    from scipy.stats import bootstrap  # noqa: PLC0415

    data = np.asarray(sets, dtype=float)
    if not data.size or not np.isfinite(data).all():
        raise ValueError("samples must be finite, and at least one")
    medians = np.median(data, axis=1)
    low = high = medians
    if data.shape[1] > 1:
        interval = bootstrap(
            (data,),
            np.median,
            axis=1,
            confidence_level=CONFIDENCE,
            n_resamples=RESAMPLES,
            method="percentile",
            rng=np.random.default_rng(SEED),
        ).confidence_interval
        low, high = interval.low, interval.high
    return [
        Summary(float(median), float(least), float(most), data.shape[1])
        for median, least, most in zip(medians, low, high, strict=True)
    ]


def shift(base: Sequence[float], patched: Sequence[float]) -> Shift:
    """Compare two sets of samples of one figure. ValueError as for summarize()."""
    from scipy.stats import mannwhitneyu  # noqa: PLC0415

    before, after = summarize(base), summarize(patched)
    ratio = after.median / before.median if before.median else math.nan
    test = mannwhitneyu(patched, base, alternative="two-sided")
    # U counts the pairs in which the patched sample is the larger one, ties half.
    effect = 2 * float(test.statistic) / (len(base) * len(patched)) - 1
    return Shift(before, after, ratio, float(test.pvalue), effect)
