# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness.results.failure_kinds import Blame, FailureKind
from harness.results.records import Failure, Status

REMARKS = {"cfi", "kcsan", "kmemleak", "lockdep", "rcu-usage", "ubsan", "warn"}
KERNELS_FAULT = {
    "atomic-sleep", "bug", "external-abort", "hang", "hard-lockup", "hung-task", "kasan", "kfence",
    "kvm-error", "list-corruption", "oops", "panic", "rcu-stall", "refcount", "reset", "serror",
    "slab-corruption", "soft-lockup", "unhandled-exception", "vmm-refused", "workqueue-lockup",
    *REMARKS,
}  # fmt: skip


def kinds(asked: str) -> set[str]:
    return {kind.value for kind in FailureKind if getattr(kind, asked)}


def test_whose_fault_each_kind_is() -> None:
    assert {k.value for k in FailureKind if k.blame is Blame.KERNEL} == KERNELS_FAULT


def test_what_follows_from_each_kind() -> None:
    assert kinds("lasting") == {"build", "input", "disk-full"}
    assert kinds("ours") == {"machine", "disk-full"}
    assert kinds("stops_run") == {"disk-full"}
    lockups = {"soft-lockup", "hard-lockup", "rcu-stall", "hung-task", "workqueue-lockup"}
    assert kinds("lockup") == lockups
    assert kinds("timeout") == {"silence", "deadline"}
    assert kinds("remark") == REMARKS
    assert kinds("symptom") == {"vmm-exit", "reset", "silence", "deadline", *REMARKS}
    assert kinds("by_chance") == {"kcsan", "kfence", *lockups}
    assert kinds("of_guest") == {"kvm-error"}


def test_a_record_has_the_word_alone_and_no_other_one() -> None:
    failure = Failure(kind=FailureKind.KVM_ERROR, summary="")
    assert failure.model_dump(mode="json")["kind"] == "kvm-error"
    assert failure.status is Status.FAIL
    with pytest.raises(ValidationError, match="kind"):
        Failure.model_validate({"kind": "kvm_error", "summary": ""})
