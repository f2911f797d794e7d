# SPDX-License-Identifier: GPL-2.0-only
"""Benchmarks of warm cells and builds: `python -m benchmarks [--rounds N] [NAME...]`.

Each figure is of a real command in a process of its own, from its start to its exit, on a warm
store (the first round fills the store and is not counted). The table goes to standard output.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.results.phases import PhaseName
from harness.results.records import Run

# Phases in which QEMU runs; the rest of a run is the harness's own time.
GUEST_PHASES: frozenset[str] = frozenset(
    {
        PhaseName.START_L1,
        PhaseName.BOOT_L1,
        PhaseName.RESTORE_L1,
        PhaseName.START_L2,
        PhaseName.PROBE,
        PhaseName.END_L1,
        PhaseName.BOOT_AND_PROBE,
    }
)
KERNEL = "debian-6.1+stage2-normal-nc"
# The program writes its own peak memory, without its children's, to the file named last.
WRAPPER = """
import atexit, resource, sys
path = sys.argv.pop()
atexit.register(lambda: open(path, "w").write(
    str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)))
from harness.cli.main import main
main()
"""


@dataclass
class Sample:
    """One process: seconds of wall time, its own peak memory in MiB, its standard output."""

    seconds: float
    memory: float
    output: str


@dataclass
class Row:
    """A line of the table: the figures of all rounds, and the most that their median may be."""

    name: str
    figures: list[float]
    unit: str
    target: float | None

    def text(self) -> str:
        """Return the line, marked MISSED when the median is above the target."""
        low, high = min(self.figures), max(self.figures)
        middle = statistics.median(self.figures)
        target = f"{self.target:g}" if self.target is not None else "-"
        verdict = "" if self.target is None or middle <= self.target else "  MISSED"
        spread = f"{low:.2f}..{high:.2f}"
        return f"{self.name:46} {middle:8.2f} {self.unit:4} {spread:>16}  {target:>6}{verdict}"


def s2eval(*arguments: str) -> Sample:
    """Run the command to its end; raise SystemExit unless its exit code is 0."""
    with tempfile.TemporaryDirectory() as tmp:
        peak = Path(tmp, "peak")
        env = {**os.environ, "S2EVAL_RESULTS": str(Path(tmp, "results"))}
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # with it, each start compiles 100 files
        command = [sys.executable, "-c", WRAPPER, *arguments, str(peak)]
        start = time.monotonic()
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - start
        if done.returncode:
            raise SystemExit(f"s2eval {' '.join(arguments)}: {done.returncode}\n{done.stderr}")
        return Sample(seconds, int(peak.read_text()) / 1024, done.stdout)


def repeat(rounds: int, *arguments: str) -> list[Sample]:
    """Return the samples of `rounds` commands, after one that is not counted."""
    s2eval(*arguments)
    return [s2eval(*arguments) for _ in range(rounds)]


def cell(machine: str, target: float, *more: str) -> Callable[[int], list[Row]]:
    """Return the benchmark of a warm cell of `machine`: wall time, the harness's share, memory.

    `more` are options of `s2eval run`.
    """
    name = " ".join((machine, *more))

    def measure(rounds: int) -> list[Row]:
        command = ["run", "-q", "--json", "-k", KERNEL, "-m", machine, "-s", "wcprobe", *more]
        s2eval(*command)  # the second time, L1 is saved
        samples = repeat(rounds, *command)
        share = []
        for sample in samples:
            guest = guest_seconds(Run.model_validate_json(sample.output))
            share.append(100 * (sample.seconds - guest) / sample.seconds)
        own = None if machine == "flat-tcg" else 10.0
        return [
            Row(f"{name}: warm cell, start to exit", [s.seconds for s in samples], "s", target),
            Row(f"{name}: harness's own time", share, "%", own),
            Row(f"{name}: Python's peak memory", [s.memory for s in samples], "MiB", 150),
        ]

    return measure


def guest_seconds(run: Run) -> float:
    """Return the time in which a guest ran, of all cells of a run."""
    phases = [phase for cell in run.cells for phase in cell.phases]
    return sum(phase.seconds for phase in phases if phase.name in GUEST_PHASES)


def rebuild(rounds: int) -> list[Row]:
    """Measure builds after a change in arch/arm64/kvm/hyp/pgtable.c, another in each round."""
    figures = []
    for n in range(rounds + 1):
        with tempfile.TemporaryDirectory() as tmp:
            patch = Path(tmp, "0001-benchmark.patch")
            patch.write_text(one_file_patch(f"{os.getpid()}-{n}-{time.time_ns()}"))
            figures.append(s2eval("build", "-q", f"debian-6.1+{patch}").seconds)
    return [Row("rebuild after a change in pgtable.c", figures[1:], "s", 8)]


def one_file_patch(word: str) -> str:
    """Return a patch that changes pgtable.o: it adds a string that the linker keeps."""
    return f"""\
From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
From: s2eval <s2eval@localhost>
Date: Thu, 1 Jan 1970 00:00:00 +0000
Subject: [PATCH] KVM: arm64: Benchmark {word}

Signed-off-by: s2eval <s2eval@localhost>
---
diff --git a/arch/arm64/kvm/hyp/pgtable.c b/arch/arm64/kvm/hyp/pgtable.c
--- a/arch/arm64/kvm/hyp/pgtable.c
+++ b/arch/arm64/kvm/hyp/pgtable.c
@@ -1,3 +1,4 @@
+static const char s2eval_benchmark[] __attribute__((used)) = "{word}";
 // SPDX-License-Identifier: GPL-2.0-only
 /*
  * Stand-alone page-table allocator for hyp stage-1 and guest stage-2.
--
2.39.5
"""


BENCHMARKS: dict[str, Callable[[int], list[Row]]] = {
    "nested": cell("nested-tcg", 3.0),
    "fresh": cell("nested-tcg", 3.0, "--fresh"),
    "flat": cell("flat-tcg", 1.0),
    "rebuild": rebuild,
}


def main() -> None:
    """Run the benchmarks named on the command line and print their rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(BENCHMARKS)}")
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} CPUs, load {load:.1f} before, {options.rounds} rounds\n")
    print(f"{'':46} {'median':>8} {'':4} {'min..max':>16}  {'target':>6}")
    for name in options.names or BENCHMARKS:
        for row in BENCHMARKS[name](options.rounds):
            print(row.text(), flush=True)


if __name__ == "__main__":
    main()
