# SPDX-License-Identifier: GPL-2.0-only
"""The pytest plugin, as docs/writing-a-test.md shows it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-test.md"
FAILS = """
def test_told(s2eval_host):
    assert s2eval_host.run("exit 3").check()

def test_lost(s2eval_host):
    s2eval_host.run("poweroff -f", seconds=20)

def test_unreadable(s2eval_host):
    assert b"Linux" in s2eval_host.read("/proc/version")
    s2eval_host.bind("vfio-pci")
    assert len(s2eval_host.read("/proc/kallsyms")) > 100_000
    for path in ("/none", "/proc", "/proc/self/mem"):
        try:
            s2eval_host.read(path)
        except Exception as error:
            print("unread:", error)
    s2eval_host.bind("none")
"""


def run_pytest(folder: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_mine.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--basetemp", str(folder / "b"), *words],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("p")


def test_the_example_of_the_documentation(folder: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    ran = run_pytest(folder, example)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 passed" in ran.stdout
    assert not list(folder.glob("s2eval-*"))


def test_what_goes_wrong_in_l1_is_told(folder: Path) -> None:
    ran = run_pytest(folder, FAILS, "--s2eval-machine", "nested-tcg-cortex-a72")
    assert "3 failed" in ran.stdout
    for path, why in (
        ("/none", "No such file or directory"),
        ("/proc", "Is a directory"),
        ("/proc/self/mem", "Input/output error"),
    ):
        assert f"unread: {path} on the host under test: {why}" in ran.stdout
    assert "'none' did not take" in ran.stdout or "none did not take" in ran.stdout
    assert "'exit 3' on the host under test: no message" in ran.stdout
    assert "the guest powered off before it was done" in ran.stdout
    assert not list(folder.glob("s2eval-*"))


def test_a_machine_without_a_guest_is_refused(folder: Path) -> None:
    test = "def test(s2eval_host): pass\n"
    ran = run_pytest(folder, test, "--s2eval-machine", "flat-tcg")
    assert "machine flat-tcg has no L2: take a nested one (s2eval list)" in ran.stdout
    assert ran.returncode == 1
