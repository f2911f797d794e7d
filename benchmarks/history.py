# SPDX-License-Identifier: GPL-2.0-only
"""Benchmarks of the history: `python -m benchmarks.history [--runs N] [--url URL]`.

A million observations of made-up nightly runs (six kernels on four machines; one kernel changes
every night, some facts flicker) are stored as real ones are; then each query of a command is timed,
from the call to the answer, in a process that has the database open. The table goes to standard
output.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.results.history.db import Database
from harness.results.history.history import History
from harness.results.history.record import Recorder
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

TARGET_MS = 200.0
KERNELS = ("moving", "debian-6.1", "debian-6.1+a", "debian-6.1+b", "debian-6.12", "debian-7.2")
MACHINES = ("nested-tcg", "nested-tcg-a72", "nested-tcg-a76", "nested-tcg-v1")
FACTS = 40  # of a cell; with its figures it has 56 observations
FIGURES = 16
NIGHTS = 745  # a little over a million observations
BATCH = 25  # runs in one transaction; commands store one at a time
FIRST = datetime(2024, 1, 1, 2, tzinfo=UTC)


def nightly(night: int, chance: random.Random) -> Run:
    """Return the run of one night; the moving kernel is bad for ten nights of a hundred."""
    started = FIRST + timedelta(days=night)
    cells = [_cell(kernel, machine, night, chance) for kernel in KERNELS for machine in MACHINES]
    info = RunInfo(
        id=f"{started:%Y%m%d-%H%M%S}-nightly",
        plan="plans/nightly.toml",
        started=started.isoformat(),
        host=HostInfo(system="", machine="", cpus=2, python="", s2eval=""),
    )
    return Run(run=info, status=Status.PASS, cells=cells)


def _cell(kernel: str, machine: str, night: int, chance: random.Random) -> Cell:
    state = night if kernel == "moving" else night // 60
    key = f"{kernel}-{state}"
    facts = [_fact(kernel, number, night, chance) for number in range(FACTS)]
    figures = [
        Observation(
            path=f"wcprobe.figure{number}", status=Status.DONE, value=chance.random(), unit="MB/s"
        )
        for number in range(FIGURES)
    ]
    return Cell(
        name=f"{kernel}/{machine}/wcprobe",
        kernel=KernelRecord(name=kernel, commit=key, build_key=key),
        machine=MachineRecord(
            name=machine, topology="nested", accel="tcg", cpu="max", smp=2, memory_mib=2048
        ),
        suite=SuiteRecord(name="wcprobe", source_hash="1"),
        status=Status.PASS,
        observations=[*facts, *figures],
    )


def _fact(kernel: str, number: int, night: int, chance: random.Random) -> Observation:
    bad = kernel == "moving" and night % 100 > 90
    bad = bad or (number == 0 and chance.random() < 1 / 50)
    status, value = (Status.FAIL, "vm-killed") if bad else (Status.PASS, "works")
    return Observation(path=f"wcprobe.fact{number}", status=status, value=value)


def fill(url: str, nights: int) -> None:
    """Store the runs of all nights in the database at `url`."""
    chance = random.Random(1)  # noqa: S311 - no secret
    database = Database(url)
    for begin in range(0, nights, BATCH):
        with database.write() as connection:
            recorder = Recorder(connection)
            for night in range(begin, min(begin + BATCH, nights)):
                recorder.store(nightly(night, chance), Path("/nowhere"), "benchmark")
    database.close()


def queries(history: History, nights: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield each query of a command, with its name."""
    last, before = (
        f"{FIRST + timedelta(days=night):%Y%m%d-%H%M%S}-nightly"
        for night in (nights - 1, nights - 2)
    )
    fact, kernel, machine = "wcprobe.fact0", "moving", "nested-tcg"
    extra = nightly(nights, random.Random(2))  # noqa: S311
    yield "names are known", lambda: history.check(path=fact, kernel=kernel, machine=machine)
    yield "history PATH: 24 lanes", lambda: history.lanes(fact)
    yield "history PATH -k", lambda: history.lanes(fact, kernel)
    yield "history PATH -k -m, all points", lambda: history.lanes(fact, kernel, machine, None, 9999)
    yield "series of a lane", lambda: history.series(fact, kernel, machine)
    yield "series of a steady lane", lambda: history.series(fact, "debian-7.2", machine)
    yield "series of a path", lambda: history.series(fact)
    yield "series of a figure", lambda: history.series("wcprobe.figure3", kernel, machine)
    yield "first bad run", lambda: history.first_bad(fact)
    yield "--flaky", history.flaky
    yield "--flaky PATH -k", lambda: history.flaky(fact, "debian-7.2")
    yield "--changes", lambda: history.changes(before, last)
    yield "storing a run of 24 cells", lambda: history.record(extra, Path("/nowhere"))


def main() -> None:
    """Fill a database, time the queries and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument("--runs", type=int, default=NIGHTS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--url", default="", help="an empty database; default: SQLite in a folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "results.sqlite")
        url = options.url or f"sqlite:///{file}"
        start = time.monotonic()
        fill(url, options.runs)
        cells = options.runs * len(KERNELS) * len(MACHINES)
        count = cells * (FACTS + FIGURES)
        print(f"{options.runs} runs, {count:,} observations, {time.monotonic() - start:.0f} s")
        if file.exists():
            print(
                f"{file.stat().st_size / 2**20:.0f} MiB, {file.stat().st_size / count:.0f} B each"
            )
        print(f"\n{'':34} {'median':>8} {'worst':>8}  ms, target {TARGET_MS:g}")
        history = History(url)
        for name, query in queries(history, options.runs):
            figures = [_milliseconds(query) for _ in range(options.rounds)]
            missed = "  MISSED" if max(figures) > TARGET_MS else ""
            print(f"{name:34} {statistics.median(figures):8.1f} {max(figures):8.1f}{missed}")
        history.close()


def _milliseconds(query: Callable[[], object]) -> float:
    start = time.monotonic()
    query()
    return 1000 * (time.monotonic() - start)


if __name__ == "__main__":
    main()
