# SPDX-License-Identifier: GPL-2.0-only
"""What the guests of a cell reported, as the cell's observations and its status."""

from __future__ import annotations

from harness.guests.run.suite_run import PostChecks, SuiteOutcome
from harness.results.records import Cell, Failure, Observation, Status, worst
from harness.suites.cases import merge_guests
from harness.suites.observe import limited, merge, observe_suite
from harness.suites.suite import Suite
from harness.suites.witness import audit_observations, witnesses


def judge_cell(cell: Cell, suite: Suite, outcome: SuiteOutcome) -> None:
    """Fill in the failure, the observations and the status of `cell`."""
    name = suite.name
    limits = limited(suite.needs, cell.fidelity.limits)
    cell.failure = next((one.run.failure for one in outcome.passes if one.run.failure), None)
    guests = [
        observe_suite(name, one.run.lines, limits, one.run.failure, one.bar, cases=suite.cases)
        for one in outcome.passes
    ]
    probed = guests[0][0] if len(guests) == 1 else merge([seen for seen, _ in guests])
    cell.cases = merge_guests(cases for _, cases in guests)
    seen = witnesses(name, cell.audits, probed, limits)
    cell.observations = [*probed, *outcome.traced, *audit_observations(cell.audits), *seen]
    if outcome.checks:
        cell.observations += host_observations(name, outcome.checks)
    if cell.failure and not any("failure" in o.detail for o in cell.observations):
        cell.observations.append(ending(name, cell.failure))
    elif not cell.observations and not cell.cases:
        nothing = {"reason": "the suite ended without a result"}
        cell.observations = [Observation(path=name, status=Status.ERROR, detail=nothing)]
    cell.status = worst([o.status for o in cell.outcomes()])


def ending(suite: str, failure: Failure) -> Observation:
    """`SUITE.guest`: what became of a guest that did not end in one of its tests."""
    detail = {"reason": failure.summary, "failure": failure.kind}
    path, status = f"{suite}.guest", failure.status
    return Observation(path=path, status=status, value=failure.kind, detail=detail)


def host_observations(suite: str, checks: PostChecks) -> list[Observation]:
    """`SUITE.host.*`: whether the host under test came to harm by what its guests did."""
    answers = Observation(path=f"{suite}.host.answers", status=Status.PASS, value="answers")
    if not checks.answers:
        answers.status, answers.value = Status.FAIL, "silent"
        answers.detail["reason"] = "the host under test does not answer after its guests have ended"
    log = Observation(path=f"{suite}.host.log", status=Status.PASS, value="clean")
    if checks.log:
        log.status, log.value = Status.FAIL, checks.log.kind
        log.detail.update(reason=checks.log.summary, excerpt=checks.log.excerpt)
    device = Observation(path=f"{suite}.host.device", status=Status.PASS, value="given again")
    if checks.device is None:
        device.status, device.value = Status.SKIP, None
        device.detail["reason"] = "no guest came after the first one"
    elif not checks.device:
        device.status, device.value = Status.FAIL, "lost"
        device.detail["reason"] = "the guest that came next got no device, or never spoke"
    return [answers, log, device]
