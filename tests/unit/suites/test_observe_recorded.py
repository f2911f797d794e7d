# SPDX-License-Identifier: GPL-2.0-only
"""What a probe saw and nobody judges, tests that oops, stores that repeat one byte."""

from __future__ import annotations

import pytest

from harness.results.failure_kinds import FailureKind
from harness.results.records import VM_KILLED, Failure, Observation, Status
from harness.suites.observe import observe
from harness.suites.pattern import check_pattern, pattern
from tests.unit.suites.test_observe import by_path, reason

OOPS = Failure(
    kind=FailureKind.OOPS, summary="Internal error: synchronous external abort", where="L2"
)
SEED, SIZE, FILL = 7 << 32, 256, 64


def told(*lines: str, death: Failure | None = None, end: bool = True) -> dict[str, Observation]:
    """What is told of a guest with one test `a.exclusives` that says `lines`."""
    head = ["KTAP version 1", "1..1", "  KTAP version 1", "  # Subtest: a", "  1..2"]
    begun = "  # s2eval: begin test=a.exclusives"
    tail = ["# s2eval: end"] if end else []
    return by_path(observe("s", [*head, begun, *lines, *tail], {}, death, None))


SEEN = "  # s2eval: seen test=a.exclusives name=ldxr value=works"


def test_what_is_seen_is_recorded_and_no_pass() -> None:
    found = told(SEEN, "  ok 1 exclusives")
    assert (found["s.a.exclusives"].status, found["s.a.exclusives"].value) == (
        Status.DONE,
        "recorded",
    )
    assert (found["s.a.exclusives.ldxr"].status, found["s.a.exclusives.ldxr"].value) == (
        Status.DONE,
        "works",
    )


def test_what_is_judged_besides_stays_a_verdict() -> None:
    outcome = "  # s2eval: value test=a.exclusives name=outcome value=faults"
    assert told(outcome, SEEN, "  ok 1 exclusives")["s.a.exclusives"].status is Status.PASS
    wrong = told(SEEN, "  # reason: it broke", "  not ok 1 exclusives")["s.a.exclusives"]
    assert (wrong.status, reason(wrong)) == (Status.FAIL, "it broke")


def test_an_oops_that_the_guest_survives_is_told_as_one() -> None:
    signal = "# s2eval: error command=stream:/dev/x errno=signal-11"
    lived = told(SEEN, signal, death=OOPS)["s.a.exclusives"]
    assert (lived.status, lived.value, reason(lived)) == (Status.FAIL, "oopsed", OOPS.summary)
    died = told(SEEN, death=OOPS, end=False)["s.a.exclusives"]
    assert (died.status, died.value) == (Status.FAIL, VM_KILLED)


# -- a store that repeats a byte --------------------------------------------------------------


def filled() -> bytearray:
    return bytearray(pattern(SEED, SIZE, FILL))


def damages(data: bytearray) -> list[tuple[str, int, int]]:
    found = check_pattern(data, 0, SIZE, SEED, (), FILL)
    return [(d.kind, d.offset, d.distance) for d in found]


def test_a_filled_block_repeats_the_patterns_byte_at_its_start() -> None:
    whole, plain = filled(), pattern(SEED, SIZE)
    for at in range(0, SIZE, FILL):
        assert whole[at : at + FILL] == plain[at : at + 1] * FILL
    assert damages(whole) == []


WORD = 56  # the last word of a block: its neighbour is of the next one


@pytest.mark.parametrize("kind", ["lost", "stale", "torn", "doubled", "misplaced"])
def test_damage_in_filled_blocks(kind: str) -> None:
    data, want = filled(), filled()
    old = bytes(~b & 0xFF for b in pattern(SEED, SIZE))  # what stood there before
    here, there = slice(WORD, WORD + 8), slice(WORD + 8, WORD + 16)
    if kind == "lost":
        data[here] = bytes(8)
    elif kind == "stale":
        data[here] = old[here]
    elif kind == "torn":
        data[WORD + 4 : WORD + 8] = old[WORD + 4 : WORD + 8]
    elif kind == "doubled":
        data[there] = want[here]
    else:
        data[here], data[there] = want[there], want[here]
    wanted = {
        "doubled": [("doubled", WORD + 8, 8)],
        "misplaced": [("misplaced", WORD, -8), ("misplaced", WORD + 8, 8)],
    }
    assert damages(data) == wanted.get(kind, [(kind, WORD, 0)])


def test_the_host_checks_what_an_accessor_filled() -> None:
    lines = [
        "KTAP version 1",
        "1..1",
        f"# s2eval: expect test=memset_io offset=0 size={SIZE} seed={SEED} fill={FILL}",
        "ok 1 memset_io",
        "# s2eval: end",
    ]
    whole = by_path(observe("s", lines, {}, None, bytes(filled())))["s.memset_io.host"]
    assert whole.status is Status.PASS
    # What a plain store of the pattern leaves is not what was expected.
    other = by_path(observe("s", lines, {}, None, pattern(SEED, SIZE)))["s.memset_io.host"]
    assert other.status is Status.FAIL
    huge = [line.replace(f"fill={FILL}", "fill=99999999") for line in lines]
    refused = by_path(observe("s", huge, {}, None, bytes(filled())))["s.memset_io.host"]
    assert refused.status is Status.ERROR
