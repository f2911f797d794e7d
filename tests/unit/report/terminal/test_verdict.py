# SPDX-License-Identifier: GPL-2.0-only
"""A recorded run of Linux 6.1 without and with stage2-normal-nc, as `s2eval patch` tells it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.evaluate.patch.between import compare
from harness.evaluate.patch.verdict.conclude import conclude
from harness.evaluate.patch.verdict.document import (
    SeriesRecord,
    StepRecord,
    StyleRemark,
    VerdictDocument,
)
from harness.evaluate.patch.verdict.verdict import VerdictChange
from harness.evaluate.patch.verdict.word import ChangeKind, Verdict
from harness.report.terminal.verdict import markdown, text
from harness.results.compare import pairs
from harness.results.records import Run
from harness.results.store import load_run
from tests.data_files import DATA

RUN = DATA / "runs" / "quickstart.json"
BASE, PATCHED = "debian-6.1", "debian-6.1+stage2-normal-nc"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder with the run, and the same one of another QEMU and kernel only."""
    monkeypatch.setenv("S2EVAL_RESULTS", str(tmp_path))
    data = json.loads(RUN.read_text())
    for name in ("20260101-000000-one", "20260102-000000-two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps(data))
        data["cells"] = [c for c in data["cells"] if c["kernel"]["name"] == PATCHED]
        for cell in data["cells"]:
            cell["machine"]["qemu"] = "QEMU emulator version 7.2.22"
    return tmp_path


def recorded(before: str = BASE, after: str = PATCHED) -> VerdictDocument:
    run = "20260101-000000-one"
    return compare(f"{run}:{before}", f"{run}:{after}")


def test_the_verdict_and_what_it_rests_on(results: Path) -> None:
    document = recorded()
    assert (document.verdict, document.exit_code) == (Verdict.IMPROVED, 0)
    kinds = {change.path: change.kind for change in document.changes}
    assert kinds["audit.ioremap_wc"] is ChangeKind.IMPROVED
    assert kinds["wcprobe.ioremap_wc.unaligned_load"] is ChangeKind.IMPROVED
    assert kinds["audit.ioremap.stage2"] is ChangeKind.CHANGED
    assert "wcprobe.ioremap.throughput.writel" not in kinds, "timings of an emulator"
    said = text(document, "results/one").splitlines()
    assert said[0] == "IMPROVED: 2 things better, nothing worse"
    assert "better" in said and "worse" not in said
    assert "  ioremap_wc.unaligned load: VM killed -> works" in said
    assert any(
        line.startswith("  stage 2 of ioremap, ioremap_np, ioremap_wc: Device-nGnRE -> Normal-NC")
        for line in said
    )
    assert said[-1] == "exit code 0"
    assert all(line.isprintable() for line in said)


def test_the_other_way_round_it_is_a_regression(results: Path) -> None:
    document = recorded(PATCHED, BASE)
    assert (document.verdict, document.exit_code) == (Verdict.REGRESSED, 1)
    said = text(document, "")
    assert "worse\n  ioremap_wc.unaligned load: works -> VM killed\n" in said
    assert "Unsupported FSC" in said, "the reason"


def test_figures_of_two_qemus_are_refused_and_the_rest_compared(results: Path) -> None:
    document = compare(f"20260101-000000-one:{PATCHED}", "20260102-000000-two")
    assert document.verdict is Verdict.UNCHANGED and document.figures == []
    assert "figures of nested-tcg, wcprobe are not compared: different QEMUs" in document.notes[0]


def test_what_cannot_be_compared(results: Path) -> None:
    with pytest.raises(UsageError, match=r"which kernels.*name one of each as RUN:KERNEL"):
        compare("20260101-000000-one", "20260102-000000-two")
    with pytest.raises(UsageError, match=r"unknown kernel in .*-two 'debian-6"):
        compare("20260102-000000-two:debian-6.2", "20260102-000000-two")
    with pytest.raises(UsageError, match="unknown run 'thre'"):
        compare("thre", "20260102-000000-two")
    run = Run.model_validate_json(RUN.read_text())
    for cell in run.cells:
        cell.machine.name, cell.suite.name = "other", "other"
    (results / "odd").mkdir()
    (results / "odd" / "run.json").write_text(run.model_dump_json(by_alias=True))
    with pytest.raises(UsageError, match="no machine and suite in common"):
        compare("20260101-000000-one", "odd")


def test_the_whole_document(results: Path) -> None:
    """All that a document may hold, on a terminal and in a mail."""
    document = recorded().model_copy(
        update={
            "series": SeriesRecord(name="x.mbx", subjects=[f"Step {n}" for n in range(9)],
                                   folder="/cache/series/x"),
            "open": ["patched on m, s: no output"],
            "notes": ["uncommitted\x1b[31m changes"],
            "size": {"Image": (7_000_000, 7_004_096), "text": (10, 10)},
            "style": [
                StyleRemark(tool="checkpatch", place="1.patch", text="WARNING:LONG_LINE: x")
            ] * 6,
            "steps": [
                StepRecord(count=1, title="Step 1", verdict=Verdict.UNCHANGED, same=True),
                StepRecord(count=2, title="Step 2", verdict=Verdict.UNDECIDED, error="x.c:1: bad"),
            ],
            "changes": [
                VerdictChange(path="log.L1.warn", base="not there", patched="WARNING: at mm/slub.c",
                       kind=ChangeKind.REGRESSED, about="log",
                       detail={"trace": ["WARNING: at mm/slub.c", " f+0x1/0x2 (mm/slub.c:7)"]}),
                VerdictChange(path="s.f", base="10 ns (9..11)", patched="20 ns (19..21)",
                       about="figure", kind=ChangeKind.REGRESSED,
                       detail={"ratio": 2.0, "p": 0.001, "effect": 1.0}),
                VerdictChange(path="wcprobe.a.b", base="works", patched="faults", about="probe",
                       suite="wcprobe",
                       kind=ChangeKind.REGRESSED, detail={"flaky": {"patched": {"FAIL faults": 2}},
                                                    "patch": "2/9"}),
            ],
        }
    )  # fmt: skip
    for said in (text(document, "results/x"), markdown(document)):
        assert "series     x.mbx, 9 patches" in said and "and 5 more" in said
        assert "  1/2 the same Image" in said and "  2/2 does not build" in said
        assert "  new in L1's log: WARNING: at mm/slub.c\n    f+0x1/0x2 (mm/slub.c:7)" in said
        assert "    x 2, effect +1.00 (Cliff's delta), p 0.001" in said
        assert "  a.b: works -> guest faults\n    in patch 2/9 only\n" in said
        assert "    patched flickers: 2 times FAIL faults" in said
        assert "not decided\n  patched on m, s: no output" in said
        assert "bytes      Image +4,096\n" in said
        assert said.count("LONG_LINE") == 4 and "checkpatch 2 more (--json)" in said
        assert "note       uncommitted changes" in said
        assert "\x1b" not in said
    assert "results/x" not in markdown(document)
    assert VerdictDocument.model_validate_json(document.model_dump_json(by_alias=True)) == document


def test_logs_are_compared_where_both_kernels_have_one(results: Path) -> None:
    folder = results / "20260101-000000-one"
    run = load_run(folder)
    (pair,) = pairs(run)
    logs = DATA / "logs"
    for cell, log in ((pair.base, "clean"), (pair.patched, "warn")):
        place = folder / cell.name.replace("/", "_")
        place.mkdir()
        (place / "console.log").write_text((logs / f"{log}.log").read_text())
        (place / "l2.kmsg.log").write_text("[    0.1] foo: error -22\n")
        cell.logs = ["console.log"] + ["l2.kmsg.log"] * (cell is pair.patched)
    told = conclude([pair], (folder, folder), every_figure=False)
    logged = [c for c in told.changes if c.about == "log" and c.kind is not ChangeKind.CHANGED]
    assert [(c.path, c.kind) for c in logged] == [("log.L1.warn", ChangeKind.REGRESSED)]
    assert told.verdict is Verdict.MIXED
