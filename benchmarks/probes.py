# SPDX-License-Identifier: GPL-2.0-only
"""Benchmarks of the suites of probes: `python -m benchmarks.probes [--rounds N]`.

Every figure is of a real `s2eval run` on nested-tcg, from its start to its exit, on a warm store (a
first round fills the store and is not counted). The targets are for an idle machine with two cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.__main__ import Row
from harness.results.phases import PhaseName
from harness.results.records import Run

BASE, PATCHED = "debian-6.1", "debian-6.1+stage2-normal-nc"


@dataclass(frozen=True)
class Case:
    """Suites that one host runs, one after the other, and the seconds that they may take."""

    name: str
    kernel: str
    suites: tuple[str, ...]
    target: float | None


CASES = (
    Case("wcprobe", PATCHED, ("wcprobe",), 3.0),
    Case("all that is not destructive", PATCHED, ("wcprobe", "wcprobe-figures"), 15.0),
    Case("wcprobe-risky, nothing dies", PATCHED, ("wcprobe-risky",), 30.0),
    Case("wcprobe-risky, eight guests die", BASE, ("wcprobe-risky",), 30.0),
)


def run(case: Case) -> tuple[float, Run]:
    """Return the seconds from start to exit, and the record.

    A FAIL is a finding: raise SystemExit for exit codes above 1.
    """
    suites = [word for suite in case.suites for word in ("-s", suite)]
    command = ["run", "-q", "--json", "-k", case.kernel, "-m", "nested-tcg", *suites]
    with tempfile.TemporaryDirectory() as tmp:
        env = {**os.environ, "S2EVAL_RESULTS": str(Path(tmp, "results"))}
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", "from harness.cli.main import main; main()", *command],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - start
    if done.returncode not in (0, 1):
        raise SystemExit(f"s2eval {' '.join(command)}: {done.returncode}\n{done.stderr}")
    return seconds, Run.model_validate_json(done.stdout)


def measure(case: Case, rounds: int) -> list[Row]:
    """Return the rows of one case: the whole command, and each suite's probes."""
    samples = [run(case) for _ in range(rounds + 1)][1:]
    rows = [Row(f"{case.name}: start to exit", [s for s, _ in samples], "s", case.target)]
    for index, suite in enumerate(case.suites):
        cells = [record.cells[index] for _, record in samples]
        probing = [
            sum(p.seconds for p in cell.phases if p.name == PhaseName.PROBE) for cell in cells
        ]
        tests = [float(len(cell.observations)) for cell in cells]
        rows.append(Row(f"  {suite}: in L2", probing, "s", None))
        rows.append(Row(f"  {suite}: observations", tests, "", None))
    return rows


def main() -> None:
    """Measure every case and print its rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.probes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} CPUs, load {load:.1f} before, {options.rounds} rounds\n")
    print(f"{'':44} {'median':>8} {'':4} {'min..max':>16}  {'target':>6}")
    for case in CASES:
        for row in measure(case, options.rounds):
            print(row.text(), flush=True)


if __name__ == "__main__":
    main()
