# SPDX-License-Identifier: GPL-2.0-only
"""Headers that suites share are sources of each suite that names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.kernel.modules import sources, sources_hash
from harness.suites.suite import Suite


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A suite `probe` beside shared headers that it does not use yet."""
    suite, shared = tmp_path / "probe", tmp_path / "include" / "common"
    suite.mkdir()
    shared.mkdir(parents=True)
    (suite / "Kbuild").write_text("obj-m := probe.o\n")
    (suite / "probe.c").write_text("int x;\n")
    (shared / "one.h").write_text("int y;\n")
    (shared / "notes.txt").write_text("no header\n")
    return suite


def use(folder: Path) -> None:
    (folder / "Kbuild").write_text("obj-m := probe.o\nccflags-y := -I$(src)/../include\n")


def test_they_come_with_a_suite_that_names_them(folder: Path) -> None:
    assert sources(folder) == [Path("Kbuild"), Path("probe.c")]
    use(folder)
    assert sources(folder) == [Path("Kbuild"), Path("probe.c"), Path("../include/common/one.h")]


def test_an_edit_of_one_makes_other_modules(folder: Path) -> None:
    use(folder)
    before = sources_hash(folder, sources(folder))
    (folder.parent / "include" / "common" / "one.h").write_text("int z;\n")
    assert sources_hash(folder, sources(folder)) != before


def test_an_edit_of_one_is_another_suite(folder: Path) -> None:
    def suite() -> Suite:
        return Suite(name="probe", folder=folder, description="", script="")

    before = suite().source_hash
    assert suite().source_hash == before
    (folder.parent / "include" / "common" / "one.h").write_text("int z;\n")
    assert suite().source_hash != before
