# SPDX-License-Identifier: GPL-2.0-only
"""Splats in the logs that real kernels printed: where each begins and ends, what it is known by."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.results.failure_kinds import FailureKind
from harness.suites.failures.splats import Splat, plain, silenced, splats
from tests.data_files import DATA

LOGS = DATA / "logs"
LAST_FRAME = " el0t_64_sync+"
SIGNS = "=" * 60


def log(name: str) -> list[str]:
    text = (LOGS / f"{name}.log").read_bytes().decode("utf-8", errors="replace")
    return text.replace("\r\n", "\n").split("\n")


def of(name: str) -> list[Splat]:
    return [one for one in splats(log(name)) if isinstance(one, Splat)]


# The splats of one guest, in their order: kind, what its first line begins with, the place that it
# is known by, what its last line begins with.
SPLATS = [
    ("rcu-usage", "WARNING: suspicious RCU usage", "provoke_rcu", LAST_FRAME),
    ("atomic-sleep", "BUG: sleeping function called from invalid context at", "provoke_atomic",
     LAST_FRAME),
    ("ubsan", "UBSAN: shift-out-of-bounds in", "provoke_shift", SIGNS),
    ("ubsan", "UBSAN: array-index-out-of-bounds in", "provoke_bounds", SIGNS),
    ("refcount", "refcount_t: decrement hit 0; leaking", "provoke_refcount", "---[ end trace"),
    ("list-corruption", "list_add double add: new=", "provoke_list", "---[ end trace"),
    ("kfence", "BUG: KFENCE: memory corruption in provoke_overflow+", "", SIGNS),
    ("lockdep", "WARNING: possible circular locking dependency", "first second", LAST_FRAME),
    ("kmemleak", "kmemleak: unreferenced object 0x", "lose_an_object", "kmemleak:     [<"),
    ("kmemleak", "kmemleak: unreferenced object 0x", "lose_an_object", "kmemleak:     [<"),
    ("kmemleak", "kmemleak: unreferenced object 0x", "lose_an_object", "kmemleak: 3 new susp"),
]  # fmt: skip


def test_each_splat_of_a_guest_ends_where_the_next_one_begins() -> None:
    found = of("splats")
    assert len(found) == len(SPLATS)
    for splat, (kind, first, place, last) in zip(found, SPLATS, strict=True):
        assert (splat.kind, splat.key[2]) == (kind, place)
        assert splat.line.startswith(first) and splat.lines[0] == splat.line
        assert splat.lines[-1].startswith(last), splat.lines[-1]
        assert not any(line.startswith("[ ") for line in splat.lines)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("lockdep-order", "first second"),
        ("lockdep-recursive", "&locks[i]"),
        ("lockdep-irq", "shared"),
        ("lockdep-unlock", "provoke_unlock"),
        ("lockdep-held", "first"),
    ],
)
def test_lockdep_is_known_by_its_locks(name: str, place: str) -> None:
    (splat,) = of(name)
    assert (splat.kind, splat.key[2]) == (FailureKind.LOCKDEP, place)
    assert splat.lines[-1].startswith(LAST_FRAME)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("kasan-overflow", "provoke_overflow"),
        ("kasan-uaf", "provoke_uaf"),
        ("kasan-double-free", "provoke_doublefree"),
    ],
)
def test_kasan_is_known_by_who_did_it(name: str, place: str) -> None:
    (splat,) = of(name)
    assert (splat.kind, splat.key[2]) == (FailureKind.KASAN, place)
    assert splat.lines[-1].startswith(SIGNS) and len(splat.lines) > 60


def test_kcsan_names_both_sides() -> None:
    unknown, known = of("kcsan")
    assert unknown.kind is known.kind is FailureKind.KCSAN
    assert known.line == "BUG: KCSAN: data-race in count [provoke] / count [provoke]"
    assert known.lines[-1].startswith(SIGNS) and len(known.lines) == 18


def test_the_warning_of_a_permissive_cfi_failure_is_a_part_of_it() -> None:
    (splat,) = of("cfi")
    assert splat.kind is FailureKind.CFI and splat.lines[1].startswith("WARNING: CPU: ")
    assert splat.lines[-1].startswith("---[ end trace")


def test_the_same_splat_of_two_boots_has_one_key() -> None:
    """Two guests, with other addresses, tasks, CPUs, chains and times."""
    (alone,) = of("lockdep-order")
    (among,) = [splat for splat in of("splats") if splat.kind is FailureKind.LOCKDEP]
    assert alone.key == among.key and alone.lines != among.lines


def test_other_places_are_other_splats() -> None:
    keys = {splat.key for name in ("splats", "lockdep-irq", "lockdep-recursive", "kfence-overflow")
            for splat in of(name)}  # fmt: skip
    assert len(keys) == len(SPLATS) - 2 + 3  # the leaks are one


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("INFO: task kworker/u4:2:33 blocked for more than 5 seconds.",
         "INFO: task kworker/0:1H:7 blocked for more than 122 seconds."),
        ("UBSAN: shift-out-of-bounds in /a/b/tree/kernel/x.c:12:3",
         "UBSAN: shift-out-of-bounds in /home/c/x.c:14:3"),
    ],
)  # fmt: skip
def test_workers_and_folders_say_nothing(one: str, other: str) -> None:
    assert plain(one) == plain(other)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("splats", {"refcount", "lockdep", "rcu-usage"}),
        ("lockdep-held", {"lockdep", "rcu-usage"}),
        ("oops-survived", set()),
        ("kasan-uaf", {"kasan", "lockdep", "rcu-usage"}),
        ("kfence-uaf", set()),
        ("clean", set()),
    ],
)
def test_what_a_kernel_tells_nothing_more_of(name: str, kinds: set[str]) -> None:
    assert set(silenced(log(name))) == kinds


def test_an_oops_silences_lockdep() -> None:
    text = [*log("clean"), "[    1.0] Disabling lock debugging due to kernel taint"]
    assert set(silenced(text)) == {"lockdep", "rcu-usage"}


@given(st.integers(0, 392), st.integers(0, 392))
def test_no_piece_of_a_log_is_lost_or_told_twice(start: int, end: int) -> None:
    lines = log("splats")[start:end]
    told = [text for one in splats(lines)
            for text in (one.lines if isinstance(one, Splat) else [one])]  # fmt: skip
    assert [re.sub(r"^\[ *[\d.]+\] ?", "", line).strip() for line in lines] == [
        line.strip() for line in told
    ]
