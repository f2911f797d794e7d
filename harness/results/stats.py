# SPDX-License-Identifier: GPL-2.0-only
"""Medians and intervals of samples, and whether two sets of samples differ. Pure, with scipy.

Medians, because timings have outliers to one side; intervals by bootstrap and a rank test,
because nothing is known about their distribution.
"""

from __future__ import annotations

import math
import statistics
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
    """How the samples of `patched` differ from those of `base`.

    `ratio` is median over median (NaN when the base's is 0), `p` the probability of such ranks if
    nothing had changed (two-sided Mann-Whitney U), `effect` Cliff's delta: -1 (every patched
    sample is smaller) to 1 (every one is larger), `figures` how many are compared at once.
    """

    base: Summary
    patched: Summary
    ratio: float
    p: float
    effect: float
    figures: int = 1

    @property
    def differs(self) -> bool:
        """Tell whether the difference is too unlikely to be chance, and large enough to matter.

        Of several `figures`, each has to be that much less likely (Bonferroni).
        """
        return self.p * self.figures < 1 - CONFIDENCE and abs(self.effect) >= SMALL_EFFECT


def summarize(samples: Sequence[float]) -> Summary:
    """Return the median and its interval; raise ValueError for no samples, or infinite ones."""
    return summaries([samples])[0]


def summaries(sets: Sequence[Sequence[float]]) -> list[Summary]:
    """Return summarize() of each of `sets`, all of one size, in a fraction of the time.

    Raise ValueError as summarize() does.
    """
    if all(len(samples) == 1 and math.isfinite(samples[0]) for samples in sets):
        return [Summary(float(one), float(one), float(one), 1) for (one,) in sets]

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


def independent(boots: Sequence[Sequence[float]]) -> list[float]:
    """Return the median of each boot: samples of one boot are not independent, medians are.

    A single boot gives one median: nothing tells how far another boot would be off.
    """
    return [statistics.median(samples) for samples in boots if samples]


def shown_values(boots: Sequence[Sequence[float]]) -> list[float]:
    """Return the values whose spread is shown: the boots' medians, or one boot's samples."""
    return independent(boots) if len(boots) > 1 else list(*boots)


def boots_needed(figures: int) -> int:
    """Return how many boots of each kernel are needed before one of `figures` figures can differ.

    The least likely order of n and n ranks, all of one side first, has the chance 2 / C(2n, n).
    """
    boots = 1
    while 2 / math.comb(2 * boots, boots) * max(figures, 1) >= 1 - CONFIDENCE:
        boots += 1
    return boots


def shift(base: Sequence[float], patched: Sequence[float], figures: int = 1) -> Shift:
    """Return how two sets of independent samples of one figure differ; `figures` are compared.

    Raise ValueError as summarize() does.
    """
    before, after = summarize(base), summarize(patched)
    ratio = after.median / before.median if before.median else math.nan
    if len(base) == len(patched) == 1:  # each of the two orders is as likely: p is 1, without scipy
        effect = float(after.median > before.median) - float(after.median < before.median)
        return Shift(before, after, ratio, 1.0, effect, figures)

    from scipy.stats import mannwhitneyu  # noqa: PLC0415

    test = mannwhitneyu(patched, base, alternative="two-sided")
    # U counts the pairs in which the patched sample is the larger one, ties half.
    effect = 2 * float(test.statistic) / (len(base) * len(patched)) - 1
    # Where all samples are one value, some versions of scipy have no p.
    p = 1.0 if math.isnan(test.pvalue) else float(test.pvalue)
    return Shift(before, after, ratio, p, effect, figures)
