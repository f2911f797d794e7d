# SPDX-License-Identifier: GPL-2.0-only
"""Three witnesses: that they agree, each way in which they do not, and when one has no say."""

from __future__ import annotations

from typing import Any

import pytest

from harness.results.readings import AuditRecord
from harness.results.records import Observation, Status
from harness.suites.witness import audit_observations, predicted, witnesses

NC, NGNRE, WB = "Normal-NC", "Device-nGnRE", "Normal-WB"
NO_LEAF = "no stage-2 leaf: every access traps"
NEVER_FAULTS = {"*.unaligned_*": "this QEMU never raises alignment faults"}


def audit(stage1: str | None, stage2: str | None, combined: str | None, **more: Any) -> AuditRecord:
    types = {"stage1": stage1, "stage2": stage2, "combined": combined}
    return AuditRecord.model_validate({"mapping": "ioremap_wc", "status": "PASS", **types, **more})


def probed(
    outcome: str | None, stage1: str | None = NC, suite: str = "wcprobe"
) -> list[Observation]:
    """What the guest saw of ioremap_wc; None: it did not get so far."""
    place = f"{suite}.ioremap_wc"
    own = Observation(path=f"{place}.stage1", status=Status.PASS, value=stage1)
    load = Observation(path=f"{place}.unaligned_load", status=Status.PASS, value=outcome)
    return [*([own] if stage1 else []), *([load] if outcome else [])]


def only(found: list[Observation]) -> Observation:
    (one,) = found
    assert one.path == "witness.ioremap_wc"
    return one


@pytest.mark.parametrize(
    ("record", "stage1", "outcome"),
    [
        (audit(NC, NC, NC), NC, "works"),
        (audit(NGNRE, NC, NGNRE), NGNRE, "faults"),
        (audit(NC, NGNRE, NGNRE), NC, "vm-killed"),
        (audit(NGNRE, NGNRE, f"Device-nGnRnE or {NGNRE}"), NGNRE, "faults"),
        (audit(NC, "as stage 1", NC), NC, "works"),
        (audit(NC, WB, NC), NC, "works"),
    ],
)
def test_agreement(record: AuditRecord, stage1: str, outcome: str) -> None:
    one = only(witnesses("wcprobe", [record], probed(outcome, stage1), {}))
    assert one.status is Status.PASS
    assert one.detail["behaviour"] == outcome
    assert "abstains" not in one.detail
    assert "reason" not in one.detail


@pytest.mark.parametrize(
    ("record", "outcome", "said"),
    [
        # Stage 2 is NC in the tables, but the VM died as if it were Device: a stale TLB, say.
        (audit(NC, NC, NC), "vm-killed", "an unaligned access works, the probe saw: vm-killed"),
        (audit(NC, NGNRE, NGNRE), "works", "unaligned access kills the VM, the probe saw: works"),
        (audit(NC, NGNRE, NGNRE), "faults", "kills the VM, the probe saw: faults"),
        (audit(NC, NC, NC), "faults", "an unaligned access works, the probe saw: faults"),
    ],
)
def test_behaviour_disagrees(record: AuditRecord, outcome: str, said: str) -> None:
    one = only(witnesses("wcprobe", [record], probed(outcome), {}))
    assert one.status is Status.FAIL
    reason = one.detail["reason"]
    # All three are named.
    assert f"tables say {record.stage1} over {record.stage2}" in reason
    assert f"the architecture combines that to {record.combined}: " in reason
    assert said in reason


@pytest.mark.parametrize(("outcome", "status"), [("vm-killed", "PASS"), ("works", "FAIL")])
def test_many_unaligned_loads_are_a_behaviour_as_well(outcome: str, status: str) -> None:
    path = "wcprobe.ioremap_wc.unaligned_loads"
    load = Observation(path=path, status=Status.PASS, value=outcome)
    one = only(witnesses("wcprobe", [audit(NC, NGNRE, NGNRE)], [*probed(None), load], {}))
    assert (one.status, one.detail["behaviour"]) == (Status(status), outcome)


def test_the_guest_sees_another_stage_1_than_its_tables_have() -> None:
    one = only(witnesses("wcprobe", [audit(NC, NC, NC)], probed("works", stage1=WB), {}))
    assert one.status is Status.FAIL
    assert one.detail["reason"] == f"the guest's own AT S1E1R says {WB}, its tables {NC}"


def test_both_ways_of_disagreeing_are_told() -> None:
    one = only(witnesses("wcprobe", [audit(NC, NC, NC)], probed("faults", stage1=WB), {}))
    assert "the probe saw: faults; the guest's own AT S1E1R says" in one.detail["reason"]


@pytest.mark.parametrize(
    "limits", [NEVER_FAULTS, {"unaligned_load": NEVER_FAULTS["*.unaligned_*"]}]
)
def test_behaviour_abstains_where_the_machine_cannot_show_it(limits: dict[str, str]) -> None:
    record = audit(NC, NGNRE, NGNRE)
    one = only(witnesses("wcprobe", [record], probed("works"), limits))
    assert one.status is Status.PASS  # the guest's stage 1 and the tables still agree
    assert one.detail["abstains"] is True
    assert one.detail["behaviour"] == "abstains: this QEMU never raises alignment faults"
    # They still may not.
    one = only(witnesses("wcprobe", [record], probed("works", stage1=WB), limits))
    assert one.status is Status.FAIL


def test_nothing_left_to_compare_is_no_agreement() -> None:
    one = only(
        witnesses("wcprobe", [audit(NC, NC, NC)], probed("works", stage1=None), NEVER_FAULTS)
    )
    assert one.status is Status.SKIP
    assert one.detail["reason"] == "this QEMU never raises alignment faults"


def test_a_probe_that_was_not_reached_abstains() -> None:
    one = only(witnesses("wcprobe", [audit(NC, NC, NC)], probed(None), {}))
    assert one.status is Status.PASS
    assert one.detail["behaviour"] == "abstains: not observed"


def test_no_leaf() -> None:
    record = audit(NC, None, None, status="SKIP", detail={"reason": NO_LEAF, "trapped": True})
    one = only(witnesses("wcprobe", [record], probed("works"), {}))
    assert one.status is Status.SKIP
    assert one.detail["reason"] == NO_LEAF
    assert one.detail["tables"] == "Normal-NC over no leaf"
    assert one.detail["architecture"] == "no type: nothing follows"


def test_nothing_follows_from_a_reserved_type() -> None:
    one = only(witnesses("wcprobe", [audit(NC, "reserved", "reserved")], probed("works"), {}))
    assert one.status is Status.SKIP
    assert one.detail["reason"] == "no prediction: Normal-NC over reserved"


def test_nothing_follows_from_two_readings_of_which_one_is_device() -> None:
    assert predicted(NC, f"{NGNRE} or {NC}") is None
    assert predicted(NGNRE, f"{NGNRE} or Device-GRE") == "faults"


def test_only_what_was_both_audited_and_probed() -> None:
    table = audit(None, WB, None, mapping="l2-table")
    assert witnesses("wcprobe", [table], probed("works"), {}) == []
    assert witnesses("wcprobe", [], probed("works"), {}) == []
    assert witnesses("wcprobe", [audit(NC, NC, NC)], probed("works", suite="other"), {}) == []


def test_observations_of_an_audit() -> None:
    wrong = {"status": "FAIL", "detail": {"reason": "expected Normal-NC"}}
    found = audit_observations([audit(NC, NGNRE, NGNRE, **wrong)])
    assert [(o.path, o.status, o.value) for o in found] == [
        ("audit.ioremap_wc", Status.FAIL, None),
        ("audit.ioremap_wc.stage1", Status.DONE, NC),
        ("audit.ioremap_wc.stage2", Status.DONE, NGNRE),
        ("audit.ioremap_wc.combined", Status.DONE, NGNRE),
    ]
    assert found[0].detail == {"reason": "expected Normal-NC"}
    assert found[3].detail == {}


def test_what_was_not_read_is_not_observed() -> None:
    found = audit_observations([audit(None, None, None, mapping="l2-gic")])
    assert [(o.path, o.status) for o in found] == [("audit.l2-gic", Status.PASS)]


def test_two_readings_are_marked() -> None:
    both = f"Device-nGnRnE or {NGNRE}"
    found = audit_observations([audit("Device-nGnRnE", NGNRE, both)])
    assert [o.value for o in found if o.detail.get("ambiguous")] == [both]
