# SPDX-License-Identifier: GPL-2.0-only
"""What a conclusion says of added lines: with records, without, and with some."""

from __future__ import annotations

from pathlib import Path

from harness.evaluate.patch.reach.reach import PatchLines
from harness.evaluate.patch.reach.states import AddedFile
from harness.evaluate.patch.reach.told import Ran, add_reach
from harness.evaluate.patch.verdict.conclude import Conclusion
from harness.evaluate.patch.verdict.word import Verdict
from harness.hosts.coverage import record
from harness.results.records import Cell
from harness.results.store import SERIES_DIFF, cell_path
from tests.unit.evaluate.patch.patch_cells import cell

LINES = PatchLines(
    [AddedFile("a.c", "f();\ng();\n", frozenset({1, 2}), True,
               {1: frozenset({0}), 2: frozenset({4})})],
    notes=["a note"], diff="diff",
)  # fmt: skip


def a_cell(folder: Path, kernel: str, host: bytes | None, guest: bytes = b"\0\0") -> Cell:
    """Return a cell with a record, or without one."""
    made = cell(kernel)
    place = cell_path(folder, made.name)
    place.mkdir(parents=True)
    if host is not None:
        (folder / "coverage").write_bytes(host + guest)
        record.keep(folder / "coverage", place)
    return made


def test_a_line_that_ran_leaves_the_word(tmp_path: Path) -> None:
    told = Conclusion()
    ran = Ran([a_cell(tmp_path, "b", b"\1\0")], tmp_path, booted=True)
    reach = add_reach(told, LINES, ran, guests=False)
    assert reach and reach.summary == "1 of 2 added lines ran; never: a.c:2"
    assert (told.verdict, told.notes) == (Verdict.UNCHANGED, ["a note"])
    assert (tmp_path / SERIES_DIFF).read_text() == "diff"


def test_no_line_that_ran(tmp_path: Path) -> None:
    told = Conclusion()
    ran = Ran([a_cell(tmp_path, "b", b"\0\0", b"\0\1")], tmp_path, booted=True)
    add_reach(told, LINES, ran, guests=False)
    assert told.verdict is Verdict.NOT_EXERCISED
    assert told.notes[1].startswith("1 more of the added lines ran in the guest alone")
    told = Conclusion()
    add_reach(told, LINES, ran, guests=True)
    assert (told.verdict, told.notes) == (Verdict.UNCHANGED, ["a note"])


def test_cells_without_a_record_leave_the_word(tmp_path: Path) -> None:
    told = Conclusion()
    one, other = a_cell(tmp_path, "b", b"\0\0"), a_cell(tmp_path, "c", None)
    reach = add_reach(told, LINES, Ran([one, other], tmp_path, booted=True), guests=False)
    assert reach and reach.ran == 0
    assert told.verdict is Verdict.UNCHANGED
    assert told.notes[-1] == f"what runs was not recorded in {other.name}"


def test_no_record_at_all(tmp_path: Path) -> None:
    told = Conclusion()
    ran = Ran([a_cell(tmp_path, "b", None)], tmp_path, booted=True)
    assert add_reach(told, LINES, ran, guests=False) is None
    assert told.notes == [
        "which lines of the series ran is not known: no cell has a record of what it executed"
    ]
    assert told.verdict is Verdict.UNCHANGED


def test_lines_that_could_not_be_looked_up(tmp_path: Path) -> None:
    told = Conclusion()
    lines = PatchLines(unknown="another run builds in the tree")
    assert add_reach(told, lines, Ran([], tmp_path, booted=False), guests=False) is None
    assert told.notes[0].endswith("is not known: another run builds in the tree")


def test_the_same_image_is_not_booted(tmp_path: Path) -> None:
    told = Conclusion()
    reach = add_reach(told, LINES, Ran([], tmp_path, booted=False), guests=False)
    assert reach and reach.summary == "0 of 2 added lines ran; never: a.c:1-2"
    assert told.verdict is Verdict.UNCHANGED
