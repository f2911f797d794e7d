# SPDX-License-Identifier: GPL-2.0-only
"""Two kernels' logs: what only one of them complains of."""

from __future__ import annotations

import pytest

from harness.evaluate.patch.verdict.logdiff import (
    Complaint,
    KernelLog,
    complaints,
    kernel_log,
    log_difference,
    news,
)
from harness.results.failure_kinds import FailureKind
from harness.suites.failures.splats import plain
from tests.data_files import DATA

LOGS = DATA / "logs"


def log(name: str) -> list[str]:
    return (LOGS / f"{name}.log").read_text(errors="replace").splitlines()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[    1.234567] WARNING: CPU: 0 PID: 1 at mm/slub.c:12 f+0x10/0x20",
         "[   11.000001] WARNING: CPU: 1 PID: 77 at mm/slub.c:14 f+0x1c/0x2c"),
        ("<4>[    0.1] x at ffff800010a0b0c0", "x at ffff8000deadbeef"),
        ("[    0.5][    T1] took 12 ms", "[    0.7][   T99] took 3 ms"),
    ],
)  # fmt: skip
def test_times_addresses_and_numbers_say_nothing(one: str, other: str) -> None:
    assert plain(one) == plain(other)


def test_words_do() -> None:
    assert plain("WARNING: at mm/slub.c f+0x1") != plain("WARNING: at mm/slab.c f+0x1")
    assert plain("dead code") == "dead code"  # hexadecimal digits, and no number


def test_a_new_warning_with_its_trace() -> None:
    base, patched = complaints("L1", log("clean")), complaints("L1", log("warn"))
    (one,) = [c for c in news(base, patched) if c.kind]
    assert one.kind == "warn" and one.line.startswith("WARNING: ")
    assert any("Call trace" in line for line in one.trace)
    assert all(not line.startswith("[") or "end trace" in line for line in one.trace)
    assert news(patched, patched) == []
    assert news(patched, base) == []


@pytest.mark.parametrize("name", ["oops-survived", "rcu-stall", "hung-task", "kvm-l1"])
def test_every_class_of_failure_is_seen(name: str) -> None:
    assert any(c.kind for c in news([], complaints("L1", log(name))))


def test_the_same_complaint_is_told_once() -> None:
    lines = [f"[    {n}.0] foo: error {n}" for n in range(9)]
    assert len(news([], complaints("L2", lines))) == 1
    # Whose it is matters.
    assert len(news(complaints("L1", lines), complaints("L2", lines))) == 1


# -- what a check that has fallen silent hides ------------------------------------------------


def whole(*names: str) -> KernelLog:
    """The log of a kernel that printed these one after the other."""
    return kernel_log("L1", [[line for name in names for line in log(name)]])


def kinds(found: list[Complaint], *, judged: bool) -> list[str]:
    return [str(c.kind) for c in found if c.kind and c.judged == judged]


def test_a_new_report_is_a_regression_and_one_that_is_gone_was_mended() -> None:
    found = log_difference(whole("clean"), whole("lockdep-order"))
    assert (kinds(found.fresh, judged=True), found.gone, found.unjudged) == (["lockdep"], [], [])
    back = log_difference(whole("lockdep-order"), whole("clean"))
    assert (kinds(back.gone, judged=True), back.fresh, back.unjudged) == (["lockdep"], [], [])


def test_the_same_report_in_both_is_neither_and_its_kind_is_not_judged() -> None:
    """In another boot, with another chain."""
    found = log_difference(whole("lockdep-order"), whole("splats"))
    assert "lockdep" not in kinds(found.fresh, judged=True) + kinds(found.fresh, judged=False)
    (reason,) = found.unjudged
    assert reason.startswith("lockdep and rcu-usage not judged: the base tells nothing more of it")
    assert reason.endswith("WARNING: possible circular locking dependency detected")


def test_another_report_than_the_bases_first_one_is_not_judged() -> None:
    """lockdep is silent after its first: the base may have this one as well."""
    found = log_difference(whole("lockdep-irq"), whole("lockdep-order"))
    assert kinds(found.fresh, judged=False) == kinds(found.gone, judged=False) == ["lockdep"]
    assert len(found.unjudged) == 1


def test_a_kind_that_is_never_silent_is_judged_whatever_the_base_has() -> None:
    found = log_difference(whole("kfence-uaf"), whole("kfence-uaf", "kfence-overflow"))
    assert kinds(found.fresh, judged=True) == ["kfence"] and found.unjudged == []


def test_suspicious_rcu_usage_behind_lockdeps_report_is_not_judged() -> None:
    base, patched = whole("lockdep-irq"), whole("splats")
    rcu = [c for c in log_difference(base, patched).fresh if c.kind is FailureKind.RCU_USAGE]
    assert [c.judged for c in rcu] == [False]


def test_what_a_dying_kernel_finds_wrong_is_left_out() -> None:
    """printk() in an exception takes the console's lock as lockdep does not like it."""
    text = log("unhandled-exception")
    assert any("inconsistent lock state" in line for line in text)
    found = [str(c.kind) for c in complaints("L1", text) if c.kind]
    assert found == ["unhandled-exception"]
