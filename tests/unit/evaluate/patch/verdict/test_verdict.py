# SPDX-License-Identifier: GPL-2.0-only
"""What makes a change better or worse, and what decides nothing."""

from __future__ import annotations

import pytest

from harness.evaluate.patch.verdict.figures import changes as figure_changes
from harness.evaluate.patch.verdict.figures import compared
from harness.evaluate.patch.verdict.reach import short
from harness.evaluate.patch.verdict.verdict import VerdictChange, observed, settled, unknown
from harness.evaluate.patch.verdict.word import ChangeKind, Verdict, tally
from harness.results.compare import Pair
from harness.results.failure_kinds import FailureKind
from harness.results.readings import FidelityRecord
from harness.results.records import Failure, Observation, Status
from harness.results.shifts import not_comparable
from tests.unit.evaluate.patch.patch_cells import cell, saw

WORKS, KILLED = saw("s.t", "works"), saw("s.t", "vm-killed", Status.FAIL)
FAULTS = saw("s.t", "faults", Status.FAIL)
GONE = Failure(kind=FailureKind.KVM_ERROR, summary="kvm: Unsupported FSC", where="L1")


def killed(path: str) -> Observation:
    """Return the test that the guest did not survive, as suites/observe.py has it."""
    item = saw(path, "vm-killed", Status.FAIL)
    item.detail = {"failure": GONE.kind, "reason": GONE.summary}
    return item


def kinds(before: list[Observation], after: list[Observation]) -> dict[str, ChangeKind]:
    pair = Pair(cell("a", *before), cell("b", *after))
    return {change.path: change.kind for change in observed(pair)}


def test_a_promise_kept_or_broken() -> None:
    assert kinds([KILLED], [WORKS]) == {"s.t": ChangeKind.IMPROVED}
    assert kinds([WORKS], [KILLED]) == {"s.t": ChangeKind.REGRESSED}
    assert kinds([KILLED], [FAULTS]) == {"s.t": ChangeKind.CHANGED}
    assert kinds([WORKS], [saw("s.t", "faults")]) == {"s.t": ChangeKind.CHANGED}
    assert kinds([WORKS], [WORKS]) == {}


def test_no_word_of_a_fault_of_ours() -> None:
    for broken in (Status.MISS, Status.ERROR):
        assert kinds([WORKS], [saw("s.t", status=broken)]) == {"s.t": ChangeKind.CHANGED}
        assert kinds([saw("s.t", status=broken)], [KILLED]) == {"s.t": ChangeKind.CHANGED}


def test_a_skip_proves_nothing_good() -> None:
    assert kinds([KILLED], [saw("s.t", status=Status.SKIP)]) == {"s.t": ChangeKind.CHANGED}


def test_what_was_not_reached_proves_nothing() -> None:
    """The base died in x and never came to y."""
    died = cell("a", killed("s.x"), saw("s.not_reached", status=Status.SKIP))
    died.failure = GONE
    went_on = cell("b", saw("s.x", "works"), saw("s.y", "faults", Status.FAIL))
    found = {c.path: c.kind for c in observed(Pair(died, went_on))}
    assert found == {
        "s.x": ChangeKind.IMPROVED,
        "s.y": ChangeKind.CHANGED,
        "s.not_reached": ChangeKind.CHANGED,
    }
    back = {c.path: c.kind for c in observed(Pair(went_on, died))}
    assert back == {
        "s.x": ChangeKind.REGRESSED,
        "s.y": ChangeKind.CHANGED,
        "s.not_reached": ChangeKind.CHANGED,
    }


def test_a_type_that_is_missing_is_no_place_that_was_not_reached() -> None:
    """Both guests die in s.x; the patched kernel maps nothing there, and maps s.z."""
    left = saw("s.not_reached", status=Status.SKIP)
    left.value = 3
    sides = [
        cell(name, killed("s.x"), left, saw("audit.x", status=Status.PASS), *more)
        for name, more in (
            ("a", [saw("audit.x.stage2", "Device", Status.DONE)]),
            ("b", [saw("audit.x.combined", "NC", Status.DONE)]),
        )
    ]
    for one in sides:
        one.failure = GONE
    assert short(sides[0], sides[1]) is None
    assert not [c for c in observed(Pair(*sides)) if c.kind is not ChangeKind.CHANGED]
    sides[1].observations[1].value = 4
    assert short(sides[0], sides[1]) == "patched" and short(sides[1], sides[0]) == "base"
    (change,) = [c for c in observed(Pair(*sides)) if c.kind is not ChangeKind.CHANGED]
    assert (change.path, change.kind) == ("s.reached", ChangeKind.REGRESSED)


def test_a_panic_is_a_regression_though_the_base_has_no_such_observation() -> None:
    dead = cell("b", saw("s.guest", "panic", Status.FAIL))
    dead.failure = Failure(kind=FailureKind.PANIC, summary="Kernel panic", where="L1")
    found = {c.path: c.kind for c in observed(Pair(cell("a", WORKS), dead))}
    assert found == {"s.guest": ChangeKind.REGRESSED, "s.t": ChangeKind.CHANGED}


def test_the_verdict_of_an_audit_counts_though_its_type_tells_it() -> None:
    before = [saw("audit.wc", status=Status.FAIL), saw("audit.wc.stage2", "Device", Status.DONE)]
    after = [saw("audit.wc", status=Status.PASS), saw("audit.wc.stage2", "NC", Status.DONE)]
    found = observed(Pair(cell("a", *before), cell("b", *after)))
    assert [(c.path, c.kind, c.repeats, c.about) for c in settled(found)] == [
        ("audit.wc", ChangeKind.IMPROVED, False, "audit"),
        ("audit.wc.stage2", ChangeKind.CHANGED, False, "audit"),
    ]


def test_a_flicker_is_a_regression_and_told() -> None:
    flickers = Observation(path="s.t", status=Status.FAIL, value="faults")
    flickers.detail = {"flaky": {"PASS works": 3, "FAIL faults": 1}, "reason": "because"}
    (change,) = observed(Pair(cell("a", WORKS), cell("b", flickers)))
    assert change.kind is ChangeKind.REGRESSED
    assert change.detail["flaky"] == {"patched": {"PASS works": 3, "FAIL faults": 1}}


def test_expectations_of_the_plan() -> None:
    before, after = cell("a", WORKS), cell("b", WORKS)
    before.expectations = [saw("s.t", status=Status.FAIL), saw("s.u", status=Status.MISS)]
    after.expectations = [saw("s.t", status=Status.PASS), saw("s.u", status=Status.PASS)]
    (change,) = observed(Pair(before, after))
    assert (change.path, change.kind, change.about) == ("s.t", ChangeKind.IMPROVED, "expectation")


@pytest.mark.parametrize(
    ("found", "questions", "wanted"),
    [
        ([], [], Verdict.UNCHANGED),
        ([ChangeKind.CHANGED], [], Verdict.UNCHANGED),
        ([ChangeKind.IMPROVED, ChangeKind.CHANGED], [], Verdict.IMPROVED),
        ([ChangeKind.REGRESSED], [], Verdict.REGRESSED),
        ([ChangeKind.REGRESSED, ChangeKind.IMPROVED], [], Verdict.MIXED),
        ([], ["x"], Verdict.UNDECIDED),
        ([ChangeKind.IMPROVED], ["x"], Verdict.UNDECIDED),
        ([ChangeKind.REGRESSED], ["x"], Verdict.REGRESSED),  # that much is sure
    ],
)
def test_the_verdict(found: list[ChangeKind], questions: list[str], wanted: Verdict) -> None:
    changes = [
        VerdictChange(path="p", base="", patched="", kind=kind, about="probe") for kind in found
    ]
    assert tally(changes, questions).word is wanted


def test_cells_without_an_answer() -> None:
    assert unknown(Pair(cell("a", WORKS), cell("b", KILLED))) == []
    silent = cell("b")
    silent.status, silent.failure = (
        Status.MISS,
        Failure(kind=FailureKind.SILENCE, summary="no output"),
    )
    assert unknown(Pair(cell("a", WORKS), silent)) == ["patched on m, s: no output"]
    missed = cell("a", saw("s.t", status=Status.MISS))
    assert unknown(Pair(missed, cell("b", WORKS))) == ["base on m, s: s.t is MISS: None"]


def figure(*samples: float, unit: str = "ns", representative: bool = True) -> Observation:
    return Observation(
        path="s.f", status=Status.DONE, value=samples[0], unit=unit, samples=list(samples),
        detail={} if representative else {"representative": False},
    )  # fmt: skip


SLOW, FAST = [100.0 + n for n in range(12)], [50.0 + n for n in range(12)]


def measured(before: Observation, after: Observation, boots: int = 4) -> list[VerdictChange]:
    a, b = cell("a", before), cell("b", after)
    a.repeats = b.repeats = boots
    return figure_changes(compared(Pair(a, b)))


def test_figures_decide_when_they_may() -> None:
    (slower,) = measured(figure(*FAST), figure(*SLOW))
    assert slower.kind is ChangeKind.REGRESSED and slower.about == "figure"
    assert slower.detail["effect"] == 1 and slower.detail["p"] < 0.05
    assert slower.base.startswith("55.5 ns (") and ".." in slower.base
    (faster,) = measured(figure(*FAST, unit="MB/s"), figure(*SLOW, unit="MB/s"))
    assert faster.kind is ChangeKind.IMPROVED
    assert measured(figure(*FAST), figure(*FAST)) == []


def test_figures_that_decide_nothing() -> None:
    # Three boots of each can have come in this order by chance, once in ten times.
    assert measured(figure(*FAST), figure(*SLOW), boots=3) == []
    assert measured(figure(*FAST, representative=False), figure(*SLOW)) == []


def test_many_figures_are_not_a_find_by_chance() -> None:
    """One that is unlikely at 5 % is nothing among twenty."""
    before, after = cell("a"), cell("b")
    before.repeats = after.repeats = 6
    for number in range(20):
        odd = number == 7
        one = figure(1, 2, 3, 4, 5, 6)
        other = figure(*((4.5, 5.5, 6.5, 7, 8, 9) if odd else (1, 2, 3, 4, 5, 6)))
        before.observations.append(one.model_copy(update={"path": f"s.f{number}"}))
        after.observations.append(other.model_copy(update={"path": f"s.f{number}"}))
    records = compared(Pair(before, after))
    assert min(one.p for one in records) < 0.05
    assert figure_changes(records) == []


def test_figures_of_different_machines_are_refused() -> None:
    base, other = cell("a", figure(*FAST)), cell("b", figure(*SLOW))
    assert not_comparable(Pair(base, other)) == ""
    other.machine.qemu = "10.0.2"
    assert not_comparable(Pair(base, other)) == "different QEMUs: unknown and 10.0.2"
    assert compared(Pair(base, other)) == []
    other.machine.cpu = "cortex-a72"
    assert not_comparable(Pair(base, other)) == "different machines: cpu max and cortex-a72"
    other = cell("b", figure(*SLOW))
    other.fidelity = FidelityRecord(facts={"alignment": True})
    assert not_comparable(Pair(base, other)) == "different fidelity: facts"
    other = cell("b", figure(*SLOW))
    other.suite.source_hash = "1"
    assert not_comparable(Pair(base, other)) == "different sources of the suite s"
