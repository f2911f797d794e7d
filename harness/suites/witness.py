# SPDX-License-Identifier: GPL-2.0-only
"""Three witnesses of a mapping: the page tables, the architecture, and the probes. Pure.

The tables have the types of the two stages, the Arm ARM (DDI 0487, D8.6) says what they combine
to and so what an unaligned access must do; the probe made such an access. A disagreement means
that one of the three is wrong, and is a finding of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from harness.results.readings import AuditRecord
from harness.results.records import OR, VM_KILLED, Observation, Status

STAGES = ("stage1", "stage2", "combined")
BEHAVIOUR = "unaligned_load"  # the test whose outcome depends on the type
MANY = "unaligned_loads"  # the test with many widths and offsets
_EFFECTS = {"works": "works", "faults": "faults in the guest", VM_KILLED: "kills the VM"}


def audit_observations(audits: Sequence[AuditRecord]) -> list[Observation]:
    """Return `audit.MAPPING` with each record's verdict, and `.stage1|stage2|combined` below.

    A type with two readings (`Device-nGnRnE or Device-nGnRE`) has `ambiguous` in its detail.
    """
    observations = []
    for record in audits:
        path = f"audit.{record.mapping}"
        verdict = Observation(path=path, status=record.status)
        if record.detail.reason:
            verdict.detail["reason"] = record.detail.reason
        observations.append(verdict)
        types = (record.stage1, record.stage2, record.combined)
        for stage, name in zip(STAGES, types, strict=True):
            if name is not None:
                item = Observation(path=f"{path}.{stage}", status=Status.DONE, value=name)
                if OR in name:
                    item.detail["ambiguous"] = True
                observations.append(item)
    return observations


def predicted(stage1: str | None, combined: str | None) -> str | None:
    """Return the effect that an unaligned access must have on a mapping of these types.

    Return None where the architecture allows several. An unaligned access to Device memory faults
    (D8.6, alignment checks). With Device at stage 1 the fault is taken by the guest; with Device
    at stage 2 only, the fault is taken to EL2, and KVM gives the guest up.
    """
    if stage1 is None or combined is None or combined == "reserved":
        return None
    device = {reading.startswith("Device") for reading in combined.split(OR)}
    if len(device) > 1:
        return None
    if device == {False}:
        # FEAT_S2FWB, MemAttr 6 makes Device Normal-WB: stage 1's alignment check may come first.
        return None if stage1.startswith("Device") else "works"
    return "faults" if stage1.startswith("Device") else VM_KILLED


def witnesses(
    suite: str,
    audits: Sequence[AuditRecord],
    observations: Iterable[Observation],
    limits: Mapping[str, str],
) -> list[Observation]:
    """Return `witness.MAPPING` for every mapping that was both audited and probed.

    PASS: the witnesses with a statement agree. FAIL: they do not; the reason has all statements.
    SKIP: nothing can be compared. `limits` maps patterns of tests to reasons why the machine
    cannot show them: there the behaviour abstains, and only the page tables and the guest's own
    AT S1E1R are compared.
    """
    by_path = {o.path: o for o in observations}
    results = []
    for record in audits:
        mapping = record.mapping
        at_result = by_path.get(f"{suite}.{mapping}.stage1")
        name = MANY if f"{suite}.{mapping}.{MANY}" in by_path else BEHAVIOUR
        probe = by_path.get(f"{suite}.{mapping}.{name}")
        if at_result is None and probe is None:
            continue
        results.append(_witness(record, at_result, probe, _limit(f"{mapping}.{name}", limits)))
    return results


def _limit(test: str, limits: Mapping[str, str]) -> str:
    """Return the reason of the first pattern that fits the test's path or name, else ""."""
    names = (test, test.rpartition(".")[2])
    fitting = (
        why for pattern, why in limits.items() if any(fnmatchcase(n, pattern) for n in names)
    )
    return next(fitting, "")


def _witness(
    record: AuditRecord, at_result: Observation | None, probe: Observation | None, limit: str
) -> Observation:
    must = predicted(record.stage1, record.combined)
    did = None if limit or probe is None else probe.value
    par = None if at_result is None else at_result.value  # the type in PAR_EL1 after AT S1E1R
    witness = Observation(path=f"witness.{record.mapping}", status=Status.PASS)
    witness.detail.update(_testimony(record, must, did, limit))
    problems = []
    if must is not None and did is not None and did != must:
        problems.append(
            f"tables say {witness.detail['tables']}, the architecture combines that to"
            f" {witness.detail['architecture']}, the probe saw: {did}"
        )
    tables = record.stage1
    if None not in (par, tables) and par != tables:
        problems.append(f"the guest's own AT S1E1R says {par}, its tables {tables}")
    if problems:
        witness.status = Status.FAIL
        witness.detail["reason"] = "; ".join(problems)
    elif must is None:
        no_prediction = f"no prediction: {witness.detail['tables']}"
        witness.status = Status.SKIP
        witness.detail["reason"] = record.detail.reason or no_prediction
    elif did is None and par is None:
        witness.status = Status.SKIP
        witness.detail["reason"] = limit or f"{BEHAVIOUR} was not observed"
    return witness


def _testimony(
    record: AuditRecord, must: str | None, did: object, limit: str
) -> dict[str, str | bool]:
    """Return the statement of each witness; `abstains` is set when no behaviour was observed."""
    consequence = "nothing follows" if must is None else f"an unaligned access {_EFFECTS[must]}"
    testimony: dict[str, str | bool] = {
        "tables": f"{record.stage1} over {record.stage2 or 'no leaf'}",
        "architecture": f"{record.combined or 'no type'}: {consequence}",
        "behaviour": str(did) if did is not None else f"abstains: {limit or 'not observed'}",
    }
    if did is None:
        testimony["abstains"] = True
    return testimony
