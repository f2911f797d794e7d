# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval bisect`: a bisection whose boots are cells of one run."""

from __future__ import annotations

import sys

from harness.app.surroundings import Options, surroundings
from harness.evaluate.bisect.run import Finished, Question, run_bisect
from harness.evaluate.patch import request
from harness.evaluate.patch.request import matrix_of

WAY_ON = "start it again with the same words: it goes on where it was"


def find_first_bad(question: Question, asked: request.Options, options: Options) -> Finished:
    """Find the first bad commit. UsageError for refs, series or checks that are none."""
    retention = matrix_of(asked).retention
    with surroundings(options, way_on=WAY_ON, most=2, retention=retention) as around:
        return run_bisect(question, asked, around, sys.argv)
