# SPDX-License-Identifier: GPL-2.0-only
"""The table of the kernel's selftests: which run, how, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.suites.selftests import load_table, selftests_script
from harness.suites.suite import list_suites, load_suite

TABLE = """
seconds = 60
[tests.slow]
seconds = 9
arguments = "-i 3 -n 2"
not_in = ["quick"]
why = "minutes"
"""
ERROR = "a.c:1:2: fatal error: x.h: No such file"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tests.toml").write_text(TABLE)
    return tmp_path


def test_each_test_is_a_line_with_its_arguments(folder: Path) -> None:
    lines = selftests_script(folder, "", ["plain", "slow"], {"broken": ERROR}).splitlines()
    assert lines == [
        "exec /bin/selftest plan 3",
        "exec /bin/selftest 1 plain 60 @resume",
        "exec /bin/selftest 2 slow 9 @resume -i 3 -n 2",
        f"exec /bin/selftest 3 broken - {ERROR}",
    ]


def test_a_set_leaves_tests_out(folder: Path) -> None:
    lines = selftests_script(folder, "quick", ["slow", "plain"], {}).splitlines()
    assert lines == ["exec /bin/selftest plan 1", "exec /bin/selftest 1 plain 60 @resume"]


def test_the_projects_table_gives_a_reason_for_each_test() -> None:
    table = load_table(list_suites()["kvm-selftests"].parent)
    assert table.sets == {"full", "quick"}
    assert all(test.why for test in table.tests.values())


def test_a_set_is_named_behind_the_suite() -> None:
    suite = load_suite("kvm-selftests:quick")
    assert (suite.name, suite.subset, suite.selftests) == ("kvm-selftests:quick", "quick", "kvm")
    assert load_suite("kvm-selftests").subset == ""


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("kvm-selftests:quik", "unknown set of tests 'quik': did you mean 'quick'?"),
        ("wcprobe:quick", "wcprobe has no sets of tests"),
        ("wcprob:quick", "unknown suite 'wcprob'"),
    ],
)
def test_a_wrong_set_is_one_line(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load_suite(name)
