# SPDX-License-Identifier: GPL-2.0-only
"""Two kernels' logs: what only one of them complains of."""

from __future__ import annotations

import pytest

from harness.evaluate.patch.verdict.logdiff import complaints, news, plain
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
