# SPDX-License-Identifier: GPL-2.0-only
"""What a plan says of finished cells: its expectations, the run's status, a line of each. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evaluate.cell.refusal import judge_refusal
from harness.evaluate.plan.expect import judge, unexpected
from harness.evaluate.plan.mutants import concerning, judge_caught
from harness.evaluate.plan.plan import Plan
from harness.results.records import Cell, Run, Status, worst


def judge_by(plan: Plan, cell: Cell, cells: Sequence[Cell]) -> None:
    """Fill in the expectations of `cell`, and whether its kernel refused the VMM.

    `cells` are those of the run that are done.
    """
    judge_refusal(cell, cells, plan.compare)
    cell.expectations = judge(cell, plan.expect)
    cell.expectations += judge_caught(cell, plan.caught, list(cells))


def summary_of(cell: Cell) -> str:
    """Return one line: the failure, or how many observations of each status."""
    if cell.carried:
        return f"unchanged since {cell.carried}"
    again = f" (boot {len(cell.retried) + 1})" if cell.retried else ""
    if cell.failure:
        return cell.failure.summary + again
    counts = {s: sum(o.status == s for o in cell.outcomes()) for s in Status}
    return ", ".join(f"{n} {s.value}" for s, n in counts.items() if n) + again


def run_status(record: Run, plan: Plan) -> Status:
    """Return the run's verdict: a FAIL that the plan expects, or waits for, is no failure of it."""
    statuses = [Status.MISS] if record.run.interrupted else []
    for cell in record.cells:
        statuses += [e.status for e in cell.expectations]
        if not concerning(cell, plan.caught) and unexpected(cell, plan.expect):
            statuses.append(Status.FAIL)
        statuses += [o.status for o in cell.outcomes() if o.status != Status.FAIL]
        if not cell.outcomes():
            statuses.append(cell.status)
    return worst(statuses)
