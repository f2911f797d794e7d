# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.base.errors import ExitCode, MachineError, UsageError
from harness.results.records import (
    Cell,
    HostInfo,
    KernelRecord,
    MachineRecord,
    Run,
    RunInfo,
    Status,
    SuiteRecord,
    exit_code_of,
    worst,
)
from harness.results.store import LATEST, RunStore, cell_path, load_run, run_folder, run_names

NOW = datetime(2026, 1, 17, 10, 15, 30, tzinfo=UTC)


def a_run(name: str = "x") -> Run:
    host = HostInfo(system="Linux", machine="x86_64", cpus=2, python="3.11", s2eval="0")
    info = RunInfo(id=name, plan="plans/p.toml", started=NOW.isoformat(), host=host)
    return Run(run=info, status=Status.PASS)


def test_written_record_reads_back(tmp_path: Path) -> None:
    store = RunStore.create("plans/quickstart.toml", NOW, tmp_path / "results")
    assert store.folder.name == "20260117-101530-quickstart"
    run = a_run(store.folder.name)
    store.write(run)
    run.status = Status.FAIL
    store.write(run)
    assert load_run(store.folder) == run
    top = json.loads((store.folder / "run.json").read_text())
    assert list(top) == ["schema", "run", "status", "cells"]
    assert top["schema"] == "s2eval-run-1"
    assert [p.name for p in store.folder.iterdir()] == ["run.json"]


def test_names_sort_by_time_and_latest_is_the_last(tmp_path: Path) -> None:
    made = []
    for _ in range(11):
        store = RunStore.create("quick start!", NOW, tmp_path)
        store.write(a_run())
        made.append(store.folder.name)
    assert made[0] == "20260117-101530-quick_start"
    assert made[1].endswith("-2")
    assert run_names(tmp_path) == made
    assert run_folder(LATEST, tmp_path).name == made[-1]
    assert (tmp_path / LATEST).readlink() == Path(made[-1])
    (tmp_path / LATEST).unlink()
    assert run_folder(LATEST, tmp_path).name == made[-1]


def test_a_plan_without_a_name(tmp_path: Path) -> None:
    assert RunStore.create("", NOW, tmp_path).folder.name == "20260117-101530-run"


def test_results_folder_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EVAL_RESULTS", str(tmp_path / "elsewhere"))
    store = RunStore.create("p", NOW)
    store.write(a_run())
    assert store.folder.parent == tmp_path / "elsewhere"
    assert run_names() == [store.folder.name]


def test_a_run_is_found_by_name_path_or_file(tmp_path: Path) -> None:
    store = RunStore.create("p", NOW, tmp_path)
    store.write(a_run())
    for name in (store.folder.name, str(store.folder), str(store.folder / "run.json")):
        assert run_folder(name, tmp_path) == store.folder


def test_cell_folders_stay_inside_the_run(tmp_path: Path) -> None:
    store = RunStore.create("p", NOW, tmp_path)
    folder = store.cell_folder("debian-6.1+x/nested-tcg/wcprobe")
    assert folder == cell_path(store.folder, "debian-6.1+x/nested-tcg/wcprobe")
    assert folder.name == "debian-6.1+x_nested-tcg_wcprobe"
    for name in ("../../etc", "..", "/", "a\0b\nc"):
        assert store.cell_folder(name).parent == store.folder


def test_a_write_that_fails_leaves_the_old_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore.create("p", NOW, tmp_path)
    store.write(a_run("old"))

    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(MachineError, match="No space left on device: free some space"):
        store.write(a_run("new"))
    assert load_run(store.folder).run.id == "old"
    assert [p.name for p in store.folder.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "EOF while parsing"),
        (b"{", "EOF while parsing"),
        (b"\xff\x00", "expected value"),
        (b"[]", "Input should be an object"),
        (b'{"schema": "s2eval-run-0"}', "schema: Input should be 's2eval-run-1'"),
        (b'{"schema": "s2eval-run-1", "status": "GOOD"}', "run: Field required"),
    ],
)
def test_a_broken_record_is_one_line(tmp_path: Path, content: bytes, what: str) -> None:
    store = RunStore.create("p", NOW, tmp_path)
    (store.folder / "run.json").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        load_run(store.folder)
    message = str(caught.value)
    assert message.startswith(f"{store.folder}/run.json: no record of schema s2eval-run-1: ")
    assert what in message
    assert "\n" not in message


def test_unknown_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="start one with 's2eval run PLAN'"):
        run_folder(LATEST, tmp_path / "missing")
    store = RunStore.create("quickstart", NOW, tmp_path)
    store.write(a_run())
    with pytest.raises(UsageError, match=f"did you mean '{store.folder.name}'"):
        run_folder("20260117-101530-quickstrat", tmp_path)
    empty = RunStore.create("p", NOW, tmp_path)
    with pytest.raises(UsageError, match=r"no run\.json: the run ended before its first cell"):
        run_folder(empty.folder.name, tmp_path)
    with pytest.raises(UsageError, match=r"run\.json: no such file"):
        load_run(tmp_path)


def test_a_results_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file: File exists: set S2EVAL_RESULTS to a folder"):
        RunStore.create("p", NOW, tmp_path / "file")
    with pytest.raises(UsageError, match="set S2EVAL_RESULTS"):
        RunStore.create("p", NOW, tmp_path / "file" / "below")


def test_a_results_folder_that_cannot_be_written() -> None:
    # Not even root makes a folder there.
    with pytest.raises(UsageError, match=r"^/sys/s2eval: [^:]+: set S2EVAL_RESULTS to"):
        RunStore.create("p", NOW, Path("/sys/s2eval"))


def test_worst_status() -> None:
    assert worst([]) is Status.SKIP
    assert worst([Status.DONE, Status.PASS]) is Status.PASS
    assert worst([Status.PASS, Status.MISS, Status.ERROR]) is Status.ERROR
    assert worst(list(Status)) is Status.FAIL


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.PASS, ExitCode.OK),
        (Status.DONE, ExitCode.OK),
        (Status.SKIP, ExitCode.OK),
        (Status.FAIL, ExitCode.FAIL),
        (Status.ERROR, ExitCode.UNDECIDED),
        (Status.MISS, ExitCode.UNDECIDED),
    ],
)
def test_exit_codes(status: Status, code: ExitCode) -> None:
    assert exit_code_of(status) is code


def a_cell(name: str, status: Status = Status.PASS) -> Cell:
    machine = MachineRecord(
        name="m", topology="flat", accel="tcg", cpu="max", smp=2, memory_mib=256
    )
    return Cell(
        name=name,
        kernel=KernelRecord(name="k"),
        machine=machine,
        suite=SuiteRecord(name="s"),
        status=status,
    )


def test_finished_cells_are_read_while_a_run_goes_on(tmp_path: Path) -> None:
    store = RunStore.create("p", NOW, tmp_path)
    run = a_run()
    run.run.interrupted = True
    store.write(run)
    for name in ("k/m/z", "k/m/a"):
        store.add(a_cell(name))
    assert [c.name for c in load_run(store.folder).cells] == ["k/m/z", "k/m/a"]
    store.add(a_cell("k/m/z", Status.FAIL))  # run once more
    assert {c.name: c.status for c in load_run(store.folder).cells}["k/m/z"] is Status.FAIL


def test_a_torn_record_of_a_cell_is_no_record(tmp_path: Path) -> None:
    store = RunStore.create("p", NOW, tmp_path)
    run = a_run()
    run.run.interrupted = True
    store.write(run)
    store.add(a_cell("k/m/a"))
    (store.folder / ".journal" / "torn.json").write_text('{"name": "k/m/b"')
    assert [c.name for c in load_run(store.folder).cells] == ["k/m/a"]


def test_the_whole_record_takes_the_place_of_the_journal(tmp_path: Path) -> None:
    store = RunStore.create("p", NOW, tmp_path)
    store.add(a_cell("k/m/a"))
    run = a_run()
    run.cells = [a_cell("k/m/a")]
    store.write(run)
    assert [p.name for p in store.folder.iterdir()] == ["run.json"]
    assert load_run(store.folder) == run


def test_a_run_is_one_process_at_a_time(tmp_path: Path) -> None:
    store = RunStore.create("p", NOW, tmp_path)
    with store, pytest.raises(UsageError, match=f"run {store.folder.name} is still going on"):
        RunStore(store.folder).__enter__()
    with RunStore(store.folder):
        pass


def test_logs_of_a_later_boot_and_of_a_cell_that_is_run_anew(tmp_path: Path) -> None:
    store = RunStore.create("p", NOW, tmp_path)
    first, second = store.cell_folder("k/m/s"), store.cell_folder("k/m/s", 2)
    assert second == first / "2"
    (first / "console.log").write_text("of a run that was killed")
    assert store.cell_folder("k/m/s") == first
    assert list(first.iterdir()) == []


def test_long_names_stay_apart(tmp_path: Path) -> None:
    one, two = (cell_path(tmp_path, f"{'k' * 200}{n}/m/s") for n in (1, 2))
    assert one != two and len(one.name) == len(two.name) == 120


def test_a_corrupt_record_is_moved_aside_and_the_others_stay(tmp_path: Path) -> None:
    good, bad = (RunStore.create("p", NOW, tmp_path) for _ in range(2))
    good.write(a_run())
    (bad.folder / "run.json").write_text("{")
    for _ in range(2):
        with pytest.raises(UsageError, match=r"EOF while parsing.*moved aside: run\.json\.corrupt"):
            load_run(bad.folder)
    assert (bad.folder / "run.json.corrupt").read_text() == "{"
    assert run_names(tmp_path) == [good.folder.name]
    assert run_folder(LATEST, tmp_path) == good.folder
    assert run_folder(bad.folder.name, tmp_path) == bad.folder


def test_a_record_of_another_schema_stays_where_it_is(tmp_path: Path) -> None:
    store = RunStore.create("p", NOW, tmp_path)
    (store.folder / "run.json").write_text('{"schema": "s2eval-run-9"}')
    with pytest.raises(UsageError, match="no record of schema s2eval-run-1"):
        load_run(store.folder)
    assert (store.folder / "run.json").is_file()
