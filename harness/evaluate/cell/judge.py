# SPDX-License-Identifier: GPL-2.0-only
"""The judgement of a cell: from its guests' results to observations and a status."""

from __future__ import annotations

from collections.abc import Sequence

from harness.guests.run.suite_run import PostChecks, SuiteOutcome, SuiteRun
from harness.results.records import Cell, Failure, Observation, Status, worst
from harness.suites.cases import merge_guests
from harness.suites.census import census_observations
from harness.suites.mappings import load_kinds, mapping_observations
from harness.suites.observe import limited, merge, observe_suite
from harness.suites.policy import judge_policies
from harness.suites.suite import Suite
from harness.suites.witness import audit_observations, witnesses


def judge_cell(cell: Cell, suite: Suite, outcome: SuiteOutcome) -> None:
    """Set failure, observations, cases and status of `cell` from the results of its guests.

    Raise UsageError when the suite's rules cannot be read.
    """
    name = suite.name
    limits = limited(suite.needs, cell.fidelity.limits)
    runs = [suite_pass.run for suite_pass in outcome.passes]
    cell.failure = next((run.failure for run in runs if run.failure), None)
    guests = [
        observe_suite(
            name, guest.run.lines, limits, guest.run.failure, guest.bar, cases=suite.cases
        )
        for guest in outcome.passes
    ]
    probed = (
        guests[0][0] if len(guests) == 1 else merge([observations for observations, _ in guests])
    )
    if suite.policies:
        policy = judge_policies(name, suite.folder, probed)
        mappings = mapping_observations(name, probed, load_kinds(suite.folder))
        probed = [policy, *mappings, *probed]
    cell.cases = merge_guests(cases for _, cases in guests)
    agreement = witnesses(name, cell.audits, probed, limits)
    audited = audit_observations(cell.audits)
    cell.census = outcome.census
    leaves = census_observations(cell.census, suite.lifts)
    cell.observations = [*probed, *outcome.traced, *audited, *leaves, *agreement]
    if outcome.checks:
        cell.observations += host_observations(name, outcome.checks)
    if untold := _untold(suite, runs, [observations for observations, _ in guests]):
        cell.observations.append(ending(name, untold))
    elif not cell.observations and not cell.cases:
        detail = {"reason": "the suite ended without a result"}
        cell.observations = [Observation(path=name, status=Status.ERROR, detail=detail)]
    cell.status = worst([o.status for o in cell.outcomes()])


def _untold(
    suite: Suite, runs: Sequence[SuiteRun], guests: Sequence[Sequence[Observation]]
) -> Failure | None:
    """Return the last failure of a guest that is the end of none of its tests.

    What becomes of a guest after one that was to do harm is an observation of the host.
    """
    told = [any("failure" in o.detail for o in observations) for observations in guests]
    if suite.destructive:
        runs = [] if any(told) else runs[:1]
    failures = [run.failure for run, known in zip(runs, told, strict=False) if not known]
    return next((failure for failure in reversed(failures) if failure), None)


def ending(suite: str, failure: Failure) -> Observation:
    """Return `SUITE.guest`, the failure of a guest that did not end in one of its tests."""
    detail = {"reason": failure.summary, "failure": failure.kind}
    path, status = f"{suite}.guest", failure.status
    return Observation(path=path, status=status, value=failure.kind, detail=detail)


def host_observations(suite: str, checks: PostChecks) -> list[Observation]:
    """Return `SUITE.host.*`: FAIL where the guests have harmed the host under test."""
    answers = Observation(path=f"{suite}.host.answers", status=Status.PASS, value="answers")
    if not checks.answers:
        answers.status, answers.value = Status.FAIL, "silent"
        answers.detail["reason"] = "the host under test does not answer after its guests have ended"
    log = Observation(path=f"{suite}.host.log", status=Status.PASS, value="clean")
    if checks.log:
        log.status, log.value = Status.FAIL, checks.log.kind
        log.detail.update(reason=checks.log.summary, excerpt=checks.log.excerpt)
    if not checks.has_guests:
        return [answers, log]
    device = Observation(path=f"{suite}.host.device", status=Status.PASS, value="given again")
    if checks.device is None:
        device.status, device.value = Status.SKIP, None
        device.detail["reason"] = "no guest came after the first one"
    elif not checks.device:
        device.status, device.value = Status.FAIL, "lost"
        device.detail["reason"] = "the guest that came next got no device, or never spoke"
    return [answers, log, device]
