# SPDX-License-Identifier: GPL-2.0-only
"""Runs for the history's tests: as small as a question about them needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.results.records import (
    Cell,
    HostInfo,
    KernelRecord,
    MachineRecord,
    Observation,
    Run,
    RunInfo,
    Status,
    SuiteRecord,
)
from harness.results.store import RECORD

PATH = "wcprobe.ioremap_wc.unaligned_load"
FIGURE = "wcprobe.ioremap_wc.throughput"
GOOD, DEAD = (Status.PASS, "works"), (Status.FAIL, "vm-killed")
HERE = Path("/runs")


def seen(path: str, said: tuple[Status, Any], unit: str | None = None) -> Observation:
    return Observation(path=path, status=said[0], value=said[1], unit=unit)


def cell(
    *observations: Observation,
    kernel: str = "debian-6.1",
    commit: str = "c1",
    machine: str = "nested-tcg",
    qemu: str = "10.0.2",
    carried: str = "",
) -> Cell:
    return Cell(
        name=f"{kernel}/{machine}/wcprobe",
        kernel=KernelRecord(name=kernel, commit=commit, build_key=f"key-{commit}"),
        machine=MachineRecord(
            name=machine,
            topology="nested",
            accel="tcg",
            cpu="max",
            smp=2,
            memory_mib=2048,
            qemu=qemu,
        ),
        suite=SuiteRecord(name="wcprobe", source_hash="s1"),
        status=Status.PASS,
        observations=list(observations),
        carried=carried,
    )


def run(day: int, *cells: Cell, plan: str = "plans/nightly.toml") -> Run:
    """The run of a day in January 2026, at two in the morning."""
    name = f"202601{day:02}-020000-nightly"
    host = HostInfo(system="", machine="", cpus=2, python="", s2eval="")
    info = RunInfo(id=name, plan=plan, started=f"2026-01-{day:02}T02:00:00+00:00", host=host)
    return Run(run=info, status=Status.PASS, cells=list(cells))


def name(day: int) -> str:
    return run(day).run.id


def on_disk(base: Path, *runs: Run) -> list[Path]:
    """Their folders below `base`, with a log each."""
    folders = []
    for one in runs:
        folder = base / one.run.id
        (folder / "cell").mkdir(parents=True)
        (folder / RECORD).write_text(one.model_dump_json(by_alias=True))
        (folder / "cell/console.log").write_text("a line of a log\n" * 500)
        folders.append(folder)
    return folders
