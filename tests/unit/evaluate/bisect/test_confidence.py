# SPDX-License-Identifier: GPL-2.0-only
"""How sure a bisection is of its answer."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from harness.evaluate.bisect.confidence import BAD, GOOD, confidence


@dataclass(frozen=True)
class Seen:
    answer: str
    boots: int
    dissent: int = 0


def answers(boots: int, good_dissent: int = 0, bad_dissent: int = 0) -> list[Seen]:
    """Three good commits and three bad ones; the first of each has boots that dissent."""
    good = [Seen(GOOD, boots, good_dissent), Seen(GOOD, boots), Seen(GOOD, boots)]
    return [*good, Seen(BAD, boots, bad_dissent), Seen(BAD, boots), Seen(BAD, boots)]


def test_more_boots_are_surer_and_none_are_proof() -> None:
    found = [confidence(answers(boots)) for boots in (1, 2, 3, 5, 20)]
    assert found == sorted(found) and found[0] > 0.3 and found[3] < 1
    assert 0.9 < found[1] < 0.99


def test_a_flicker_costs_confidence_on_the_other_side() -> None:
    """Bad commits that pass now and then make the good ones doubtful: they may be such."""
    steady, flickers = confidence(answers(5)), confidence(answers(5, bad_dissent=1))
    assert flickers < steady
    rare = [*answers(5), Seen(BAD, 5, 1), Seen(BAD, 5, 1), Seen(BAD, 5, 1)]
    assert confidence(rare) < flickers


def test_what_was_skipped_says_nothing() -> None:
    assert confidence([*answers(2), Seen("skip", 5, 2), Seen("skip", 1)]) == confidence(answers(2))
    assert confidence([Seen(GOOD, 100000), Seen(BAD, 100000)]) == pytest.approx(1)
