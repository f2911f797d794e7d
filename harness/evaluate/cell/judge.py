# SPDX-License-Identifier: GPL-2.0-only
"""What the guests of a cell reported, as the cell's observations and its status."""

from __future__ import annotations

from harness.hosts.l1.session import Aftermath, Ended
from harness.results.records import Cell, Failure, Observation, Status, worst
from harness.suites.cases import merge_guests
from harness.suites.observe import limited, merge, observe_suite
from harness.suites.suite import Suite
from harness.suites.witness import audit_observations, witnesses


def judge_cell(cell: Cell, suite: Suite, ended: Ended) -> None:
    """Fill in the failure, the observations and the status of `cell`."""
    name = suite.name
    limits = limited(suite.needs, cell.fidelity.limits)
    cell.failure = next((one.run.failure for one in ended.passes if one.run.failure), None)
    guests = [
        observe_suite(name, one.run.lines, limits, one.run.failure, one.bar, cases=suite.cases)
        for one in ended.passes
    ]
    probed = guests[0][0] if len(guests) == 1 else merge([seen for seen, _ in guests])
    cell.cases = merge_guests(cases for _, cases in guests)
    seen = witnesses(name, cell.audits, probed, limits)
    cell.observations = [*probed, *ended.traced, *audit_observations(cell.audits), *seen]
    if ended.aftermath:
        cell.observations += aftermath_observations(name, ended.aftermath)
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


def aftermath_observations(suite: str, after: Aftermath) -> list[Observation]:
    """`SUITE.host.*`: whether the host under test came to harm by what its guests did."""
    answers = Observation(path=f"{suite}.host.answers", status=Status.PASS, value="answers")
    if not after.answers:
        answers.status, answers.value = Status.FAIL, "silent"
        answers.detail["reason"] = "the host under test does not answer after its guests have ended"
    log = Observation(path=f"{suite}.host.log", status=Status.PASS, value="clean")
    if after.log:
        log.status, log.value = Status.FAIL, after.log.kind
        log.detail.update(reason=after.log.summary, excerpt=after.log.excerpt)
    device = Observation(path=f"{suite}.host.device", status=Status.PASS, value="given again")
    if after.device is None:
        device.status, device.value = Status.SKIP, None
        device.detail["reason"] = "no guest came after the first one"
    elif not after.device:
        device.status, device.value = Status.FAIL, "lost"
        device.detail["reason"] = "the guest that came next got no device, or never spoke"
    return [answers, log, device]
