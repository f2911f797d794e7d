# SPDX-License-Identifier: GPL-2.0-only
"""Benchmark of the page of a run of 500 cells: `python -m benchmarks.page [--rounds N]`.

The cells are copies of a recorded run's, with names and figures of their own; every second cell is
a failure with a log and a script of the usual length. The command is measured from its start to
its exit.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.evaluate.cell.reproduce import SCRIPT
from harness.results.records import Cell, Run
from harness.results.store import RECORD, cell_path

RECORDED = Path(__file__).parent.parent / "tests" / "data" / "runs" / "quickstart.json"
CELLS, KERNELS = 500, 25
SECONDS, MEGABYTES = 5.0, 5.0  # at most
COMMAND = "from harness.cli.main import main; main()"
SCRIPT_BYTES, LOG_LINES = 3400, 40


def large_run(cells: int = CELLS, kernels: int = KERNELS) -> Run:
    """Return a run of `cells` cells: `kernels` kernels, half of them patched, on many machines."""
    run = Run.model_validate_json(RECORDED.read_bytes())
    run.run.id, run.run.plan, run.run.comparisons = "20260117-101530-nightly", "nightly.toml", []
    random.seed(1)
    old, patched = run.cells
    run.cells = []
    for number in range(cells):
        machine, kernel = divmod(number, kernels)
        model = patched if kernel % 2 else old
        run.cells.append(_copy(model, f"{model.kernel.name}+s{kernel}", f"machine-{machine}"))
    return run


def _copy(model: Cell, kernel: str, machine: str) -> Cell:
    """Return a copy of a cell with another kernel and machine, and other figures."""
    cell = model.model_copy(deep=True)
    cell.name = f"{kernel}/{machine}/{cell.suite.name}"
    cell.kernel.name, cell.machine.name, cell.expectations = kernel, machine, []
    for item in cell.observations:
        item.samples = [sample * random.uniform(0.8, 1.2) for sample in item.samples]  # noqa: S311
    if cell.failure:
        line = "[    1.234567] x29: ffff00000145bb90 x28: ffff800008628770 x27: ffff800008628660"
        cell.failure.excerpt = [line] * LOG_LINES
    return cell


def write(run: Run, results: Path) -> Path:
    """Write the run's record and a script for each cell; return its folder below `results`."""
    folder = results / run.run.id
    for cell in run.cells:
        logs = cell_path(folder, cell.name)
        logs.mkdir(parents=True)
        (logs / SCRIPT).write_text(("echo line\n" * SCRIPT_BYTES)[:SCRIPT_BYTES])
    (folder / RECORD).write_text(run.model_dump_json(by_alias=True, indent=1))
    return folder


def main() -> None:
    """Render the page in each round and print time and size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as tmp:
        folder = write(large_run(), Path(tmp))
        record = (folder / RECORD).stat().st_size / 1e6
        seconds, cpu = [], []
        for _ in range(rounds):
            start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
            command = [sys.executable, "-c", COMMAND, "report", str(folder)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.monotonic() - start)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        size = (folder / "report.html").stat().st_size / 1e6
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {rounds} rounds")
    print(f"page of {CELLS} cells (a record of {record:.1f} MB), start to exit:")
    for name, figure, most in (
        ("median seconds", statistics.median(seconds), SECONDS),
        ("of CPU time", statistics.median(cpu), SECONDS),
        ("megabytes", size, MEGABYTES),
    ):
        print(f"  {name:16}{figure:8.2f}  at most {most:g}{'' if figure <= most else '  MISSED'}")


if __name__ == "__main__":
    main()
