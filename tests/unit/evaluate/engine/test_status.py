# SPDX-License-Identifier: GPL-2.0-only
"""status.json, and what QEMU takes as /proc tells it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from harness.evaluate.engine import timings
from harness.evaluate.engine.meter import Meter, Sample, tree
from harness.evaluate.engine.status import StatusFile, seconds_of
from harness.evaluate.engine.timings import Took
from harness.evaluate.events import GuestStarted, Note
from harness.evaluate.progress import Running, Snapshot
from harness.results.records import (
    Cell,
    KernelRecord,
    MachineRecord,
    Phase,
    Status,
    SuiteRecord,
    Usage,
)


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "status.json").read_text())
    return found


def seen() -> Snapshot:
    running = [Running("k/m/s", "probe", 3.04, 1.0, 4.0, "note")]
    return Snapshot(4, 1, {Status.PASS: 1}, running, 12.0, 6.0)


def test_it_says_how_far_a_run_is_and_how_it_ended(tmp_path: Path) -> None:
    status = StatusFile(tmp_path, "plans/p.toml", before=100.0)
    status.start(lambda: Snapshot(total=4))
    assert (read(tmp_path)["state"], read(tmp_path)["done"]) == ("running", 0)
    status.event(Note("x"), seen())
    now = read(tmp_path)
    assert (now["schema"], now["state"], now["pid"]) == ("s2eval-status-1", "running", os.getpid())
    assert (now["total"], now["done"], now["counts"]) == (4, 1, {"PASS": 1})
    assert (now["seconds"], now["left"]) == (112.0, 6.0)
    (cell,) = now["running"]
    assert cell == {
        "cell": "k/m/s",
        "phase": "probe",
        "seconds": 3.0,
        "phase_seconds": 1.0,
        "expected": 4.0,
    }
    status.end("stopped")
    status.tick(seen())  # a tick that comes late
    now = read(tmp_path)
    assert (now["state"], now["running"], now["left"]) == ("stopped", [], None)
    assert seconds_of(tmp_path) == 112.0


def test_a_reader_sees_whole_documents_only(tmp_path: Path) -> None:
    status = StatusFile(tmp_path, "p", before=0)
    status.tick(seen())
    end = threading.Event()

    def write() -> None:
        while not end.is_set():
            status.tick(seen())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(200):
            assert read(tmp_path)["total"] == 4
    finally:
        end.set()
        writer.join()
    assert [p.name for p in tmp_path.iterdir()] == ["status.json"]


def test_without_a_folder_it_goes_without(tmp_path: Path) -> None:
    StatusFile(tmp_path / "gone", "p", before=0).tick(seen())
    assert seconds_of(tmp_path / "gone") == 0.0


def process(proc: Path, pid: int, name: str, *, children: str = "", hwm: int = 0) -> None:
    folder = proc / str(pid)
    (folder / "task" / str(pid)).mkdir(parents=True)
    (folder / "task" / str(pid) / "children").write_text(children)
    ticks = f"{2 * os.sysconf('SC_CLK_TCK')} {os.sysconf('SC_CLK_TCK')}"
    (folder / "stat").write_text(
        f"{pid} ({name}) S 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 20 0 1 0 777 0"
    )
    (folder / "status").write_text(f"Name:\\t{name}\nVmHWM:\t{hwm} kB\n")


def test_a_guest_is_its_process_and_all_that_it_has_started(tmp_path: Path) -> None:
    """Whatever a VMM is called, and also behind a script that starts it."""
    process(tmp_path, 1, "s2eval", children="2 9 ")
    process(tmp_path, 2, "my-qemu.sh) (x", children="3 4 ", hwm=1024)  # 4 has ended meanwhile
    process(tmp_path, 3, "lkvm", hwm=512 * 1024)
    process(tmp_path, 9, "make", hwm=4096)  # of a build, and none of the guest's
    found = tree(2, tmp_path)
    assert list(found) == [(2, "777"), (3, "777")]
    last = found[3, "777"]
    assert (last.memory_mib, last.cpu_seconds) == (512.0, 3.0)
    assert tree(99, tmp_path) == {}


def test_the_guests_that_have_started_are_watched() -> None:
    script = ["sh", "-c", "sleep 60 & sleep 60"]
    with Meter() as meter, subprocess.Popen(script, start_new_session=True) as guest:
        meter(GuestStarted("k/m/s", 0))  # of another machine: nothing is known of it
        meter(GuestStarted("k/m/s", guest.pid))
        try:
            until = time.monotonic() + 30
            while not (usage := meter.take()) and time.monotonic() < until:
                time.sleep(0.05)
        finally:
            os.killpg(guest.pid, signal.SIGKILL)
    assert usage and usage.memory_mib > 0


def test_of_a_guest_that_serves_several_cells_each_has_its_own_time() -> None:
    meter, key = Meter(), (2, "777")
    assert meter.take() is None
    meter.add({key: Sample(400.0, 3.0)})
    assert meter.take() == Usage(memory_mib=400.0, cpu_seconds=3.0)
    meter.add({key: Sample(450.0, 5.0), (3, "888"): Sample(100.0, 1.0)})
    assert meter.take() == Usage(memory_mib=450.0, cpu_seconds=3.0)


def a_cell(name: str = "k/m/s", **more: object) -> Cell:
    values: dict[str, object] = {
        "name": name,
        "kernel": KernelRecord(name="k"),
        "machine": MachineRecord(
            name="m", topology="flat", accel="tcg", cpu="max", smp=2, memory_mib=256
        ),
        "suite": SuiteRecord(name="s"),
        "status": Status.PASS,
        "phases": [Phase(name="build", seconds=200), Phase(name="probe", seconds=6)],
        "usage": Usage(memory_mib=300, cpu_seconds=9),
        **more,
    }
    return Cell.model_validate(values)


def test_what_a_cell_took_is_remembered_without_its_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path))
    assert timings.load() == {}
    timings.remember([a_cell(), a_cell("k/m/t", repeats=2), a_cell("k/m/u", usage=None)])
    assert timings.load() == {"k/m/s": Took(6, 300, 1.5), "k/m/t": Took(3, 300, 1.5)}
    timings.remember([a_cell(usage=Usage(memory_mib=100, cpu_seconds=6))])
    assert timings.load()["k/m/s"] == Took(6, 100, 1.0)
    timings.remember([a_cell(carried="another-run", usage=Usage(memory_mib=1, cpu_seconds=1))])
    assert timings.load()["k/m/s"].memory_mib == 100
    timings.file().write_text("{")
    assert timings.load() == {}


def test_the_oldest_timings_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path))
    monkeypatch.setattr(timings, "KEPT", 2)
    for name in ("k/m/a", "k/m/b", "k/m/a", "k/m/c"):
        timings.remember([a_cell(name)])
    assert list(timings.load()) == ["k/m/a", "k/m/c"]
