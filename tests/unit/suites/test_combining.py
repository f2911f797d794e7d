# SPDX-License-Identifier: GPL-2.0-only
"""Whether stores are gathered: how often the decision is wrong, over samples made for it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, mannwhitneyu

from harness.results.records import Observation, Status
from harness.suites.combining import ERROR_RATE, FEWEST_SAMPLES, decide
from harness.suites.observe import observe

SAMPLES = 24  # as guest-tests/wcprobe/figures.c takes them
TRIALS = 1500


def timings(rng: np.random.Generator, median: float, noise: float) -> list[float]:
    """As they come: skewed to one side, and one in twenty is disturbed by an interrupt."""
    values = median * rng.lognormal(0, noise, SAMPLES)
    disturbed = rng.random(SAMPLES) < 0.05
    return list(values * np.where(disturbed, rng.uniform(2, 20, SAMPLES), 1))


def test_the_rank_test_keeps_its_error_rate() -> None:
    """Both orders take the same time: the p of so many trials is not below the rate too often."""
    rng = np.random.default_rng(1)
    trials = 6 * TRIALS
    pairs = rng.lognormal(0, 0.3, (trials, 2, SAMPLES))
    p = mannwhitneyu(pairs[:, 1], pairs[:, 0], alternative="greater", axis=1).pvalue
    wrong = int((p < ERROR_RATE).sum())
    # An honest test is wrong more often than this once in a million runs of this test.
    assert wrong <= binom.ppf(1 - 1e-6, trials, ERROR_RATE)
    # And the p that decide() tells is that one.
    for one, expected in zip(pairs[:20], p[:20], strict=True):
        assert decide(list(one[0]), list(one[1])).p == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_stores_that_are_not_gathered_are_not_called_so(noise: float) -> None:
    rng = np.random.default_rng(2)
    for _ in range(300):
        found = decide(timings(rng, 40, noise), timings(rng, 40, noise))
        assert (found.gathered, found.word) == (False, "not-gathered")


def test_a_small_difference_is_no_gathering() -> None:
    """So sure that it is there, and yet not what eight stores in one transaction would do."""
    rng = np.random.default_rng(3)
    found = decide(timings(rng, 40, 0.01), timings(rng, 50, 0.01))
    assert found.p < ERROR_RATE and not found.gathered


def test_a_large_difference_may_be_chance() -> None:
    found = decide([10.0] * 13 + [90.0] * 11, [20.0] * 24)
    assert found.ratio == 2 and found.p > ERROR_RATE and not found.gathered


@pytest.mark.parametrize(("ratio", "noise"), [(8, 0.3), (3, 0.3), (2, 0.1)])
def test_gathered_stores_are_found(ratio: float, noise: float) -> None:
    rng = np.random.default_rng(4)
    found = [decide(timings(rng, 40, noise), timings(rng, 40 * ratio, noise)) for _ in range(300)]
    assert sum(one.gathered for one in found) >= 299
    assert np.median([one.ratio for one in found]) == pytest.approx(ratio, rel=0.1)


def test_slower_blocks_are_no_gathering() -> None:
    rng = np.random.default_rng(5)
    found = decide(timings(rng, 80, 0.1), timings(rng, 40, 0.1))
    assert not found.gathered and found.p > 0.5


def test_too_few_samples_decide_nothing() -> None:
    with pytest.raises(ValueError, match="samples"):
        decide([1.0] * (FEWEST_SAMPLES - 1), [9.0] * FEWEST_SAMPLES)


def test_a_clock_that_stands_still_decides_nothing() -> None:
    with pytest.raises(ValueError, match="no time"):
        decide([0.0] * 24, [9.0] * 24)


# -- as part of a guest's observations --------------------------------------------------------


def guest(blocks: list[float], spaced: list[float], limits: dict[str, str]) -> Observation:
    """What is told of the test `a.combining` of a guest with these samples."""
    value = "# s2eval: value test=a.combining name={} value=1 unit=ns/64B samples={}"
    lines = [
        "KTAP version 1",
        "1..1",
        "  KTAP version 1",
        "  # Subtest: a",
        "  1..1",
        value.format("blocks", ",".join(map(str, blocks))),
        value.format("spaced", ",".join(map(str, spaced))),
        "  ok 1 combining",
        "ok 1 a",
        "# s2eval: end",
    ]
    found = {o.path: o for o in observe("s", lines, limits, None, None)}
    return found["s.a.combining"]


def test_a_guest_whose_stores_are_gathered() -> None:
    rng = np.random.default_rng(6)
    one = guest(timings(rng, 5, 0.1), timings(rng, 40, 0.1), {})
    assert (one.status, one.value) == (Status.DONE, "gathered")
    assert one.detail["error_rate"] == ERROR_RATE and one.detail["ratio"] > 4
    assert one.detail["p"] < ERROR_RATE


def test_an_emulator_decides_nothing() -> None:
    one = guest([5.0] * 24, [40.0] * 24, {"*.combining": "it never merges stores"})
    assert (one.status, one.value) == (Status.SKIP, None)
    assert one.detail["reason"] == "it never merges stores"


def test_a_guest_with_too_few_samples_is_the_suites_error() -> None:
    assert guest([5.0], [40.0], {}).status is Status.ERROR
