# SPDX-License-Identifier: GPL-2.0-only
"""Which recorded cells ran a function, from runs and builds on disk."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.base.errors import UsageError
from harness.cli.inspect.reach import command
from harness.evaluate.patch.reach.functions import reach_of_function
from harness.evaluate.patch.reach.gaps import gaps
from harness.evaluate.patch.reach.lines import reach_of_line
from harness.hosts.coverage import record
from harness.kernel.toolchain import cross_prefix
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
    with pytest.raises(UsageError, match="FILE:LINE is a path in the kernel's tree and a number"):
        reach_of_line("mm/x.c:y")
    with pytest.raises(UsageError, match="mm/none: no recorded kernel has an object there"):
        gaps("mm/none")
    for words in ([], ["outer", "--gaps", "mm"]):
        said = CliRunner().invoke(command, words)
        assert said.exit_code == 2 and "give a function, FILE:LINE, or --gaps FOLDER" in said.output


def test_what_is_printed(here: Path) -> None:
    a_build(here, "k")
    a_record(here, "20260101-000000-patch", 0x10, guest=(0x1C,))
    said = CliRunner().invoke(command, ["outer"]).output.splitlines()
    assert said[0].endswith(": outer: 1 of 4 instructions, its guest 1 (20260101-000000-patch)")
    assert "__kvm_nvhe_outer: never" in said[1]
    document = json.loads(CliRunner().invoke(command, ["outer", "--json"]).output)
    assert document["schema"] == "s2eval-reach-1"
    assert document["cells"][0]["size"] == 4


def test_functions_of_a_folder_that_ran_and_that_did_not(here: Path) -> None:
    a_build(here, "k")
    build = here / "cache/builds/k/build.json"
    inputs = {"tree": "linux", "llvm": False, "config": []}
    build.write_text(json.dumps(json.loads(build.read_text()) | {"inputs": inputs}))
    out = here / "cache/sources/linux/out-gcc/mm"
    out.mkdir(parents=True)
    for name, text in (
        ("a", "void outer(void){} void gone(void){}"),
        ("a.nvhe", "void outer(void){}"),
    ):
        source = out / f"{name}.c"
        source.write_text(text)
        made = out / f"{name}.o"
        subprocess.run([f"{cross_prefix()}gcc", "-c", str(source), "-o", str(made)], check=True)
        made.with_name(f".{made.name}.cmd").write_text(f"savedcmd_mm/{made.name} := gcc -c -o x\n")
    shutil.copy(out / "a.o", out / "built-in.o")  # linked, not compiled
    a_record(here, "20260101-000000-patch", 0x10)
    for place in ("mm", "/mm/", "mm/a.c"):
        (file,) = gaps(place).files
        assert (file.file, file.ran, file.never) == ("mm/a.c", ("outer",), ("__kvm_nvhe_outer",))
    said = CliRunner().invoke(command, ["--gaps", "mm"]).output.splitlines()
    assert said == [
        "mm/a.c: 1 of 2 functions never ran",
        "  __kvm_nvhe_outer",
        "mm: 1 of 2 functions ran in 1 cell",
    ]
    document = json.loads(CliRunner().invoke(command, ["--gaps", "mm", "--json"]).output)
    assert document["schema"] == "s2eval-reach-gaps-1" and len(document["cells"]) == 1
