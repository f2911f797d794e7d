# SPDX-License-Identifier: GPL-2.0-only
"""What the records of a cell depend on, beside what the cell names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.base import paths
from harness.evaluate.engine.unchanged import harness_hash


@pytest.mark.parametrize("file", ["init/l1.c", "include/s2eval/init.h", "calibrate/main.c"])
def test_programs_for_guests_count_with_their_headers(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = harness_hash()
    for name in paths.NEEDED:
        shutil.copytree(paths.PROJECT / name, tmp_path / "same" / name)
    shutil.copytree(tmp_path / "same", tmp_path / "edited")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paths, "PROJECT", tmp_path / "same")
    assert harness_hash() == before, "the same files, wherever they are"
    with (tmp_path / "edited/guest-tests" / file).open("a") as edited:
        edited.write("/* edited */\n")
    monkeypatch.setattr(paths, "PROJECT", tmp_path / "edited")
    assert harness_hash() != before


def test_templates_count_as_they_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = harness_hash()
    (tmp_path / "qemu-configs").mkdir()
    template = tmp_path / "qemu-configs/l2.j2"
    shutil.copy(paths.PROJECT / "qemu-configs/l2.j2", template)
    assert harness_hash() == before
    template.write_text("-m 7")
    assert harness_hash() != before
