# SPDX-License-Identifier: GPL-2.0-only
"""The shape of the source tree, as CONTRIBUTING.md promises it to whoever looks for a place."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from harness.base.paths import ROOT

HARNESS = ROOT / "harness"
LOOSE, IN_A_FOLDER = 6, 14  # modules
PACKAGES = sorted(path.parent for path in HARNESS.rglob("__init__.py"))
TESTED = sorted({path.parent for path in (ROOT / "tests/unit").rglob("test_*.py")})


def name(folder: Path) -> str:
    return str(folder.relative_to(ROOT))


@pytest.mark.parametrize("folder", PACKAGES, ids=name)
def test_a_folder_is_small_and_says_what_it_is_for(folder: Path) -> None:
    modules = {path.name for path in folder.glob("*.py")} - {"__init__.py"}
    assert len(modules) <= (LOOSE if folder == HARNESS else IN_A_FOLDER)
    assert not [module for module in modules if module.endswith("_cmd.py")]
    purpose = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    assert purpose and len(purpose.splitlines()[0]) <= 100


def test_every_folder_of_modules_is_a_package() -> None:
    assert sorted({path.parent for path in HARNESS.rglob("*.py")}) == PACKAGES


@pytest.mark.parametrize("folder", TESTED, ids=name)
def test_unit_tests_lie_as_what_they_test(folder: Path) -> None:
    inside = folder.relative_to(ROOT / "tests/unit")
    assert inside == Path("project") or (HARNESS / inside / "__init__.py").is_file()
