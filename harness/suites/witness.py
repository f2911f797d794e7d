# SPDX-License-Identifier: GPL-2.0-only
"""Three witnesses of a mapping: the page tables, the architecture, and what the probes saw. Pure.

The tables say which types the two stages have, the Arm ARM (DDI 0487, D8.6) what they combine to
and so what an unaligned access must do; the probe did one. Where they agree the mapping is
understood; where they do not, one of them is wrong, and that is a finding of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from harness.results.readings import AuditRecord
from harness.results.records import OR, VM_KILLED, Observation, Status

STAGES = ("stage1", "stage2", "combined")
BEHAVIOUR = "unaligned_load"  # the test whose outcome depends on the type
MANY = "unaligned_loads"  # the same of many widths and offsets
_SAID = {"works": "works", "faults": "faults in the guest", VM_KILLED: "kills the VM"}


def audit_observations(audits: Sequence[AuditRecord]) -> list[Observation]:
    """Return `audit.MAPPING` with each record's verdict, and `.stage1|stage2|combined` below it.

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
                read = Observation(path=f"{path}.{stage}", status=Status.DONE, value=name)
                if OR in name:
                    read.detail["ambiguous"] = True
                observations.append(read)
    return observations


def predicted(stage1: str | None, combined: str | None) -> str | None:
    """Return what an unaligned access must do to a mapping of these types, by their names.

    None where nothing can be said.

    Device memory refuses it (D8.6, alignment checks). Where stage 1 says so, the fault is the
    guest's own; where only stage 2 does, it is taken to EL2, and KVM gives the guest up.
    """
    if stage1 is None or combined is None or combined == "reserved":
        return None
    device = {reading.startswith("Device") for reading in combined.split(OR)}
    if len(device) > 1:
        return None
    if device == {False}:
        # Forced Write-Back over Device (FWB, MemAttr 6): stage 1's own check may come first.
        return None if stage1.startswith("Device") else "works"
    return "faults" if stage1.startswith("Device") else VM_KILLED


def witnesses(
    suite: str,
    audits: Sequence[AuditRecord],
    observations: Iterable[Observation],
    limits: Mapping[str, str],
) -> list[Observation]:
    """Return `witness.MAPPING` for every mapping that was both audited and probed.

    PASS: those that have a say agree. FAIL: they do not; the reason names all of them. SKIP:
    nothing can be compared. `limits` maps patterns of tests to why the machine cannot show them:
    there the behaviour abstains, and the page tables and the guest's own AT S1E1R are compared.
    """
    seen = {o.path: o for o in observations}
    found = []
    for record in audits:
        mapping = record.mapping
        own = seen.get(f"{suite}.{mapping}.stage1")
        name = MANY if f"{suite}.{mapping}.{MANY}" in seen else BEHAVIOUR
        probe = seen.get(f"{suite}.{mapping}.{name}")
        if own is None and probe is None:
            continue
        found.append(_witness(record, own, probe, _limit(f"{mapping}.{name}", limits)))
    return found


def _limit(test: str, limits: Mapping[str, str]) -> str:
    """Patterns are of a test's path or of its name alone, as for the test itself."""
    names = (test, test.rpartition(".")[2])
    fitting = (
        why for pattern, why in limits.items() if any(fnmatchcase(n, pattern) for n in names)
    )
    return next(fitting, "")


def _witness(
    record: AuditRecord, own: Observation | None, probe: Observation | None, limit: str
) -> Observation:
    must = predicted(record.stage1, record.combined)
    did = None if limit or probe is None else probe.value
    said = None if own is None else own.value
    made = Observation(path=f"witness.{record.mapping}", status=Status.PASS)
    made.detail.update(_testimony(record, must, did, limit))
    problems = []
    if must is not None and did is not None and did != must:
        problems.append(
            f"tables say {made.detail['tables']}, the architecture combines that to"
            f" {made.detail['architecture']}, the probe saw: {did}"
        )
    tables = record.stage1
    if None not in (said, tables) and said != tables:
        problems.append(f"the guest's own AT S1E1R says {said}, its tables {tables}")
    if problems:
        made.status = Status.FAIL
        made.detail["reason"] = "; ".join(problems)
    elif must is None:
        made.status = Status.SKIP
        made.detail["reason"] = record.detail.reason or f"no prediction: {made.detail['tables']}"
    elif did is None and said is None:
        made.status = Status.SKIP
        made.detail["reason"] = limit or f"{BEHAVIOUR} was not observed"
    return made


def _testimony(
    record: AuditRecord, must: str | None, did: object, limit: str
) -> dict[str, str | bool]:
    """What each of the three says; `abstains` is set when there was no behaviour to look at."""
    consequence = "nothing follows" if must is None else f"an unaligned access {_SAID[must]}"
    testimony: dict[str, str | bool] = {
        "tables": f"{record.stage1} over {record.stage2 or 'no leaf'}",
        "architecture": f"{record.combined or 'no type'}: {consequence}",
        "behaviour": str(did) if did is not None else f"abstains: {limit or 'not observed'}",
    }
    if did is None:
        testimony["abstains"] = True
    return testimony
