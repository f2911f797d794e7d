# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval patch` and `bisect` on kernels that are worse; the base is debian-6.1.

What such kernels do is recorded in tests/data/runs/worse as well, and judged there without a guest.
"""

from __future__ import annotations

import json

import pytest

from harness.base.paths import PROJECT
from tests.system.commands import KERNEL, S2Eval

SERIES = PROJECT / "tests/data/series"


def test_a_kernel_that_refuses_the_vmm_is_a_regression_in_the_vmms_words(s2eval: S2Eval) -> None:
    ran = s2eval("patch", str(SERIES / "refuse-pfnmap"), "--kernel", KERNEL, "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["verdict"]) == (1, "regressed"), ran.err
    assert told["headline"] == "1 thing worse, nothing better"
    (worse,) = [c for c in told["changes"] if c["kind"] == "regressed" and not c["repeats"]]
    assert worse["path"] == "wcprobe.guest" and worse["patched"].startswith("FAIL (vmm-refused)")
    assert "Invalid argument" in worse["detail"]["reason"]
    assert any("error registering slot" in line for line in worse["detail"]["vmm"])
    assert any("no memslot without pages" in line for line in worse["detail"]["host"])
    (cell,) = told["patched"]["cells"]
    assert (cell["status"], cell["failure"]["kind"]) == ("FAIL", "vmm-refused")
    assert len(cell["retried"]) == 1
    # The record says the same, and so does whatever shows it.
    assert s2eval.run().cells[-1].status.value == "FAIL"
    shown = " ".join(s2eval("show").out.split())
    assert "regressed: 1 thing worse" in shown and "worse: guest: " in shown


@pytest.mark.extended
@pytest.mark.parametrize(  # what the base meets: no check of write combining on 6.1
    "check", [(), ("--check", "wcprobe.ioremap.*"), ("--check", "audit.ioremap")]
)
def test_bisect_finds_the_patch_that_refuses_the_vmm(
    s2eval: S2Eval, check: tuple[str, ...]
) -> None:
    ran = s2eval("bisect", str(SERIES / "refuse-pfnmap"), "--kernel", KERNEL, *check, "--json")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    answers = {one["commit"]: one for one in told["tried"]}
    first = answers[told["found"]]
    assert first["subject"] == "KVM: arm64: mutant: Refuse memory without pages in a memslot"
    assert "Invalid argument" in first["why"] or "vmm-refused" in first["why"]
