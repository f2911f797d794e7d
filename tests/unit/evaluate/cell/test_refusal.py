# SPDX-License-Identifier: GPL-2.0-only
"""A kernel that refuses a VMM, and VMMs that die for reasons of their own."""

from __future__ import annotations

import pytest

from harness.evaluate.cell.judge import ending
from harness.evaluate.cell.refusal import judge_refusal, refusal
from harness.evaluate.engine.judging import judge_by
from harness.evaluate.plan.plan import Plan
from harness.guests.vmm.vmm import VMM_OUTPUT
from harness.results.failure_kinds import FailureKind
from harness.results.records import Cell, Comparison, Failure, Status
from harness.suites.failures import classify
from tests.data_files import DATA
from tests.unit.evaluate.patch.patch_cells import cell, saw

BASE = cell("a", saw("s.t", "works"))


def said(name: str, log: str = f"{VMM_OUTPUT}.log", code: int = 1) -> Failure:
    """Return the end of a real QEMU."""
    lines = (DATA / "logs" / f"{name}.log").read_text().splitlines()
    failure = classify.vmm(lines, code, log=log)
    assert failure
    return failure


def ended(failure: Failure, *before: Failure, kernel: str = "b") -> Cell:
    """Return the record of a cell whose last boot ended so, and those before it."""
    made = cell(kernel, ending("s", failure))
    made.status, made.failure, made.retried = failure.status, failure, list(before)
    return made


def test_twice_in_the_same_words_is_the_kernels_fault() -> None:
    words = said("vmm-bad-device")
    again = words.model_copy(update={"log": f"2/{VMM_OUTPUT}.log"})
    found = refusal(BASE, ended(again, words))
    assert found and (found.kind, found.status) == (FailureKind.VMM_REFUSED, Status.FAIL)
    assert found.summary == words.summary and found.excerpt == words.excerpt
    # Once, or in other words, nobody knows; nor where the base does not run it.
    assert refusal(BASE, ended(words)) is None
    assert refusal(BASE, ended(words, said("vmm-bad-cpu"))) is None
    assert refusal(ended(words, words, kernel="a"), ended(words, words)) is None
    assert refusal(None, ended(words, words)) is None


def test_numbers_differ_from_boot_to_boot() -> None:
    words = said("vmm-bad-cpu")
    other = words.model_copy(update={"summary": words.summary.replace("a99", "a53")})
    assert refusal(BASE, ended(words, other))


@pytest.mark.parametrize(
    "failure",
    [
        said("vmm-no-memory"),
        said("vmm-terminated"),
        classify.vmm([], -9, log=f"{VMM_OUTPUT}.log"),
        classify.vmm(["Aborted"], 134, log=f"{VMM_OUTPUT}.log"),
        said("vmm-bad-cpu", log="qemu.log"),  # L1's own QEMU: no kernel under test is below it
        Failure(kind=FailureKind.SILENCE, summary="no output", where="L2"),
    ],
)
def test_reasons_of_its_own_stay_a_miss(failure: Failure) -> None:
    assert refusal(BASE, ended(failure, failure)) is None


def test_the_record_is_judged_with_the_kernel_it_is_compared_with() -> None:
    words = said("vmm-bad-device")
    compared = Comparison(base="a", patched="b")
    made = ended(words, words)
    judge_refusal(made, [made], [compared])
    statuses = [made.status]  # the base is not done
    judge_refusal(made, [made, BASE], [Comparison(base="c", patched="b")])
    statuses.append(made.status)
    judge_refusal(made, [made, BASE], [compared])
    statuses.append(made.status)
    assert statuses == [Status.MISS, Status.MISS, Status.FAIL] and made.failure
    assert made.failure.kind is FailureKind.VMM_REFUSED
    (item,) = made.observations
    assert (item.status, item.value) == (Status.FAIL, "vmm-refused")
    assert item.detail == {"reason": words.summary, "failure": "vmm-refused"}


def test_a_run_judges_its_records_so() -> None:
    words = said("vmm-bad-device")
    made = ended(words, words)
    plan = Plan(kernels=["a", "b"], machines=["m"], suites=["s"])
    judge_by(plan, made, [BASE, made])
    assert made.status is Status.FAIL


def test_without_comparisons_the_first_kernel_is_the_base() -> None:
    words = said("vmm-bad-device")
    made = ended(words, words)
    judge_refusal(made, [BASE, made], [])
    assert made.status is Status.FAIL
    alone = ended(words, words)
    judge_refusal(alone, [alone], [])
    assert alone.status is Status.MISS
