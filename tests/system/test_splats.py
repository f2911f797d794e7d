# SPDX-License-Identifier: GPL-2.0-only
"""Kernels that look for their own faults: `--config debug`, real series, real guests.

The debug build of debian-6.1 is shared by all tests here, and is made by the first one.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from harness.base.paths import PROJECT
from tests.system.commands import KERNEL, S2Eval

FAULTS = PROJECT / "kernels/patches/faults"


def judged(s2eval: S2Eval, series: str) -> tuple[int, dict[str, Any]]:
    options = ("--kernel", KERNEL, "--config", "debug", "--json")
    ran = s2eval("patch", str(FAULTS / series), *options)
    assert ran.out, ran.err
    return ran.code, json.loads(ran.out)


def only_regression(told: dict[str, Any]) -> dict[str, Any]:
    (change,) = [c for c in told["changes"] if c["kind"] == "regressed"]
    assert change["about"] == "log" and change["base"] == "not there"
    found: dict[str, Any] = change
    return found


def test_a_lock_order_inversion_is_a_regression_with_lockdeps_words(s2eval: S2Eval) -> None:
    """slots_lock with the mmap lock held, in a stage-2 fault of L2; nothing hangs."""
    code, told = judged(s2eval, "slots-lock-order")
    assert (code, told["verdict"]) == (1, "regressed"), told["headline"]
    change = only_regression(told)
    assert change["path"] == "log.L1.lockdep"
    assert change["patched"] == "WARNING: possible circular locking dependency detected"
    trace = "\n".join(change["detail"]["trace"])
    assert "(&kvm->slots_lock)" in trace and "(&mm->mmap_lock)" in trace
    # Where user_mem_abort() was compiled into.
    assert re.search(r"kvm_handle_guest_abort\+\S+ \(arch/arm64/kvm/mmu\.c:\d+\)", trace), trace
    names = [told[side]["cells"][0]["kernel"]["name"] for side in ("base", "patched")]
    shown = s2eval("compare", *(f"latest:{name}" for name in names))
    assert shown.code == 1 and "possible circular locking dependency" in " ".join(shown.out.split())


@pytest.mark.extended
def test_memory_that_a_vm_leaves_behind_is_a_regression(s2eval: S2Eval) -> None:
    code, told = judged(s2eval, "stage2-leak")
    assert (code, told["verdict"]) == (1, "regressed"), told["headline"]
    change = only_regression(told)
    assert change["path"] == "log.L1.kmemleak"
    trace = "\n".join(change["detail"]["trace"])
    assert re.search(r"kvm_init_stage2_mmu\+\S+ \(arch/arm64/kvm/mmu\.c:\d+\)", trace), trace
