# SPDX-License-Identifier: GPL-2.0-only
"""Help comes at once: nothing is imported that only work needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"sqlalchemy", "matplotlib", "scipy", "numpy", "pydantic", "rich", "jinja2", "qemu.qmp"}


def imported(*args: str) -> set[str]:
    """The modules that `python -m harness ARGS` imports."""
    command = [sys.executable, "-X", "importtime", "-m", "harness", *args]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["run", "--help"]])
def test_help_imports_nothing_heavy(args: list[str]) -> None:
    modules = imported(*args)
    assert "click" in modules and "harness.cli.main" in modules
    assert not HEAVY & modules


def test_other_projects_tests_import_nothing_for_the_plugin() -> None:
    """pytest loads the plugin's module in every project of an environment."""
    code = "import sys, pytest; before = set(sys.modules); import harness.pytest_plugin; " + (
        "print(*sorted(set(sys.modules) - before))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["harness", "harness.pytest_plugin"]
