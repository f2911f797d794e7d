# SPDX-License-Identifier: GPL-2.0-only
"""Benchmarks of the engine: `python -m benchmarks.engine [NAME...]`.

resume    from the start of `s2eval run --resume` to its first cell, of a run that was killed
matrix    24 nested cells on a warm store, one at a time and two at a time

Real commands on real guests, each once (matrix takes minutes). A first run of the matrix fills the
store and is not counted. Two at a time can be faster only where cores are free: a nested guest has
two CPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.__main__ import Row, guest_seconds
from harness.results.records import Run

PROGRAM = Path(sys.executable).with_name("s2eval")
KERNELS = ["debian-6.1", "debian-6.1+stage2-normal-nc", "debian-6.12", "debian-7.2"]
MACHINES = ["nested-tcg", "nested-tcg-cortex-a72", "nested-tcg-neoverse-v1"]
SUITES = ["wcprobe", "stage-types"]
CELLS = 24
RESUMES = 5


def plan(folder: Path, machines: list[str]) -> Path:
    """Write a plan of all kernels and suites on `machines`; return its path."""
    path = folder / "benchmark.toml"
    lists = {"kernels": KERNELS, "machines": machines, "suites": SUITES}
    path.write_text("".join(f"{key} = {json.dumps(names)}\n" for key, names in lists.items()))
    return path


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a command whose results go below `folder`."""
    return {**os.environ, "S2EVAL_RESULTS": str(folder / "results")}


def matrix(*, warm: bool) -> list[Row]:
    """Measure 24 cells one at a time and two at a time; `warm`: the store is filled already."""
    with tempfile.TemporaryDirectory() as tmp:
        path = plan(Path(tmp), MACHINES)
        if not warm:
            run(path, "1")  # builds what is missing, and measures what a cell takes
        one, record = run(path, "1")
        two, _ = run(path, "2")
    guest = guest_seconds(record)
    memory = max(cell.usage.memory_mib for cell in record.cells if cell.usage)
    assert len(record.cells) == CELLS
    return [
        Row(f"{CELLS} nested cells, --jobs 1", [one], "s", None),
        Row(f"{CELLS} nested cells, --jobs 2", [two], "s", None),
        Row("time of two at once (1/1.6 of one)", [two / one], "", 1 / 1.6),
        Row("harness's own time, --jobs 1", [100 * (one - guest) / one], "%", 5),
        Row("QEMU's peak memory", [memory], "MiB", None),
    ]


def run(path: Path, jobs: str) -> tuple[float, Run]:
    """Return the seconds of a whole run, and its record.

    Kernels that fail are part of the matrix: raise SystemExit for exit codes above 1.
    """
    command = [str(PROGRAM), "run", str(path), "-q", "--json", "--jobs", jobs]
    start = time.monotonic()
    done = subprocess.run(
        command, env=environment(path.parent), capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - start
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)}: {done.returncode}\n{done.stderr}")
    return seconds, Run.model_validate_json(done.stdout)


def resume() -> list[Row]:
    """Measure how long a run of 24 cells takes to resume; it was killed in its third cell."""
    figures = []
    with tempfile.TemporaryDirectory() as tmp:
        path = plan(Path(tmp), ["flat-tcg", *MACHINES[1:]])
        until(path, ["run", str(path)], lambda line: line.startswith("PASS"), times=2)
        for _ in range(RESUMES):
            command = ["run", "--resume"]
            figures.append(until(path, command, lambda line: line.endswith(": build")))
    return [Row(f"resume of {CELLS} cells, start to first cell", figures, "s", 1)]


def until(path: Path, command: list[str], matches: Callable[[str], bool], times: int = 1) -> float:
    """Return the seconds until `times` lines of a command's progress match, and kill the command.

    Raise SystemExit when the command ends before.
    """
    start = time.monotonic()
    with subprocess.Popen(
        [str(PROGRAM), *command],
        env=environment(path.parent),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        lines = []
        for line in process.stderr:
            lines.append(line)
            times -= matches(line.rstrip())
            if not times:
                seconds = time.monotonic() - start
                process.send_signal(signal.SIGKILL)
                return seconds
    raise SystemExit("".join(lines))


BENCHMARKS = ("resume", "matrix")


def main() -> None:
    """Run the benchmarks named on the command line and print their rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--warm", action="store_true", help="All is built; leave that run out.")
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(BENCHMARKS)}")
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} before\n")
    print(f"{'':44} {'median':>8} {'':4} {'min..max':>16}  {'target':>6}")
    for name in options.names or BENCHMARKS:
        for row in resume() if name == "resume" else matrix(warm=options.warm):
            print(row.text(), flush=True)


if __name__ == "__main__":
    main()
