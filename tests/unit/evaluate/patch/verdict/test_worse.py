# SPDX-License-Identifier: GPL-2.0-only
"""Recorded runs of kernels that are worse than debian-6.1 (tests/data/series), and their word."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.evaluate.patch.between import documents
from harness.evaluate.patch.verdict.document import VerdictDocument
from harness.evaluate.patch.verdict.verdict import VerdictChange
from harness.evaluate.patch.verdict.word import ChangeKind, Verdict, counts
from harness.report.terminal.verdict import text
from harness.results.failure_kinds import FailureKind
from harness.results.records import Run, Status
from harness.suites.failures import classify
from tests.data_files import DATA

WORSE = DATA / "runs/worse"
BASE = "debian-6.1"


def recorded() -> Run:
    return Run.model_validate_json((WORSE / "run.json").read_text())


def told(name: str, run: Run | None = None) -> VerdictDocument:
    """Return the document of the base and the kernel with the series `name`."""
    made = documents(run or recorded(), WORSE)
    return next(one for one in made if one.patched.name == f"{BASE}+{name}")


def worse(document: VerdictDocument) -> list[VerdictChange]:
    return [c for c in document.changes if c.kind is ChangeKind.REGRESSED and counts(c)]


@pytest.mark.parametrize(
    ("name", "path", "words"),
    [
        ("panic-in-kvm-init", "wcprobe.guest", "FAIL (panic) while the kernel boots"),
        ("hang-in-kvm-init", "wcprobe.guest", "FAIL (rcu-stall) while the kernel boots"),
        ("no-guest-memory", "wcprobe.guest", "FAIL (kvm-error) before its guest's first test"),
        ("refuse-pfnmap", "wcprobe.guest", "FAIL (vmm-refused) before its guest's first test"),
        ("vfio-write-combining", "audit.l1-vfio", "FAIL"),
    ],
)
def test_each_is_worse_in_one_thing_and_better_in_none(name: str, path: str, words: str) -> None:
    """KVM's message about the base's guest, which it kills, is in none of them but the last."""
    document = told(name)
    assert (document.verdict, document.exit_code) == (Verdict.REGRESSED, 1)
    assert document.headline == "1 thing worse, nothing better"
    (change,) = worse(document)
    assert (change.path, change.patched) == (path, words)
    assert change.base == ("PASS" if path.startswith("audit.") else "88 results")
    assert not [c for c in document.changes if c.kind is ChangeKind.IMPROVED]
    assert "\nworse\n  " in text(document, "") and "\nbetter\n" not in text(document, "")


def test_the_other_way_round_they_are_an_improvement_of_one_thing() -> None:
    run = recorded()
    for name in ("panic-in-kvm-init", "no-guest-memory", "vfio-write-combining"):
        pair = [cell for cell in run.cells if cell.kernel.name in (BASE, f"{BASE}+{name}")]
        back = run.model_copy(update={"cells": pair[::-1]})
        (document,) = documents(back, WORSE)
        assert (document.verdict, document.headline) == (
            Verdict.IMPROVED, "1 thing better, nothing worse",
        ), name  # fmt: skip


def test_a_refused_vmm_is_told_in_its_words_and_kvms() -> None:
    (change,) = worse(told("refuse-pfnmap"))
    assert "Invalid argument" in change.detail["reason"]
    assert "kvm_set_phys_mem: error registering slot: Invalid argument" in change.detail["vmm"]
    assert change.detail["host"] == ["kvm [39]: no memslot without pages, at IPA 0x8000000000"]
    said = text(told("refuse-pfnmap"), "")
    assert "    VMM: kvm_set_phys_mem: error registering slot: Invalid argument\n" in said
    assert "    L1: kvm [39]: no memslot without pages" in said


def test_the_shells_word_on_an_abort_does_not_hide_the_vmms() -> None:
    log = WORSE / "debian-6.1+refuse-pfnmap_nested-tcg_wcprobe/l2.vmm.log"
    lines = log.read_text().splitlines()
    assert "Aborted" in lines
    failure = classify.vmm(lines, 134)
    assert failure and "KVM_SET_USER_MEMORY_REGION failed" in failure.summary


def test_a_record_that_nobody_has_judged_yet_is_judged_by_its_pair() -> None:
    """As it comes from its boots: MISS, twice; and with a base that had no guest, or one boot."""
    run = recorded()
    cell = next(one for one in run.cells if one.kernel.name.endswith("refuse-pfnmap"))
    assert cell.failure
    cell.failure.kind = FailureKind.VMM_EXIT
    cell.status = Status.MISS
    for item in cell.observations:
        if item.path == "wcprobe.guest":
            item.status, item.value = Status.MISS, "vmm-exit"
            item.detail["failure"] = "vmm-exit"
    assert told("refuse-pfnmap", run).verdict is Verdict.REGRESSED
    once = run.model_copy(deep=True)
    next(one for one in once.cells if one.retried).retried = []
    document = told("refuse-pfnmap", once)
    assert (document.verdict, document.exit_code) == (Verdict.UNDECIDED, 125)
    assert document.headline.startswith("patched on nested-tcg, wcprobe: wcprobe.guest is MISS")


def test_what_the_patched_kernel_never_reached_is_one_line() -> None:
    lines = text(told("panic-in-kvm-init"), "").splitlines()
    (line,) = [line for line in lines if "not reached" in line]
    assert line.startswith("  not reached by patched: ioremap.stage 1, ") and " more" in line


def test_the_recorded_logs_are_there() -> None:
    for cell in recorded().cells:
        for log in cell.logs:
            assert (Path(WORSE) / cell.name.replace("/", "_") / log).is_file()
