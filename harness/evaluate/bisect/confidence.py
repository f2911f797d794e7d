# SPDX-License-Identifier: GPL-2.0-only
"""How sure the first bad commit is, from the boots that were looked at. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

GOOD, BAD = "good", "bad"


class Answer(Protocol):
    """What was found out about a commit: `dissent` of its `boots` said otherwise."""

    @property
    def answer(self) -> str:
        """GOOD, BAD, or another word for a commit that was skipped."""

    @property
    def boots(self) -> int:
        """The boots that were looked at."""

    @property
    def dissent(self) -> int:
        """The boots that said the opposite of `answer`."""


def confidence(tried: Sequence[Answer]) -> float:
    """Return the chance, 0 to 1, that no answer is wrong.

    How often a boot of a good commit fails the check, and one of a bad commit meets it, is taken
    from the boots themselves (Jeffreys' estimate, so that few boots without a dissenter are no
    proof). An answer is wrong with the posterior chance of the opposite, both being as likely
    before.
    """
    fails_though_good = _rate([one for one in tried if one.answer == GOOD])
    meets_though_bad = _rate([one for one in tried if one.answer == BAD])
    sure = 1.0
    for one in tried:
        if one.answer == GOOD:
            sure *= _right(one, fails_though_good, meets_though_bad)
        elif one.answer == BAD:
            sure *= _right(one, meets_though_bad, fails_though_good)
    return sure


def _rate(answers: Sequence[Answer]) -> float:
    """How often a boot says the opposite of what its commit is."""
    boots, dissent = sum(one.boots for one in answers), sum(one.dissent for one in answers)
    return (dissent + 0.5) / (boots + 1)


def _right(one: Answer, own: float, other: float) -> float:
    """The chance that an answer is right; the rates are those of commits like it, and of others."""
    agree = one.boots - one.dissent
    right = agree * math.log(1 - own) + one.dissent * math.log(own)
    wrong = agree * math.log(other) + one.dissent * math.log(1 - other)
    return 1 / (1 + math.exp(min(wrong - right, 700.0)))
