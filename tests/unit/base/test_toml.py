# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.base.toml import line_of, parse, unknown
from harness.evaluate.plan.plan import Plan

GOOD = """\
# a comment
kernels = ["debian-6.1"]
machines = ["flat-tcg"]
suites = ["wcprobe"]

[[expect]]
path = "wcprobe.a"
value = "works"

[[expect]]
path = "wcprobe.b"
status = "PASS"
"""


def plan_error(tmp_path: Path, text: str) -> str:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        parse(Plan, path)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(str(path))


def test_a_good_plan_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(GOOD)
    plan = parse(Plan, path)
    assert [e.path for e in plan.expect] == ["wcprobe.a", "wcprobe.b"]


def test_wrong_type_names_file_line_and_key(tmp_path: Path) -> None:
    message = plan_error(tmp_path, GOOD.replace('machines = ["flat-tcg"]', "machines = 3"))
    assert message.startswith(":3: machines: ")


def test_wrong_type_in_the_second_table_of_an_array(tmp_path: Path) -> None:
    message = plan_error(tmp_path, GOOD.replace('path = "wcprobe.b"', "path = 7"))
    assert message.startswith(":11: expect.1.path: ")


def test_unknown_key_gets_the_nearest_name(tmp_path: Path) -> None:
    message = plan_error(tmp_path, GOOD.replace("suites =", "siutes ="))
    assert message == ":4: unknown key 'siutes': did you mean 'suites'?"
    message = plan_error(tmp_path, GOOD + 'kernal = "x"\n')
    assert message == ":13: unknown key 'expect.1.kernal': did you mean 'kernel'?"


def test_an_expectation_must_say_something(tmp_path: Path) -> None:
    message = plan_error(tmp_path, GOOD.replace('value = "works"\n', ""))
    assert message.startswith(":6: expect.0: ") and "value or a status" in message


def test_not_toml_and_not_there(tmp_path: Path) -> None:
    assert "line 2" in plan_error(tmp_path, "kernels = 1\nmachines = !\n")
    with pytest.raises(UsageError, match="no such file"):
        parse(Plan, tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("nested-tgc", "did you mean 'nested-tcg'?"), ("zzz", "known: flat-tcg, nested-tcg")],
)
def test_unknown_names_the_nearest(name: str, hint: str) -> None:
    assert str(unknown("machine", name, ["nested-tcg", "flat-tcg"])).endswith(hint)


def test_line_of_goes_as_far_as_it_can() -> None:
    assert line_of(GOOD, ("expect", 0, "path")) == 7
    assert line_of(GOOD, ("nowhere",)) == 1
