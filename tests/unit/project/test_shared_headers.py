# SPDX-License-Identifier: GPL-2.0-only
"""Headers that suites share are sources of each suite that names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.base.paths import PROJECT, header_folders, shared_headers
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
    assert list(sources(folder)) == ["Kbuild", "probe.c"]
    use(folder)
    shared = {n: path for n, path in sources(folder).items() if n.startswith("../include/")}
    assert shared["../include/common/one.h"] == folder.parent / "include/common/one.h"
    assert not any(name.endswith(".txt") for name in shared)


def test_the_projects_come_with_a_suite_that_lies_anywhere(folder: Path) -> None:
    use(folder)
    own = PROJECT / "guest-tests/include/s2eval/access.h"
    assert sources(folder)["../include/s2eval/access.h"] == own
    mine = folder.parent / "include/s2eval/access.h"
    mine.parent.mkdir()
    mine.write_text("int mine;\n")
    assert sources(folder)["../include/s2eval/access.h"] == mine
    assert header_folders(folder) == [folder.parent / "include", PROJECT / "guest-tests/include"]


def test_the_projects_suites_use_the_projects_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "guest-tests").mkdir()
    (folder.parent / "include").rename(tmp_path / "guest-tests/include")
    monkeypatch.chdir(tmp_path)
    assert "common/one.h" in shared_headers(folder)
    assert "common/one.h" in shared_headers(tmp_path / "guest-tests/probe")
    assert "common/one.h" not in shared_headers(PROJECT / "guest-tests/wcprobe")


def test_an_edit_of_one_makes_other_modules(folder: Path) -> None:
    use(folder)
    before = sources_hash(sources(folder))
    (folder.parent / "include" / "common" / "one.h").write_text("int z;\n")
    assert sources_hash(sources(folder)) != before


def test_an_edit_of_one_is_another_suite(folder: Path) -> None:
    def suite() -> Suite:
        return Suite(name="probe", folder=folder, description="", script="")

    before = suite().source_hash
    assert suite().source_hash == before
    (folder.parent / "include" / "common" / "one.h").write_text("int z;\n")
    assert suite().source_hash != before
