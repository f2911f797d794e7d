# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.results.failure_kinds import FailureKind
from harness.results.records import Failure, Observation, Status
from harness.suites.observe import limited, merge, observe
from harness.suites.pattern import MAX_SIZE, check_pattern, pattern, pattern_word
from tests import data_files

DATA = data_files.DATA / "ktap"
LINES = (DATA / "wcprobe.ktap").read_text().splitlines()
BAR = gzip.decompress((DATA / "wcprobe.bar.gz").read_bytes())
KILLER = "ioremap_wc.unaligned_load"
CUT = (DATA / "wcprobe-nested-6.1-killed.txt").read_text().splitlines()
KVM = Failure(
    kind=FailureKind.KVM_ERROR,
    summary="kvm [55]: Unsupported FSC: EC=0x24 xFSC=0x21 ESR_EL2=0x93c18021",
)


def by_path(found: list[Observation]) -> dict[str, Observation]:
    paths = {o.path: o for o in found}
    assert len(paths) == len(found)
    return paths


def reason(found: Observation) -> str:
    return str(found.detail.get("reason", ""))


# -- a recorded guest -------------------------------------------------------------------------


def test_recorded_guest_and_its_bar() -> None:
    found = by_path(observe("wcprobe", LINES, {}, None, BAR))
    assert {o.status for o in found.values()} == {Status.PASS, Status.DONE}
    assert found["wcprobe.ioremap_wc.stage1"].value == "Normal-NC"
    assert found["wcprobe.ioremap.unaligned_load"].value == "faults"
    hosts = [path for path in found if path.endswith(".host")]
    assert len(hosts) == 7
    speed = found["wcprobe.ioremap_wc.throughput.iowrite64_copy"]
    assert (speed.status, speed.unit, len(speed.samples)) == (Status.DONE, "MB/s", 5)
    assert speed.value == 2752.42
    assert speed.detail["representative"] is False


def test_vm_killed_by_kvm_is_a_fail_with_its_message() -> None:
    found = by_path(observe("wcprobe", CUT, {}, KVM, BAR))
    killed = found[f"wcprobe.{KILLER}"]
    assert (killed.status, killed.value) == (Status.FAIL, "vm-killed")
    assert reason(killed) == KVM.summary
    left = found["wcprobe.ioremap_wc.not_reached"]
    assert (left.status, left.value) == (Status.SKIP, 1)
    assert reason(left) == f"not reached: the guest died in {KILLER}"
    assert "wcprobe.not_reached" not in found
    # What the guest had reported before is kept, and torn lines are nobody's error.
    assert found["wcprobe.ioremap_wc.writel.host"].status is Status.PASS
    assert not any(o.status in (Status.ERROR, Status.MISS) for o in found.values())


@pytest.mark.parametrize("kind", ["deadline", "silence", "vmm-exit", "machine"])
def test_a_death_by_the_harness_is_a_miss(kind: str) -> None:
    death = Failure(kind=FailureKind(kind), summary="no output for 20 s")
    killed = by_path(observe("wcprobe", CUT, {}, death, BAR))[f"wcprobe.{KILLER}"]
    assert (killed.status, killed.value) == (Status.MISS, None)
    assert reason(killed) == "no output for 20 s"


def test_a_stream_that_just_ends_is_a_miss() -> None:
    found = by_path(observe("wcprobe", CUT, {}, None, BAR))
    assert found[f"wcprobe.{KILLER}"].status is Status.MISS
    found = by_path(observe("wcprobe", CUT[:-1], {}, None, BAR))
    assert found["wcprobe.end"].status is Status.MISS


def test_whole_mappings_not_reached_are_told() -> None:
    end = LINES.index("  # Subtest: ioremap_np")
    left = by_path(observe("wcprobe", LINES[:end], {}, KVM, BAR))["wcprobe.not_reached"]
    assert (left.status, left.value) == (Status.SKIP, 2)


# -- what the machine cannot show -------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["*.unaligned_*", "unaligned_load", "ioremap.unaligned_load"])
def test_a_limit_makes_a_verdict_a_skip(pattern: str) -> None:
    lines = (DATA / "wcprobe-qemu7.ktap").read_text().splitlines()
    found = by_path(observe("wcprobe", lines, {pattern: "no alignment faults"}, None, None))
    load = found["wcprobe.ioremap.unaligned_load"]
    assert (load.status, reason(load)) == (Status.SKIP, "no alignment faults")
    assert (load.value, load.detail["seen"]) == ("works", "FAIL")
    assert found["wcprobe.ioremap.stage1"].status is Status.PASS
    without = by_path(observe("wcprobe", lines, {}, None, None))
    assert without["wcprobe.ioremap.unaligned_load"].status is Status.FAIL


def test_a_limit_does_not_hide_that_the_guest_died() -> None:
    found = by_path(observe("wcprobe", CUT, {"unaligned_load": "no"}, KVM, BAR))
    assert found[f"wcprobe.{KILLER}"].status is Status.FAIL


def test_needs_of_a_suite_select_limits() -> None:
    needs = {"*.unaligned_*": ["device-alignment", "timing"], "*.writel": ["other"]}
    limits = {"device-alignment": "it never faults", "unused": "x"}
    assert limited(needs, limits) == {"*.unaligned_*": "it never faults"}


# -- statuses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("ok 1 a", Status.PASS),
        ("not ok 1 a", Status.FAIL),
        ("ok 1 a # SKIP because", Status.SKIP),
        ("not ok 1 a # SKIP because", Status.SKIP),
        ("not ok 1 a # ERROR because", Status.ERROR),
        ("not ok 1 a # TIMEOUT 45 seconds", Status.MISS),
        ("not ok 1 a # XFAIL because", Status.DONE),
        ("not ok 1 a # TODO because", Status.DONE),
    ],
)
def test_status_of_a_result(line: str, status: Status) -> None:
    lines = ["KTAP version 1", "1..1", "# reason: it broke", line, "# s2eval: end"]
    found = by_path(observe("s", lines, {}, None, None))
    assert found["s.a"].status is status
    assert list(found) == ["s.a"]
    wanted = {"ok 1 a": "", "not ok 1 a": "it broke"}
    assert reason(found["s.a"]) == wanted.get(line, line.partition(" # ")[2].partition(" ")[2])


def test_a_stream_against_the_protocol_is_the_suites_error() -> None:
    lines = ["KTAP version 1", "1..1", "ok 2 a", "ok 2 a", "# s2eval: end"]
    found = by_path(observe("s", lines, {}, None, None))
    assert found["s.ktap"].status is Status.ERROR
    assert "'a' came 2 times" in reason(found["s.ktap"])
    assert found["s.a"].status is found["s.a~2"].status is Status.PASS


def test_a_command_that_failed_is_an_error() -> None:
    lines = ["# s2eval: error command=insmod:x.ko errno=ENODEV", "# s2eval: end"]
    found = by_path(observe("s", lines, {}, None, None))
    assert found["s.command.insmod:x.ko"].status is Status.ERROR
    assert reason(found["s.command.insmod:x.ko"]) == "insmod:x.ko of the suite failed: ENODEV"


@given(st.lists(st.text(max_size=40), max_size=30), st.booleans())
def test_no_lines_raise(lines: list[str], died: bool) -> None:
    by_path(observe("s", lines, {"*": "x"}, KVM if died else None, b""))


def test_a_second_guest_goes_on_where_the_first_died() -> None:
    first = observe("wcprobe", CUT, {}, KVM, BAR)
    head = ["KTAP version 1", "1..1", "  KTAP version 1", "  # Subtest: ioremap_wc", "  1..1"]
    tail = ["  ok 1 unaligned_store", "ok 1 ioremap_wc", "# s2eval: end"]
    found = by_path(merge([first, observe("wcprobe", head + tail, {}, None, BAR)]))
    assert found["wcprobe.ioremap_wc.unaligned_store"].status is Status.PASS
    assert found[f"wcprobe.{KILLER}"].status is Status.FAIL
    assert "wcprobe.ioremap_wc.not_reached" not in found


# -- the host's side --------------------------------------------------------------------------

SEED = 0xE00000000
BASE, SIZE = 0x40, 256


def memory() -> bytearray:
    return bytearray(BASE) + bytearray(pattern(SEED, SIZE)) + bytearray(64)


def kinds(data: bytes | bytearray, older: tuple[int, ...] = ()) -> list[tuple[str, int, int]]:
    return [(d.kind, d.offset, d.size) for d in check_pattern(data, BASE, SIZE, SEED, older)]


def test_pattern_is_splitmix64() -> None:
    """The first two outputs for seed 0, as published with the algorithm."""
    golden = 0x9E3779B97F4A7C15
    assert pattern_word(0, 0) == 0xE220A8397B1DCDAF
    assert pattern_word(golden, 0) == 0x6E789E6AA1B965F4
    assert pattern_word(0, 5) == pattern_word(5, 0)
    assert pattern(0, 11) == pattern(0, 16)[:11]


def test_undamaged() -> None:
    assert kinds(memory()) == []


WORD = st.integers(0, SIZE // 8 - 1)


@given(WORD, st.sampled_from([0, 0xFF]))
def test_lost_word(index: int, fill: int) -> None:
    data, at = memory(), BASE + 8 * index
    data[at : at + 8] = bytes([fill]) * 8
    assert kinds(data) == [("lost", at, 8)]


@given(WORD, st.integers(1, 7), st.booleans())
def test_torn_word(index: int, arrived: int, first_half: bool) -> None:
    data, at = memory(), BASE + 8 * index
    lost = slice(at + arrived, at + 8) if first_half else slice(at, at + arrived)
    inverse = bytes(~b & 0xFF for b in data[lost])
    data[lost] = inverse
    assert kinds(data) == [("torn", at, 8)]


@given(st.integers(1, SIZE // 8 - 1), st.sampled_from([-1, 1]))
def test_doubled_store_to_the_neighbour(index: int, side: int) -> None:
    data = memory()
    source = index if side < 0 else index - 1
    at, origin = BASE + 8 * (source + side), BASE + 8 * source
    data[at : at + 8] = data[origin : origin + 8]
    damage = check_pattern(data, BASE, SIZE, SEED)
    assert [(d.kind, d.offset, d.distance) for d in damage] == [("doubled", at, 8 * side)]


@given(WORD, WORD)
def test_swapped_words(one: int, other: int) -> None:
    data = memory()
    a, b = BASE + 8 * one, BASE + 8 * other
    data[a : a + 8], data[b : b + 8] = data[b : b + 8], data[a : a + 8]
    damage = check_pattern(data, BASE, SIZE, SEED)
    wanted = {(a, a - b), (b, b - a)} if one != other else set()
    assert {(d.offset, d.distance) for d in damage} == wanted
    assert all(d.kind == "misplaced" for d in damage)


@given(st.integers(-40, 40).filter(bool))
def test_shifted_block(shift: int) -> None:
    data = bytearray(BASE + SIZE + 64)
    data[BASE + shift : BASE + shift + SIZE] = pattern(SEED, SIZE)
    damage = check_pattern(data, BASE, SIZE, SEED)
    moved = [d for d in damage if d.kind == "misplaced"]
    assert [d.distance for d in moved] == [shift]
    assert moved[0].size >= SIZE - abs(shift) - 8


@given(WORD)
def test_stale_words(index: int) -> None:
    older, data, at = 77, memory(), BASE + 8 * index
    data[at : at + 8] = pattern(older, SIZE)[8 * index : 8 * index + 8]
    assert kinds(data, (older,)) == [("stale", at, 8)]
    inverse = memory()
    inverse[at : at + 8] = bytes(~b & 0xFF for b in memory()[at : at + 8])
    assert kinds(inverse) == [("stale", at, 8)]


@given(st.integers(0, SIZE - 1), st.integers(1, 255))
def test_every_changed_byte_is_seen(index: int, flip: int) -> None:
    data = memory()
    data[BASE + index] ^= flip
    found = kinds(data)
    assert [(at, size) for _, at, size in found] == [(BASE + index // 8 * 8, 8)]


def test_memory_that_ends_too_early() -> None:
    assert kinds(memory()[: BASE + 24]) == [("missing", BASE + 24, SIZE - 24)]
    assert kinds(b"") == [("missing", BASE, SIZE)]


@pytest.mark.parametrize(("offset", "size"), [(-1, 8), (0, -8), (0, MAX_SIZE + 1), (0, 1 << 60)])
def test_sizes_no_guest_means(offset: int, size: int) -> None:
    with pytest.raises(ValueError, match="cannot check"):
        check_pattern(b"", offset, size, 1)
    line = f"# s2eval: expect test=a offset={offset} size={size} seed=1"
    found = by_path(observe("s", ["1..1", "ok 1 a", line, "# s2eval: end"], {}, None, b""))
    assert found["s.a.host"].status is Status.ERROR


def test_host_finds_damage_in_the_recorded_bar() -> None:
    damaged = bytearray(BAR)
    damaged[0x21008:0x21010] = bytes(8)
    found = by_path(observe("wcprobe", LINES, {}, None, damaged))
    host = found["wcprobe.ioremap_wc.writel.host"]
    assert host.status is Status.FAIL
    assert reason(host).startswith("lost: 8 bytes at 0x21008")
    assert [p for p, o in found.items() if o.status is Status.FAIL] == [host.path]


def test_host_cannot_see() -> None:
    found = by_path(observe("wcprobe", LINES, {}, None, None))
    hosts = [o for path, o in found.items() if path.endswith(".host")]
    assert {o.status for o in hosts} == {Status.SKIP}


def test_a_pattern_that_was_overwritten_is_not_judged() -> None:
    expect = "# s2eval: expect test={} offset={} size=16 seed={}"
    lines = [expect.format("a", 0, 1), expect.format("b", 8, 2), "# s2eval: end"]
    found = by_path(observe("s", lines, {}, None, bytes(8) + pattern(2, 16)))
    assert (found["s.a.host"].status, reason(found["s.a.host"])) == (
        Status.SKIP,
        "overwritten by b",
    )
    assert found["s.b.host"].status is Status.PASS
