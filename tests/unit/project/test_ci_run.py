# SPDX-License-Identifier: GPL-2.0-only
""".ci/run: fails when a test fails and when none ran, and shows what pytest said."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.base.paths import ROOT


@pytest.fixture
def ci(tmp_path: Path) -> Path:
    """A project whose ./bootstrap runs pytest on the folders unit and system."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci")
    bootstrap = tmp_path / "bootstrap"
    bootstrap.write_text(
        f"""#!/bin/sh
        [ "$*" = test ] && [ "$CI" = true ] && ! read -r line || exit 9
        export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
        {sys.executable} -m pytest -p no:cacheprovider unit || code=$?
        {sys.executable} -m pytest -p no:cacheprovider system || code=$?
        exit ${{code:-0}}
        """
    )
    bootstrap.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("unit", "system", "code"),
    [
        ("def test(): pass", "def test(): pass", 0),
        ("def test(): pass", "def test(): assert False", 1),
        ("def test(): assert False", "def test(): pass", 1),
        ("def test(): pass", "import pytest\n@pytest.mark.skip\ndef test(): pass", 1),
        ("import pytest\n@pytest.mark.skip\ndef test(): pass", "def test(): pass", 1),
        ("def test(): pass", "", 5),
    ],
)
def test_ci_fails_when_a_test_fails_or_none_ran(
    ci: Path, unit: str, system: str, code: int
) -> None:
    for name, text in (("unit", unit), ("system", system)):
        (ci / name).mkdir()
        (ci / name / f"test_{name}.py").write_text(text)
    done = subprocess.run(
        [ci / ".ci/run"], cwd="/", input="typed\n", capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    closing = re.findall(r"^=+ .* in [0-9.]+s .*=+$", done.stdout, re.MULTILINE)
    assert len(closing) == 4, "pytest's closing lines are printed, and once more at the end"


def test_the_readmes_command_is_what_ci_runs() -> None:
    assert "    ./bootstrap test " in (ROOT / "README.md").read_text()
    assert "./bootstrap test <" in (ROOT / ".ci/run").read_text()
    for workflow in (".github/workflows/test.yml", ".gitlab-ci.yml"):
        assert re.search(r"^ +(run:|-) \.ci/run\b", (ROOT / workflow).read_text(), re.MULTILINE)
