# SPDX-License-Identifier: GPL-2.0-only
"""Which recorded cells ran a function, from runs and builds on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.base.errors import UsageError
from harness.cli.inspect.reach import command
from harness.evaluate.patch.reach.functions import reach_of_function
from harness.hosts.coverage import record
from harness.results.records import Run
from harness.results.store import RECORD, cell_path
from tests.unit.report.report_runs import quickstart

# Two functions of four and of two instructions, the second one at EL2 without VHE.
MAP = """\
ffff800008000000 T _text
ffff800008000010 T outer
ffff800008000020 T __kvm_nvhe_outer
ffff800008000028 T end
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("S2EVAL_RESULTS", str(tmp_path / "results"))
    return tmp_path


def a_build(here: Path, key: str) -> None:
    folder = here / "cache/builds" / key
    folder.mkdir(parents=True)
    (folder / "Image").write_bytes(bytes(64))
    (folder / "System.map").write_text(MAP)
    kernel = quickstart().cells[0].kernel.model_dump()
    data = {"record": kernel, "inputs": {}, "seconds": {}}
    (folder / "build.json").write_text(json.dumps(data))


def a_record(here: Path, run_name: str, *host: int, guest: tuple[int, ...] = ()) -> Run:
    """Keep a run of one cell whose host executed the instructions at the offsets `host`."""
    run = quickstart()
    run.cells = run.cells[:1]
    run.cells[0].kernel.build_key = "k"
    folder = here / "results" / run_name
    cell = cell_path(folder, run.cells[0].name)
    cell.mkdir(parents=True)
    (folder / RECORD).write_text(run.model_dump_json(by_alias=True))
    executed = [bytes(offset in ran for offset in range(0, 64, 4)) for ran in (host, guest)]
    (here / "coverage").write_bytes(b"".join(executed))
    record.keep(here / "coverage", cell)
    return run


def test_instructions_are_counted_for_host_guest_and_hypervisor(here: Path) -> None:
    a_build(here, "k")
    a_record(here, "20260101-000000-patch", 0, 0x10, 0x14, 0x20, 0x28, guest=(0x1C,))
    found = {one.function: (one.host, one.guest, one.size) for one in reach_of_function("outer")}
    assert found == {"outer": (2, 1, 4), "__kvm_nvhe_outer": (1, 0, 2)}


def test_the_newest_record_of_a_cell_counts(here: Path) -> None:
    a_build(here, "k")
    a_record(here, "20260101-000000-patch", 0x10)
    a_record(here, "20260102-000000-patch")
    assert [one.host for one in reach_of_function("outer")] == [0, 0]
    assert {one.run for one in reach_of_function("outer")} == {"20260102-000000-patch"}


def test_what_cannot_be_told_is_one_line(here: Path) -> None:
    with pytest.raises(UsageError, match="none of the last 20 runs has a record of what ran"):
        reach_of_function("outer")
    run = a_record(here, "20260101-000000-patch", 0x10)
    with pytest.raises(UsageError, match="outer: no function of the 1 cells with a record"):
        reach_of_function("outer")  # the build is gone
    a_build(here, "k")
    assert reach_of_function("outer")[0].cell == run.cells[0].name
    with pytest.raises(UsageError, match=r"x\.c:3: name a function"):
        reach_of_function("x.c:3")


def test_what_is_printed(here: Path) -> None:
    a_build(here, "k")
    a_record(here, "20260101-000000-patch", 0x10, guest=(0x1C,))
    said = CliRunner().invoke(command, ["outer"]).output.splitlines()
    assert said[0].endswith(": outer: 1 of 4 instructions, its guest 1 (20260101-000000-patch)")
    assert "__kvm_nvhe_outer: never" in said[1]
    document = json.loads(CliRunner().invoke(command, ["outer", "--json"]).output)
    assert document["schema"] == "s2eval-reach-1"
    assert document["cells"][0]["size"] == 4
