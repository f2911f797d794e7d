# SPDX-License-Identifier: GPL-2.0-only
"""What people read, made from recorded guests (tests/data)."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from harness.report.terminal.run import print_run
from harness.results.compare import Pair, difference
from harness.results.failure_kinds import FailureKind
from harness.results.readings import AuditDetail, AuditRecord
from harness.results.records import Comparison, Failure, Observation, Status
from harness.suites.failures import classify
from harness.suites.observe import observe
from tests.unit.report.report_runs import (
    BAR,
    CUT,
    KILLED,
    LINES,
    PATCHED,
    WC,
    a_cell,
    a_run,
    block,
    quickstart,
    shown,
    squeezed,
)


def test_quickstart_at_80_columns() -> None:
    text = shown(quickstart(), folder=Path("results/r"))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert not any(line != line.rstrip() for line in text.split("\n"))
    assert "wcprobe on nested-tcg (nested, TCG, max, 2 CPUs, QEMU 10.0.2)" in text
    rows = block(text, "ioremap_wc")
    assert re.search(r"  stage 1 +Normal-NC +Normal-NC\n", rows)
    assert re.search(r"  writel +ok, host ok +ok, host ok\n", rows)
    assert re.search(r"  __iowrite64_copy +ok, host ok +ok, host ok\n", rows)
    assert re.search(r"  throughput +not representative \(TCG\) +not representative \(TCG\)", rows)
    assert re.search(r"    iowrite64_copy +542 MB/s +2,752 MB/s\n", rows)
    assert re.search(r"  unaligned load +VM killed: kvm \[55\]: +works\n", rows)
    assert "Unsupported FSC: EC=0x24 xFSC=0x21 ESR_EL2=0x93c18021" in squeezed(rows)
    assert re.search(r"  unaligned store +not reached +works, host ok", rows)
    assert re.search(r"  unaligned load +guest faults +guest faults\n", block(text, "ioremap"))


def test_what_the_patch_changed() -> None:
    text = squeezed(shown(quickstart()))
    assert (
        f"debian-6.1 -> {PATCHED} on nested-tcg: ioremap_wc.unaligned_load: VM killed -> works; "
        "ioremap_wc.unaligned_store: not reached -> works; 22 unchanged" in text
    )
    same = squeezed(shown(a_run(a_cell("a", LINES), a_cell("b", LINES))))
    assert "a -> b on nested-tcg: nothing changed" in same


def test_an_l1_that_did_not_boot_is_told_of() -> None:
    run = quickstart()
    assert "restored" not in shown(run)
    run.cells[0].machine.restored = True
    assert f"2 cells in {run.run.seconds:.1f} s (1 restored), " in squeezed(shown(run))


def test_findings_have_reasons_and_logs() -> None:
    text = shown(quickstart(), folder=Path("results/r"))
    findings = text.split("\nFindings\n")[1]
    assert "FAIL  ioremap_wc.unaligned_load: VM killed: kvm [55]: Unsupported FSC:" in findings
    assert "results/r/debian-6.1_nested-tcg_wcprobe/console.log\n" in findings
    assert "1 test of ioremap_wc: not reached: the guest died in" in findings
    # The death is told once.
    assert text.count("FAIL  ") == 1
    assert "FAIL: 2 cells in 6.2 s, exit code 1\nrecords: results/r\n" in text


def test_nothing_to_find() -> None:
    text = shown(a_run(a_cell("a", LINES), status=Status.PASS))
    assert "Findings" not in text
    assert "PASS: 1 cell in 6.2 s, exit code 0\nrecords: 20260117-101530-quickstart\n" in text


def test_no_colour_in_a_pipe_and_colour_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in shown(quickstart())

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    file = Terminal()
    print_run(quickstart(), file=file, width=80)
    assert "\x1b[1;31m" in file.getvalue()


def test_a_guest_cannot_write_on_the_terminal() -> None:
    evil = "\x1b[2J\x1b]0;owned\x07[red]\x9b31m\u202eevil"
    lines = [
        "KTAP version 1",
        "1..1",
        f"# reason: {evil}",
        f"not ok 1 a{evil}",
        f"# s2eval: value test=v name=n value={evil} unit=u{evil}",
        "# s2eval: end",
    ]
    cell = a_cell("k", lines, Failure(kind=FailureKind.PANIC, summary=evil, where="L1"))
    cell.observations.append(
        Observation(path=f"wcprobe.{evil}.x", status=Status.ERROR, value=evil, unit=evil)
    )
    cell.kernel.version = cell.machine.qemu = evil
    cell.audits = [
        AuditRecord(mapping=evil, stage2=evil, status=Status.FAIL, detail=AuditDetail(reason=evil))
    ]
    text = shown(a_run(cell))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert "[red]evil" in text


def test_many_kernels_go_below_each_other() -> None:
    kernels = ["debian-6.1", PATCHED, "debian-6.12", "debian-7.2", "tree"]
    text = shown(a_run(*(a_cell(k, LINES) for k in kernels)))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert text.count("\nioremap_np\n") == 3
    wide = shown(a_run(*(a_cell(k, LINES) for k in kernels)), width=200)
    assert wide.count("\nioremap_np\n") == 1


def test_a_plan_names_its_comparisons() -> None:
    run = a_run(*(a_cell(k, LINES) for k in ("a", "b", "c")))
    assert re.findall(r"^(\w) -> (\w) on", shown(run), re.M) == [("a", "b"), ("a", "c")]
    run.run.comparisons = [Comparison(base="b", patched="c")]
    assert re.findall(r"^(\w) -> (\w) on", shown(run), re.M) == [("b", "c")]


def test_not_reached_and_not_observed_are_told_apart() -> None:
    whole = a_cell("b", LINES)
    for cut, word in ((CUT, "not reached"), (LINES[:30], "not observed")):
        base = a_cell("a", cut, KILLED)
        base.failure = None
        if word == "not observed":
            base.observations = [o for o in base.observations if "not_reached" not in o.path]
        found = {c.path: c.before for c in difference(Pair(base, whole)).changes}
        assert found["wcprobe.ioremap_wc.unaligned_store"] == word


def test_machines_are_not_mixed() -> None:
    run = a_run(a_cell("a", LINES), a_cell("b", LINES), a_cell("a", LINES, machine="flat-tcg"))
    text = shown(run)
    assert "wcprobe on nested-tcg (" in text
    assert "wcprobe on flat-tcg (" in text
    assert text.count("a -> b on ") == 1 and text.count("a -> b: unchanged") == 1


def test_a_cell_that_never_booted() -> None:
    silent = classify.silence(20, [], "L1", "console.log")
    cell = a_cell("a", [], silent)
    cell.observations, cell.status = [], Status.MISS
    text = shown(a_run(cell, a_cell("b", LINES), status=Status.MISS))
    assert re.search(r"result +MISS: silence +PASS", text)
    assert "MISS  silence in L1: no output for 20 s; it never said a word" in text
    assert "a -> b on nested-tcg: nothing to compare, a is MISS: silence\n" in text
    assert re.search(r"  stage 1 +- +Normal-NC\n", block(text, "ioremap_wc"))
    assert "exit code 125" in text


def test_expectations() -> None:
    cell = a_cell("a", CUT, KILLED)
    unmet = {"reason": "expected value works, was faults"}
    cell.expectations = [
        Observation(path=f"{WC}.unaligned_load", status=Status.PASS, value="vm-killed"),
        Observation(
            path="wcprobe.ioremap.unaligned_load", status=Status.FAIL, value="faults", detail=unmet
        ),
    ]
    text = shown(a_run(cell))
    findings = squeezed(text.split("\nFindings\n")[1])
    assert "ESR_EL2=0x93c18021 (as expected)" in findings
    # News first, then what was expected and what follows from it.
    places = [
        findings.index("ioremap.unaligned_load: guest faults: expected value works, was faults"),
        findings.index("ioremap_wc.unaligned_load: VM killed"),
        findings.index("1 test of ioremap_wc: not reached"),
    ]
    assert places == sorted(places)
    assert "1 of 2 expectations met" in text
    assert ", expected" not in block(text, "ioremap_wc")
    assert re.search(r"result +FAIL: kvm-error\n", text)


def test_an_expectation_may_be_a_pattern() -> None:
    cell = a_cell("a", CUT, KILLED)
    met = Observation(path="*.ioremap_wc.unaligned_l*", status=Status.PASS, value="vm-killed")
    cell.expectations = [met]
    text = shown(a_run(cell))
    assert "(as expected)" in squeezed(text)
    assert re.search(r"result +FAIL: kvm-error, expected\n", text)


def test_a_bad_result_that_was_to_be_another_is_told_once() -> None:
    cell = a_cell("a", CUT, KILLED)
    unmet = {"reason": "expected value works, was vm-killed"}
    cell.expectations = [
        Observation(path=f"{WC}.unaligned_load", status=Status.FAIL, detail=unmet),
        Observation(path=f"{WC}.unaligned_load", status=Status.FAIL, detail=unmet),
    ]
    findings = shown(a_run(cell)).split("\nFindings\n")[1]
    assert findings.count("unaligned_load: ") == 1
    assert "ESR_EL2=0x93c18021 (expected value works, was vm-killed)" in squeezed(findings)


def test_the_same_finding_is_told_once() -> None:
    cell = a_cell("a", LINES)
    unmet = {"reason": "expected value faults, was works"}
    one = Observation(path=f"{WC}.unaligned_load", status=Status.FAIL, detail=unmet)
    cell.expectations = [one, one.model_copy()]
    assert shown(a_run(cell)).count("expected value faults, was works") == 1


def test_a_cell_that_was_not_built_is_told_once() -> None:
    broken = Failure(
        kind=FailureKind.BUILD, summary="a.c:1: error (log: /l/make.log)", where="build"
    )
    cell = a_cell("a", [], broken)
    cell.observations, cell.status = [], Status.MISS
    cell.failure = broken.model_copy(update={"log": "/l/make.log"})
    there = {"reason": "expected value works: nothing was observed there"}
    cell.expectations = [Observation(path=f"{WC}.x", status=Status.MISS, detail=there)]
    text = shown(a_run(cell, status=Status.MISS), folder=Path("results/r"))
    findings = text.split("\nFindings\n")[1]
    assert findings.count("MISS  ") == 1
    assert "MISS  build: a.c:1: error (log: /l/make.log)\n" in findings
    assert findings.count("/l/make.log") == 1
    assert "0 of 1 expectations met" in text


def test_damage_seen_by_the_host_only() -> None:
    damaged = bytearray(BAR)
    damaged[0x21008:0x21010] = bytes(8)
    cell = a_cell("a", LINES)
    cell.observations = observe("wcprobe", LINES, {}, None, damaged)
    text = shown(a_run(cell))
    assert re.search(r"  writel +ok, HOST DIFFERS", block(text, "ioremap_wc"))
    assert "FAIL  ioremap_wc.writel.host: lost: 8 bytes at 0x21008" in text
    change = difference(Pair(a_cell("b", LINES), cell)).changes
    assert [(c.path, c.after) for c in change] == [("wcprobe.ioremap_wc.writel.host", "FAIL")]


def test_any_suite_gets_a_table() -> None:
    cell = a_cell("a", LINES)
    cell.suite.name = "other"
    cell.observations = [
        Observation(path="other.plain", status=Status.PASS),
        Observation(path="other.group.first", status=Status.FAIL, detail={"reason": "it broke"}),
        Observation(path="other.group.second", status=Status.DONE, value=3.614, unit="ns"),
        Observation(path="other.group.third", status=Status.SKIP, detail={"reason": "no NUMA"}),
    ]
    text = shown(a_run(cell))
    assert re.search(r"^plain +ok$", text, re.M)
    rows = block(text, "group")
    assert re.search(r"first +FAIL\n +second +3.61 ns\n +third +skipped", rows)
    assert "FAIL  group.first: it broke" in text
    assert "SKIP  group.third: no NUMA" in text


def test_a_run_without_cells() -> None:
    run = a_run(status=Status.MISS)
    run.run.interrupted = True
    assert "MISS: 0 cells in 6.2 s, interrupted" in shown(run)
