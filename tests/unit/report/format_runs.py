# SPDX-License-Identifier: GPL-2.0-only
"""Runs that formats and the page must cope with."""

from __future__ import annotations

from harness.results.failure_kinds import FailureKind
from harness.results.readings import AuditRecord, FidelityRecord
from harness.results.records import Failure, Observation, Run, Status, worst
from tests.unit.report.report_runs import LINES, a_cell, a_run

# What a console may hold: markup, control sequences, bytes that are no text, half a surrogate
# pair, marks that turn writing round, characters that XML has no place for.
HOSTILE = (
    "</pre><script>alert(1)</script><img src=x onerror=alert(2)> ]]> <!-- &amp; | ` # "
    "\x1b[31mred\x1b]0;title\x07\x00\x08\x9b2J \u202egnp.exe\ufffe\uffff\ud800 caf\u00e9 \u4f60"
)


def failing(
    status: Status = Status.FAIL, reason: str = "why", name: str = "debian-6.1", kind: str = "oops"
) -> Run:
    """A run of one cell in which one test is bad, another passed, a third was measured."""
    cell = a_cell(name, LINES)
    cell.observations = [
        Observation(path="wcprobe.a.good", status=Status.PASS),
        Observation(path="wcprobe.a.bad", status=status, detail={"reason": reason}),
        Observation(path="wcprobe.a.speed", status=Status.DONE, value=12.5, unit="MB/s"),
    ]
    cell.status = worst([item.status for item in cell.observations])
    if kind:
        cell.observations[1].detail["failure"] = kind
        cell.failure = Failure(
            kind=FailureKind(kind), summary=reason, excerpt=["line 1", reason], where="L2"
        )
    return a_run(cell, status=cell.status)


def expected(run: Run) -> Run:
    """The same run, of a plan that asked for what is bad in it."""
    for cell in run.cells:
        cell.expectations = [
            Observation(path=item.path, status=Status.PASS)
            for item in cell.observations
            if item.status is not Status.PASS and not item.unit
        ]
    return run


def hostile() -> Run:
    """A run in which everything that can be a guest's or a user's word is hostile."""
    run = failing(reason=HOSTILE, name=f"tree:{HOSTILE}", kind="panic")
    cell = run.cells[0]
    cell.name, cell.machine.name, cell.suite.name = HOSTILE, HOSTILE, HOSTILE
    cell.observations.append(Observation(path=HOSTILE, status=Status.ERROR, value=HOSTILE))
    cell.observations.append(
        Observation(path=f"{HOSTILE}.x", status=Status.DONE, value=1.5, unit=HOSTILE)
    )
    cell.kernel.version, cell.kernel.compiler = HOSTILE, HOSTILE
    cell.audits = [AuditRecord(mapping=HOSTILE, stage1=HOSTILE, stage2=HOSTILE, combined="")]
    cell.fidelity = FidelityRecord(limits={"x": HOSTILE})
    run.run.plan, run.run.command = HOSTILE, [HOSTILE]
    return run
