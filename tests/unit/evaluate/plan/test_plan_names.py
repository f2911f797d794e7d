# SPDX-License-Identifier: GPL-2.0-only
"""Plans have names, also for the plans that extend them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.base.paths import PROJECT
from harness.evaluate.plan.plan import examine, find_plan, load_plan

QUICKSTART = PROJECT / "plans/quickstart.toml"


@pytest.fixture
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of plans in the current one, which is empty."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plans").mkdir()
    return tmp_path / "plans"


def test_a_name_is_a_plan_of_the_users_own_or_of_the_project(plans: Path) -> None:
    assert find_plan("quickstart") == QUICKSTART
    (plans / "quickstart.toml").write_text('extends = "quickstart"\nretries = 7\n')
    assert find_plan("quickstart") == Path("plans/quickstart.toml"), "as it is in records"
    assert load_plan(find_plan("quickstart")).retries == 7
    assert load_plan(find_plan("quickstart")).kernels == load_plan(QUICKSTART).kernels


def test_a_path_is_that_file(plans: Path) -> None:
    (plans.parent / "mine.toml").write_text("")
    (plans.parent / "mine").write_text("")
    assert find_plan("mine.toml") == Path("mine.toml")
    assert find_plan("./mine.toml") == Path("mine.toml")
    assert find_plan("mine") == Path("mine")
    (plans / "mine.toml").write_text("")
    assert find_plan("mine") == Path("plans/mine.toml"), "a name comes first"


def test_a_plan_extends_one_by_name_or_by_path(plans: Path) -> None:
    (plans / "a.toml").write_text('extends = "nightly"\n')
    (plans / "b.toml").write_text('extends = "a.toml"\n')
    assert load_plan(plans / "b.toml").kernels == load_plan(find_plan("nightly")).kernels
    (plans / "c.toml").write_text('extends = "nighty"\n')
    with pytest.raises(UsageError, match=r"c\.toml:1: extends: unknown plan 'nighty': did you"):
        load_plan(plans / "c.toml")
    (plans / "d.toml").write_text('extends = "c"\n')
    (plans / "c.toml").write_text('extends = "d"\n')
    with pytest.raises(UsageError, match="circle"):
        load_plan(plans / "c.toml")


def test_a_problem_is_told_with_the_file_it_is_in(plans: Path) -> None:
    (plans / "base.toml").write_text(
        'kernels = ["debian-6.1"]\nmachines = ["flat-tcg"]\nsuites = ["none"]\n'
    )
    path = plans / "mine.toml"
    path.write_text('extends = "base"\n')
    _, problems = examine(load_plan(path), path)
    (problem,) = problems
    assert problem.startswith(f"{plans}/base.toml:3: unknown suite 'none': ")
