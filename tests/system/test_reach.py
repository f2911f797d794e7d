# SPDX-License-Identifier: GPL-2.0-only
"""Which lines of a series ran: real guests with VHE and without, and what is not built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.evaluate.patch.verdict.lines import AddedLine, LineState
from harness.kernel import source
from harness.kernel.spec import resolve
from harness.results.records import Observation
from tests.data_files import DATA
from tests.system.commands import KERNEL, S2Eval
from tests.system.conftest import Finished, finished
from tests.system.test_patch import edit

SERIES = DATA / "series/reach"
MMU = "arch/arm64/kvm/mmu.c"
SWITCH = "arch/arm64/kvm/hyp/include/hyp/switch.h"
ARM = "arch/arm64/kvm/arm.c"
VHE, NVHE = "nested-tcg", "nested-tcg-cortex-a72"


def tried(s2eval: S2Eval, *arguments: str) -> dict[str, Any]:
    ran = s2eval("patch", "--kernel", KERNEL, "--json", *arguments)
    assert ran.out, ran.err
    told: dict[str, Any] = json.loads(ran.out)
    assert told["exit_code"] == ran.code
    return told


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The run of the series on both machines."""
    arguments = ("--kernel", KERNEL, str(SERIES), "-m", VHE, "-m", NVHE, "--json")
    return finished(tmp_path_factory, "reach", "patch", *arguments)


@pytest.fixture
def told(judged: Finished) -> dict[str, Any]:
    """The verdict on the series."""
    document: dict[str, Any] = json.loads(judged.ran.out)
    assert document["exit_code"] == judged.ran.code == 0
    return document


@pytest.fixture(scope="module")
def tree() -> Path:
    """The worktree of debian-6.1 in the cache; what is looked at is its commit, not its files."""
    found = source.find(resolve(KERNEL).source)
    assert found
    return found.tree.work


def lines_of(told: dict[str, Any], file: str) -> dict[int, AddedLine]:
    lines = [AddedLine.model_validate(line) for line in told["reach"]["lines"]]
    return {line.line: line for line in lines if line.file == file}


def test_lines_that_run_and_lines_that_do_not(told: dict[str, Any]) -> None:
    ran, never = LineState.RAN, LineState.NEVER
    lines = lines_of(told, MMU)
    states = [line.state for line in lines.values()]
    assert list(lines) == list(range(1402, 1413))
    assert states == [
        LineState.NO_CODE, ran, ran, never, never, never, LineState.NO_CODE, LineState.NO_CODE,
        LineState.NOT_BUILT, LineState.NO_CODE, LineState.NO_CODE,
    ]  # fmt: skip
    assert lines[1403].where == lines[1404].where == [f"{VHE}/wcprobe", f"{NVHE}/wcprobe"]
    assert told["verdict"] == "unchanged"


def test_an_inline_function_of_a_header_at_el2_with_vhe_and_without(told: dict[str, Any]) -> None:
    lines = lines_of(told, SWITCH)
    assert [(line.line, line.state) for line in lines.values()] == [
        (497, LineState.RAN),
        (498, LineState.NEVER),
        (499, LineState.NO_CODE),
    ]
    assert lines[497].where == [f"{VHE}/wcprobe", f"{NVHE}/wcprobe"]


def test_a_line_that_only_the_guest_runs_is_not_the_hosts(told: dict[str, Any]) -> None:
    (line,) = lines_of(told, ARM).values()
    assert (line.state, line.where) == (LineState.NEVER, [])


def test_it_is_the_guests_when_that_is_asked_for(judged: Finished, told: dict[str, Any]) -> None:
    assert "1 more of the added lines ran in the guest alone" in str(told["notes"])
    again = judged.s2eval("patch", "--resume", told["run"], "--reach-guest", "--json")
    document = json.loads(again.out)
    (line,) = lines_of(document, ARM).values()
    assert line.state is LineState.RAN
    assert line.where == [f"{VHE}/wcprobe (guest)", f"{NVHE}/wcprobe (guest)"]
    assert lines_of(document, MMU)[1405].state is LineState.NEVER


def test_the_account_is_told_and_counted(told: dict[str, Any]) -> None:
    reach = told["reach"]
    states = [line["state"] for line in reach["lines"]]
    assert (reach["added"], reach["ran"]) == (len(states), states.count("ran"))
    assert reach["summary"].startswith(f"{reach['ran']} of {reach['added']} added lines ran")
    assert "never: arm.c:2247, switch.h:498, mmu.c:1405-1407" in reach["summary"]


def test_a_line_of_what_was_recorded(judged: Finished, told: dict[str, Any]) -> None:
    both = {f"{VHE}/wcprobe", f"{NVHE}/wcprobe"}
    for number, state, where in ((1403, "ran", both), (1405, "never", set())):
        document = json.loads(judged.s2eval("reach", f"{MMU}:{number}", "--json").out)
        (kernel,) = document["kernels"]
        assert (kernel["kernel"], kernel["state"], set(kernel["where"])) == (
            told["patched"]["name"],
            state,
            where,
        )


def test_what_nothing_reached_as_names_and_as_a_tracefile(judged: Finished, tmp_path: Path) -> None:
    document = json.loads(judged.s2eval("reach", "--gaps", MMU, "--json").out)
    (file,) = document["files"]
    assert "kvm_handle_guest_abort" in file["ran"] and "kvm_age_gfn" in file["never"]
    target = tmp_path / "mmu.info"
    said = judged.s2eval("reach", "--gaps", MMU, "--lcov", str(target)).out
    lines = target.read_text().splitlines()
    assert lines[1] == f"SF:{MMU}" and "DA:1403,2" in lines and "DA:1405,0" in lines
    assert f"{lines[-2].removeprefix('LH:')} of {lines[-3].removeprefix('LF:')} lines" in said


def test_suites_are_chosen_by_what_they_reached(judged: Finished) -> None:
    chosen = judged.s2eval(
        "patch", str(SERIES), "--kernel", KERNEL, "--suite", "auto", "--dry-run", "--json"
    )
    (note,) = [n for n in json.loads(chosen.out)["notes"] if "--suite auto" in n]
    assert note.startswith("--suite auto: wcprobe on nested-tcg"), note
    assert note.endswith("2 of 3 functions of the series; no record reaches __fixup_guest_exit")


def test_another_architecture_is_not_exercised(s2eval: S2Eval, tree: Path, tmp_path: Path) -> None:
    path = "arch/s390/kvm/diag.c"
    patch = edit(tree, tmp_path, "s390", (path, "#include <linux/kvm.h>",
                 "#include <linux/kvm.h>\n/* not for us */\n#include <linux/mm.h>"))  # fmt: skip
    told = tried(s2eval, str(patch))
    assert (told["verdict"], told["exit_code"], told["status"]) == ("not-exercised", 125, "MISS")
    assert {line["state"] for line in told["reach"]["lines"]} == {"not-built"}
    assert told["same_image"]
    ran = s2eval("patch", "--resume", told["run"], "--allow-unreached")
    assert ran.code == 0, ran.out
    assert "NOT-EXERCISED: no line that the series adds is built" in ran.out


def test_a_comment_is_unchanged(s2eval: S2Eval, tree: Path, tmp_path: Path) -> None:
    patch = edit(tree, tmp_path, "comment", (MMU, "#include <linux/mman.h>",
                 "#include <linux/mman.h>\n/* of pages */"))  # fmt: skip
    told = tried(s2eval, str(patch))
    assert (told["verdict"], told["exit_code"]) == ("unchanged", 0)
    assert [line["state"] for line in told["reach"]["lines"]] == ["no-code"]


@pytest.mark.extended
def test_the_record_changes_no_result(s2eval: S2Eval, told: dict[str, Any]) -> None:
    plain = json.loads(s2eval("run", "-k", f"{KERNEL}+{SERIES}", "-m", VHE, "--json").out)
    (cell,) = plain["cells"]
    recorded = next(c for c in told["patched"]["cells"] if c["machine"]["name"] == VHE)
    assert cell["kernel"]["image_hash"] == recorded["kernel"]["image_hash"]
    assert facts(cell) == facts(recorded)


def facts(cell: dict[str, Any]) -> dict[str, Any]:
    """Return what a cell saw, without figures and what a figure is made of."""
    found = [Observation.model_validate(item) for item in cell["observations"]]
    return {item.path: (item.status, item.value) for item in found if item.unit is None}
