# SPDX-License-Identifier: GPL-2.0-only
"""Cells and observations for tests of what compares them."""

from __future__ import annotations

from harness.results.records import (
    Cell,
    KernelRecord,
    MachineRecord,
    Observation,
    Status,
    SuiteRecord,
)


def cell(kernel: str, *seen: Observation, suite: str = "s") -> Cell:
    machine = MachineRecord(
        name="m", topology="nested", accel="tcg", cpu="max", smp=2, memory_mib=2048
    )
    return Cell(
        name=f"{kernel}/m/{suite}",
        kernel=KernelRecord(name=kernel),
        machine=machine,
        suite=SuiteRecord(name=suite),
        status=Status.PASS,
        observations=[one.model_copy(deep=True) for one in seen],
    )


def saw(path: str, value: str | None = None, status: Status = Status.PASS) -> Observation:
    return Observation(path=path, status=status, value=value)
