# SPDX-License-Identifier: GPL-2.0-only
"""Which cells a plan gives `s2eval patch`, and the names of its kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.base.paths import PROJECT
from harness.evaluate.patch.request import Options, job_of, matrix_of
from harness.kernel.spec import find_series, resolve

SERIES = PROJECT / "kernels/patches"
PLAN = """\
kernels = ["debian-6.1", "debian-6.12"]
machines = ["flat-tcg", "nested-tcg"]
suites = ["wcprobe", "provoke"]
[[include]]
kernel = "debian-6.12"
machine = "flat-*"
[[include]]
suite = "wcprobe"
[[exclude]]
kernel = "debian-6.12"
[[exclude]]
machine = "flat-tcg"
suite = "provoke"
[[expect]]
path = "wcprobe.ioremap.stage1"
value = "Device-nGnRE"
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))


def test_a_plans_cells(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    where = matrix_of(Options(plan=plan))
    cells = [(c.machine.name, c.suite.name) for c in where.cells(resolve("debian-6.1"))]
    assert cells == [("flat-tcg", "wcprobe"), ("nested-tcg", "wcprobe")]
    assert [one.path for one in where.expect] == ["wcprobe.ioremap.stage1"]


def test_a_plan_that_leaves_nothing(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN + '[[exclude]]\nmachine = "*"\n')
    with pytest.raises(UsageError, match="the plan leaves no cell"):
        job_of(
            f"{SERIES}/stage2-normal-nc",
            Options(kernel="debian-6.1", plan=plan),
            each=False,
        )


def test_another_cpu() -> None:
    where = matrix_of(Options(machines=("flat-tcg",), cpu="cortex-a72"))
    assert where.machines[0].cpu == "cortex-a72"


def test_the_kernels_can_be_named_again() -> None:
    job = job_of(f"{SERIES}/stage2-vma-flag", Options(kernel="debian-6.1"), each=True)
    assert [step.count for step in job.steps] == [0, 1, 2, 3, 4]
    assert job.tree is None
    for step in job.steps[1:]:
        (kernel,) = step.kernels
        again = resolve(kernel.name)
        assert again.series == kernel.series and again.source == kernel.source
        assert len(list(find_series(kernel.series[-1]).glob("*.patch"))) == step.count
