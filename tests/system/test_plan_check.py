# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval plan check`: what would run, what is there, how long it took; and bad plans."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from harness.base.paths import PLANS, PROJECT, cache_dir
from tests.system.commands import KERNEL, S2Eval, make_suite

PLAN = """\
kernels = ["debian-6.1"]
machines = ["flat-tcg"]
suites = ["{}"]
{}
"""


def written(s2eval: S2Eval, suite: str, more: str = "") -> str:
    path = s2eval.home / "plan.toml"
    path.write_text(PLAN.format(suite, more))
    return str(path)


def test_before_and_after_a_run(s2eval: S2Eval) -> None:
    suite = make_suite(s2eval.home / "fresh", 'extends = "wcprobe"\n')
    plan = written(s2eval, suite, "skip_unchanged = true")
    cache = str(s2eval.home / "cache")
    shared(cache)
    first = s2eval("plan", "check", plan, S2EVAL_CACHE=cache)
    assert first.code == 0 and "in the store" in first.out and "never run here" in first.out
    assert not s2eval.results.exists()  # nothing was run
    assert s2eval("run", plan, S2EVAL_CACHE=cache).code == 0
    found = json.loads(s2eval("plan", "check", plan, "--json", S2EVAL_CACHE=cache).out)
    (cell,) = found["cells"]
    assert cell["name"] == f"{KERNEL}/flat-tcg/fresh" and cell["exact"]
    assert 0.2 < cell["seconds"] < s2eval.run().run.seconds
    assert cell["unchanged_since"] == s2eval.run().run.id and found["boots"] == 0
    again = s2eval("plan", "check", plan, S2EVAL_CACHE=cache)
    assert f"unchanged since {s2eval.run().run.id}" in again.out


def shared(cache: str) -> None:
    """Everybody's cache but for what it remembers of earlier runs."""
    Path(cache).mkdir()
    for path in cache_dir().iterdir():
        if path.name not in ("timings", "paths"):
            (Path(cache) / path.name).symlink_to(path)


def test_a_kernel_that_is_to_be_built(s2eval: S2Eval) -> None:
    (known,) = (PROJECT / "kernels/patches/stage2-normal-nc").glob("*.patch")
    patch = s2eval.home / "never-built.patch"
    # Another message: another patch, for every run of this test.
    text = known.read_text()
    patch.write_text(text.replace("\n---\n", f"\nOf {s2eval.home}, {time.time()}.\n---\n", 1))
    path = s2eval.home / "plan.toml"
    path.write_text(PLAN.format("wcprobe", "").replace("debian-6.1", f"debian-6.1+{patch}"))
    ran = s2eval("plan", "check", str(path))
    assert (ran.code, ran.err) == (0, "") and "to be built" in ran.out


@pytest.mark.parametrize("plan", PLANS.files().values(), ids=lambda path: path.stem)
def test_the_plans_that_come_along_have_no_problems(s2eval: S2Eval, plan: Path) -> None:
    ran = s2eval("plan", "check", str(plan))
    assert (ran.code, ran.err) == (0, "")


def test_every_problem_is_told_with_its_line(s2eval: S2Eval) -> None:
    more = '[[expect]]\npath = "wcprob.x"\nvalue = 1\n[[exclude]]\nkernel = "debian-7*"\n'
    plan = written(s2eval, "wcprobe", more)
    ran = s2eval("plan", "check", plan)
    assert ran.code == 2 and ran.out == ""
    assert [line.partition(": ")[2] for line in ran.err.splitlines()] == [
        f"{plan}:7: exclude: no cell of the plan is debian-7*/*/*",
        f"{plan}:5: expect wcprob.x: no suite here gives such a path: wcprobe, audit, witness",
    ]
    found = json.loads(s2eval("plan", "check", plan, "--json").out)
    assert len(found["problems"]) == 2
    ran = s2eval("run", plan)
    assert "(and 1 more: s2eval plan check)" in ran.one_line() and ran.code == 2
    assert not s2eval.results.exists()


def test_a_path_that_the_suite_has_not_given_yet(s2eval: S2Eval) -> None:
    assert s2eval("run", "-k", KERNEL, "-m", "flat-tcg").code == 0
    plan = written(
        s2eval, "wcprobe", '[[expect]]\npath = "wcprobe.ioremap.writl"\nstatus = "PASS"\n'
    )
    words = (
        f"warning: {plan}:5: expect wcprobe.ioremap.writl: wcprobe on flat-tcg has given no such "
        "path so far: did you mean 'wcprobe.ioremap.writel'?"
    )
    ran = s2eval("plan", "check", plan)
    assert (ran.one_line(), ran.code) == (f"s2eval: {words}", 0) and "Cells" in ran.out
    found = json.loads(s2eval("plan", "check", plan, "--json").out)
    assert found["warnings"] == [words] and not found["problems"]
    ran = s2eval("run", plan)  # which is not refused; that nothing was there is a FAIL afterwards
    assert f"s2eval: {words}" in ran.err.splitlines() and ran.code == 1
    (unmet,) = s2eval.cell("flat-tcg").expectations
    assert "nothing was observed there" in unmet.detail["reason"]
