# SPDX-License-Identifier: GPL-2.0-only
"""Figures: medians, intervals and the comparison of two sets of samples."""

from __future__ import annotations

import math
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.results.stats import boots_needed, independent, shift, shown_values, summarize

FIGURES = st.floats(-1e9, 1e9)


def test_the_median_and_an_interval_around_it() -> None:
    found = summarize([10.0, 11.0, 12.0, 13.0, 500.0])
    assert found.median == 12.0
    assert found.low < 12.0 < found.high
    assert found.count == 5


def test_samples_that_never_differ_have_no_interval() -> None:
    found = summarize([7.0] * 9)
    assert (found.median, found.low, found.high) == (7.0, 7.0, 7.0)


def test_the_interval_covers_the_true_median_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        found = summarize(list(rng.exponential(1.0, 40)))
        hits += found.low <= math.log(2) <= found.high
    assert 180 <= hits <= 199


@pytest.mark.parametrize("samples", [[], [1.0, math.nan], [math.inf]])
def test_no_figure_out_of_nothing(samples: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        summarize(samples)


def test_all_larger_is_an_effect_of_one() -> None:
    found = shift([1.0, 2.0, 3.0, 4.0, 5.0], [10.0, 11.0, 12.0, 13.0, 14.0])
    assert (found.effect, found.ratio) == (1.0, 4.0)
    assert found.p < 0.01
    assert found.differs


def test_cliffs_delta_by_hand() -> None:
    # Of 3 x 2 pairs the patched sample is larger in 3, equal in 1, smaller in 2.
    assert shift([1.0, 2.0, 4.0], [2.0, 3.0]).effect == pytest.approx((3 - 2) / 6)


def test_chance_is_told_from_a_change() -> None:
    rng = np.random.default_rng(2)
    false = sum(
        shift(list(rng.normal(5, 1, 20)), list(rng.normal(5, 1, 20))).differs for _ in range(200)
    )
    assert false <= 20
    assert shift(list(rng.normal(5, 1, 20)), list(rng.normal(8, 1, 20))).differs


def test_the_same_figures_do_not_differ() -> None:
    found = shift([3.0] * 5, [3.0] * 5)
    assert (found.effect, found.ratio, found.differs) == (0.0, 1.0, False)


def test_a_ratio_to_nothing_is_no_number() -> None:
    assert math.isnan(shift([0.0, 0.0], [1.0, 2.0]).ratio)


@settings(deadline=None)  # a busy machine is no fault
@given(st.lists(FIGURES, min_size=1, max_size=20), st.lists(FIGURES, min_size=1, max_size=20))
def test_turning_it_round_turns_the_effect_round(one: list[float], other: list[float]) -> None:
    forth, back = shift(one, other), shift(other, one)
    assert forth.effect == pytest.approx(-back.effect)
    assert forth.p == pytest.approx(back.p)
    assert -1 <= forth.effect <= 1


def boots(rng: np.random.Generator, level: float) -> list[list[float]]:
    """Six boots of 20 samples: each boot is off by as much as one sample from another."""
    return [list(level + rng.normal(0, 1) + rng.normal(0, 1, 20)) for _ in range(6)]


def test_samples_of_one_boot_have_that_boot_in_common() -> None:
    rng = np.random.default_rng(3)
    pairs = [(boots(rng, 50), boots(rng, 50)) for _ in range(100)]
    pooled = sum(shift(list(chain(*a)), list(chain(*b))).differs for a, b in pairs)
    assert pooled > 30  # taken for independent, what is the same differs every third time
    assert sum(shift(independent(a), independent(b)).differs for a, b in pairs) <= 8
    found = shift(independent(boots(rng, 50)), independent(boots(rng, 60)))
    assert found.differs and found.base.count == 6


def test_one_boot_says_nothing_of_another() -> None:
    found = shift(independent([[1.0, 2.0, 3.0] * 9]), independent([[7.0, 8.0, 9.0] * 9]))
    assert (found.p, found.differs) == (1.0, False)


@pytest.mark.parametrize("figures", [1, 2, 20])
def test_so_many_boots_are_needed(figures: int) -> None:
    needed = boots_needed(figures)
    low, high = [float(n) for n in range(needed)], [float(n) for n in range(50, 50 + needed)]
    assert shift(low, high, figures).differs
    assert not shift(low[1:], high[1:], figures).differs


def test_what_is_shown_of_one_boot_and_of_several() -> None:
    assert shown_values([[1.0, 2.0, 9.0]]) == [1.0, 2.0, 9.0]
    assert shown_values([[1.0, 2.0, 9.0], [4.0, 4.0]]) == [2.0, 4.0]
