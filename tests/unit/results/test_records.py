# SPDX-License-Identifier: GPL-2.0-only
"""Records of this and other versions: nothing is lost, and nothing is made up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from harness.results.readings import AuditDetail, AuditRecord, FidelityRecord
from harness.results.records import Run, Status
from tests.data_files import DATA

RECORDED = DATA / "runs/quickstart.json"


def test_a_recorded_run_is_written_again_as_it_was() -> None:
    text = RECORDED.read_text()
    before = json.loads(text)
    after = json.loads(Run.model_validate_json(text).model_dump_json(by_alias=True))
    for was, now in zip(before["cells"], after["cells"], strict=True):
        assert was["audits"] and was["fidelity"]
        assert (now["audits"], now["fidelity"]) == (was["audits"], was["fidelity"])


@pytest.mark.parametrize(
    "audit",
    [
        {},
        {"mapping": "wc", "status": "MISS", "detail": {"reason": "no vCPU"}},
        {"mapping": "wc", "pa": None, "colour": "blue", "detail": {"stage2": {"hue": 7}}},
    ],
)
def test_keys_that_are_not_known_or_not_there_stay_so(audit: dict[str, Any]) -> None:
    record = AuditRecord.model_validate(audit)
    assert json.loads(record.model_dump_json()) == audit
    assert record.model_dump(mode="json") == audit


def test_what_is_not_there_reads_as_nothing() -> None:
    record = AuditRecord()
    assert (record.mapping, record.stage2, record.status) == ("", None, Status.DONE)
    assert record.detail.expected.execute is None and not record.detail.trapped
    assert FidelityRecord().limits == {}


def test_what_is_set_later_is_written() -> None:
    record = AuditRecord(mapping="wc", detail=AuditDetail())
    record.detail.reason = "no vCPU"
    changed = record.model_copy(update={"status": Status.SKIP})
    assert json.loads(changed.model_dump_json()) == {
        "mapping": "wc", "status": "SKIP", "detail": {"reason": "no vCPU"},
    }  # fmt: skip


def test_a_known_key_of_another_type_is_an_error() -> None:
    with pytest.raises(ValidationError):
        AuditRecord.model_validate({"mapping": "wc", "stage2": ["Normal-NC"]})


def test_facts_keep_their_types() -> None:
    facts = {"fwb": True, "granules": "4K,64K", "cntfrq": 62500000}
    record = FidelityRecord.model_validate({"facts": facts})
    assert record.facts == facts and record.facts["fwb"] is True
