# SPDX-License-Identifier: GPL-2.0-only
"""Three witnesses of a mapping: the page tables, the architecture, and what the probes saw. Pure.

The tables say which types the two stages have, the Arm ARM (DDI 0487, D8.6) what they combine to
and so what an unaligned access must do; the probe did one. Where they agree the mapping is
understood; where they do not, one of them is wrong, and that is a finding of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from harness.results.records import VM_KILLED, Observation, Status

Records = Sequence[Mapping[str, Any]]
STAGES = ("stage1", "stage2", "combined")
BEHAVIOUR = "unaligned_load"  # the test whose outcome depends on the type


def audit_observations(audits: Records) -> list[Observation]:
    """`audit.MAPPING.stage1|stage2|combined`, and `audit.MAPPING` with the record's verdict."""
    found = []
    for record in audits:
        path = f"audit.{record['mapping']}"
        verdict = Observation(path=path, status=Status(record["status"]))
        reason = record["detail"].get("reason")
        if reason:
            verdict.detail["reason"] = reason
        found.append(verdict)
        found += [
            Observation(path=f"{path}.{stage}", status=Status.DONE, value=record[stage])
            for stage in STAGES
            if record[stage] is not None
        ]
    return found


def predicted(record: Mapping[str, Any]) -> str | None:
    """What an unaligned access to an audited mapping must do, None where nothing can be said.

    Device memory refuses it (D8.6, alignment checks). Where stage 1 says so, the fault is the
    guest's own; where only stage 2 does, it is taken to EL2, and KVM gives the guest up.
    """
    stage1, combined = record["stage1"], record["combined"]
    if stage1 is None or combined is None:
        return None
    if not combined.startswith("Device"):
        return "works"
    return "faults" if stage1.startswith("Device") else VM_KILLED


def witnesses(
    suite: str, audits: Records, observations: Iterable[Observation], limits: Mapping[str, str]
) -> list[Observation]:
    """`witness.MAPPING` for every mapping that was both audited and probed.

    `limits` maps patterns of tests to why the machine cannot show them: there the behaviour
    abstains, and the two others are all there is.
    """
    seen = {o.path: o for o in observations}
    found = []
    for record in audits:
        mapping = record["mapping"]
        own = seen.get(f"{suite}.{mapping}.stage1")
        probe = seen.get(f"{suite}.{mapping}.{BEHAVIOUR}")
        if own is None and probe is None:
            continue
        found.append(_witness(record, own, probe, _limit(f"{mapping}.{BEHAVIOUR}", limits)))
    return found


def _limit(test: str, limits: Mapping[str, str]) -> str:
    return next((why for pattern, why in limits.items() if fnmatchcase(test, pattern)), "")


def _witness(
    record: Mapping[str, Any], own: Observation | None, probe: Observation | None, limit: str
) -> Observation:
    must = predicted(record)
    did = None if limit or probe is None else probe.value
    detail = {
        "tables": f"{record['stage1']} over {record['stage2']}",
        "architecture": f"{record['combined']}: an unaligned access {must}",
        "behaviour": str(did) if did is not None else f"abstains: {limit or 'not observed'}",
    }
    made = Observation(path=f"witness.{record['mapping']}", status=Status.PASS, detail=detail)
    problems = []
    if must is not None and did is not None and did != must:
        problems.append(
            f"tables say {detail['tables']}, the architecture combines that to"
            f" {detail['architecture']}, the probe saw: {did}"
        )
    if own is not None and own.value is not None and record["stage1"] not in (None, own.value):
        problems.append(f"the guest's own AT S1E1R says {own.value}, its tables {record['stage1']}")
    if problems:
        made.status = Status.FAIL
        made.detail["reason"] = "; ".join(problems)
    elif must is None:
        made.status = Status.SKIP
        made.detail["reason"] = record["detail"].get("reason", "the audit saw no leaf")
    return made
