# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness.results.failure_kinds import Blame, FailureKind
from harness.results.records import Failure, Status

KERNELS_FAULT = {
    "bug", "external-abort", "hang", "hard-lockup", "hung-task", "kvm-error", "oops", "panic",
    "rcu-stall", "reset", "serror", "soft-lockup", "vmm-refused", "warn",
}  # fmt: skip


def kinds(asked: str) -> set[str]:
    return {kind.value for kind in FailureKind if getattr(kind, asked)}


def test_whose_fault_each_kind_is() -> None:
    assert {k.value for k in FailureKind if k.blame is Blame.KERNEL} == KERNELS_FAULT


def test_what_follows_from_each_kind() -> None:
    assert kinds("lasting") == {"build", "input", "disk-full"}
    assert kinds("ours") == {"machine", "disk-full"}
    assert kinds("stops_run") == {"disk-full"}
    assert kinds("lockup") == {"soft-lockup", "hard-lockup", "rcu-stall", "hung-task"}
    assert kinds("timeout") == {"silence", "deadline"}
    assert kinds("symptom") == {"vmm-exit", "reset", "silence", "deadline", "warn"}
    assert kinds("of_guest") == {"kvm-error"}


def test_a_record_has_the_word_alone_and_no_other_one() -> None:
    failure = Failure(kind=FailureKind.KVM_ERROR, summary="")
    assert failure.model_dump(mode="json")["kind"] == "kvm-error"
    assert failure.status is Status.FAIL
    with pytest.raises(ValidationError, match="kind"):
        Failure.model_validate({"kind": "kvm_error", "summary": ""})
