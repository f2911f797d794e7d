# SPDX-License-Identifier: GPL-2.0-only
"""How a run with audits is shown: a recorded run.json, whole and with parts of it changed."""

from __future__ import annotations

import re
from typing import Any

import pytest

from harness.results.readings import AuditRecord
from harness.results.records import Cell, Status
from tests.unit.report.report_runs import (
    LINES,
    NC,
    NGNRE,
    PATCHED,
    a_cell,
    a_run,
    block,
    recorded,
    shown,
    squeezed,
)


@pytest.mark.parametrize("width", [80, 120])
def test_a_recorded_run(width: int) -> None:
    text = shown(recorded(), width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    titles = [line for line in text.splitlines() if re.fullmatch(r"[a-z][\w'-]*( [\w'-]+)*", line)]
    assert titles == ["ioremap", "ioremap_np", "ioremap_wc", "must not change"]
    labels = [line[:20].strip() for line in block(text, "ioremap_wc").splitlines()]
    assert list(filter(None, labels)) == [
        "stage 1",
        "stage 2 (audit)",
        "effective (audit)",
        "writel",
        "__iowrite64_copy",
        "throughput",
        "writel",
        "iowrite64_copy",
        "unaligned load",
        "unaligned store",
        "witnesses",
    ]
    rows = block(text, "ioremap_wc")
    assert re.search(r"  stage 2 \(audit\) +Device-nGnRE +Normal-NC\n", rows)
    assert re.search(r"  effective \(audit\) +FAIL: Device-nGnRE +Normal-NC\n", rows)
    assert re.search(r"  throughput +not representative \(TCG\) +not representative", rows)
    assert re.search(r"  witnesses +agree +agree$", rows)
    assert re.search(r"Device-nGnRE \(ambiguous\) ", squeezed(block(text, "ioremap_np")))
    assert re.search(r"result +FAIL: kvm-error, expected +PASS\n", text)
    assert squeezed(block(text, "must not change")).strip() == (
        "l2-text Normal-WB, X ok Normal-WB, X ok l2-table Normal-WB Normal-WB"
        " l2-gic traps (no leaf) traps (no leaf)"
    )


def test_what_the_patch_changed_in_a_recorded_run() -> None:
    text = shown(recorded())
    told = text.split("debian-6.1 -> ")[1].partition("\n\n")[0]
    assert told.splitlines() == [
        f"{PATCHED} on nested-tcg:",
        "  ioremap_wc.unaligned_load: VM killed -> works;",
        "  ioremap_wc.unaligned_store: not reached -> works;",
        "  stage 2 of ioremap, ioremap_np, ioremap_wc: Device-nGnRE -> Normal-NC;",
        "  effective type of ioremap_wc: Device-nGnRE -> Normal-NC; 39 unchanged",
    ]


def test_findings_of_a_recorded_run() -> None:
    text = shown(recorded())
    findings = text.split("\nFindings\n")[1]
    assert squeezed(findings.partition("\n\n")[0]) == (
        "debian-6.1/nested-tcg/wcprobe"
        " FAIL ioremap_wc.unaligned_load: VM killed: kvm [60]: Unsupported FSC:"
        " EC=0x24 xFSC=0x21 ESR_EL2=0x93d48021 (as expected)"
        " FAIL audit.ioremap_wc: both stages together give Device-nGnRE, expected Normal-NC"
        " (as expected)"
        " SKIP 1 test of ioremap_wc: not reached: the guest died in ioremap_wc.unaligned_load"
    )
    assert "\nPASS: 2 cells in 37.8 s, 5 of 5 expectations met, exit code 0\n" in text


def audited(**more: Any) -> Cell:
    """The patched cell with another audit of ioremap_wc."""
    cell = recorded().cells[1]
    at = [audit.mapping for audit in cell.audits].index("ioremap_wc")
    cell.audits[at] = AuditRecord.model_validate({**cell.audits[at].model_dump(), **more})
    return cell


def rows_of(cell: Cell, title: str) -> str:
    return block(shown(a_run(cell)), title)


def test_one_failure_that_was_expected_does_not_make_all_of_them_so() -> None:
    base = recorded().cells[0]
    base.expectations = [e for e in base.expectations if e.path != "audit.ioremap_wc"]
    text = shown(a_run(base))
    assert re.search(r"result +FAIL: kvm-error\n", text)
    findings = squeezed(text.split("\nFindings\n")[1])
    assert findings.index("FAIL audit.ioremap_wc: ") < findings.index("(as expected)")


def test_a_verdict_stands_at_the_stage_that_is_wrong() -> None:
    rows = rows_of(audited(stage2=NGNRE, combined=NGNRE, status="FAIL"), "ioremap_wc")
    assert re.search(r"  stage 2 \(audit\) +Device-nGnRE\n", rows)
    assert re.search(r"  effective \(audit\) +FAIL: Device-nGnRE\n", rows)
    # The right type in effect, so what is wrong is behind it: X on device memory, say.
    rows = rows_of(audited(status="FAIL"), "ioremap_wc")
    assert re.search(r"  stage 2 \(audit\) +FAIL: Normal-NC\n", rows)
    assert re.search(r"  effective \(audit\) +Normal-NC\n", rows)


@pytest.mark.parametrize(
    ("status", "trapped", "said"),
    [("SKIP", True, r"traps \(no leaf\)"), ("MISS", False, "MISS"), ("ERROR", False, "ERROR")],
)
def test_an_audit_without_types(status: str, trapped: bool, said: str) -> None:
    cell = audited(stage2=None, combined=None, status=status, detail={"trapped": trapped})
    rows = rows_of(cell, "ioremap_wc")
    assert re.search(rf"  stage 2 \(audit\) +{said}\n  effective \(audit\) +{said}\n", rows)


def test_a_mapping_that_only_the_audit_saw() -> None:
    cell = audited(mapping="late")
    rows = [line.split() for line in rows_of(cell, "late").splitlines()]
    assert rows == [["stage", "2", "(audit)", NC], ["effective", "(audit)", NC]]


@pytest.mark.parametrize(
    ("status", "detail", "said"),
    [
        (Status.PASS, {}, "agree"),
        (Status.PASS, {"abstains": True}, "agree (probe abstains)"),
        (Status.FAIL, {"reason": "they do not"}, "DISAGREE"),
        (Status.SKIP, {"reason": "no leaf"}, "nothing to compare"),
    ],
)
def test_witnesses(status: Status, detail: dict[str, Any], said: str) -> None:
    cell = recorded().cells[1]
    witness = next(o for o in cell.observations if o.path == "witness.ioremap_wc")
    witness.status, witness.detail = status, detail
    text = shown(a_run(cell))
    assert block(text, "ioremap_wc").splitlines()[-1] == f"  witnesses           {said}"
    assert ("FAIL  witness.ioremap_wc: they do not" in text) == (status is Status.FAIL)


def test_ordinary_memory_that_is_wrong() -> None:
    cell = recorded().cells[1]
    text = next(audit for audit in cell.audits if audit.mapping == "l2-text")
    assert text.detail.stage2
    text.detail.stage2.el1 = "rw-"
    text.status, text.combined = Status.FAIL, "Normal-NC"
    gic = next(audit for audit in cell.audits if audit.mapping == "l2-gic")
    gic.stage2 = "Device-nGnRE"
    rows = rows_of(cell, "must not change")
    assert re.search(r"  l2-text +FAIL: Normal-NC, no X\n", rows)
    assert re.search(r"  l2-gic +Device-nGnRE$", rows)


def test_audits_that_a_dead_guest_never_came_to() -> None:
    base, patched = recorded().cells
    base.audits = [audit for audit in base.audits if audit.mapping != "ioremap_wc"]
    base.observations = [o for o in base.observations if o.path != "witness.ioremap_wc"]
    rows = block(shown(a_run(base, patched)), "ioremap_wc")
    assert re.search(r"  effective \(audit\) +not reached +Normal-NC\n", rows)
    assert re.search(r"  witnesses +not reached +agree$", rows)
    # A cell that never was audited has nothing to say, and one that has no audits no rows.
    patched.audits, patched.failure = [], None
    rows = block(shown(a_run(base, patched)), "ioremap")
    assert re.search(r"  stage 2 \(audit\) +Device-nGnRE +-\n", rows)
    assert "(audit)" not in rows_of(a_cell("a", LINES), "ioremap")
