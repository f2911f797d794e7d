# SPDX-License-Identifier: GPL-2.0-only
"""Runs to be shown, made from recorded guests (tests/data), and what is looked at in a text."""

from __future__ import annotations

import gzip
import io
import re
from pathlib import Path

from harness.report.terminal.run import print_run
from harness.results.records import (
    Cell,
    Failure,
    HostInfo,
    KernelRecord,
    MachineRecord,
    Run,
    RunInfo,
    Status,
    SuiteRecord,
    worst,
)
from harness.suites.failures import classify
from harness.suites.observe import observe
from tests.data_files import DATA

LINES = (DATA / "ktap" / "wcprobe.ktap").read_text().splitlines()
BAR = gzip.decompress((DATA / "ktap" / "wcprobe.bar.gz").read_bytes())
CUT = (DATA / "ktap" / "wcprobe-nested-6.1-killed.txt").read_text().splitlines()
L1 = (DATA / "logs" / "kvm-l1.log").read_text(errors="replace").splitlines()
KILLED = classify.console(L1, "L1", "console.log")
PATCHED = "debian-6.1+stage2-normal-nc"
WC = "wcprobe.ioremap_wc"
NC, NGNRE = "Normal-NC", "Device-nGnRE"


def a_cell(
    kernel: str, lines: list[str], death: Failure | None = None, machine: str = "nested-tcg"
) -> Cell:
    found = observe("wcprobe", lines, {}, death, BAR)
    return Cell(
        name=f"{kernel}/{machine}/wcprobe",
        kernel=KernelRecord(name=kernel, version="6.1.176"),
        machine=MachineRecord(
            name=machine,
            topology="nested",
            accel="tcg",
            cpu="max",
            smp=2,
            memory_mib=2048,
            qemu="QEMU emulator version 10.0.2 (Debian 1:10.0.2)",
        ),
        suite=SuiteRecord(name="wcprobe"),
        status=worst([o.status for o in found]),
        observations=found,
        failure=death,
    )


def a_run(*cells: Cell, status: Status = Status.FAIL) -> Run:
    host = HostInfo(system="Linux", machine="x86_64", cpus=2, python="3.11", s2eval="0")
    info = RunInfo(id="20260117-101530-quickstart", plan="q", started="", seconds=6.2, host=host)
    return Run(run=info, status=status, cells=list(cells))


def quickstart() -> Run:
    return a_run(a_cell("debian-6.1", CUT, KILLED), a_cell(PATCHED, LINES))


def shown(run: Run, width: int = 80, folder: Path | None = None) -> str:
    file = io.StringIO()
    print_run(run, folder, file=file, width=width)
    return file.getvalue()


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def block(text: str, title: str) -> str:
    """The rows of one mapping."""
    return text.split(f"\n{title}\n")[1].partition("\n\n")[0]


def recorded() -> Run:
    """A run of plans/quickstart.toml."""
    return Run.model_validate_json((DATA / "runs" / "quickstart.json").read_bytes())
