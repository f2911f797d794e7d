# SPDX-License-Identifier: GPL-2.0-only
"""What the trace of a real run says, and that each kind of damage to it is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.hosts.machines.machine import load_device
from harness.results.records import Observation, Status
from harness.suites.device_trace import (
    Access,
    Config,
    events,
    observe_trace,
    trace_observations,
    widths,
)
from harness.suites.facts import Trace
from harness.suites.ktap import parse_lines
from tests import data_files

DATA = data_files.DATA / "traces"
REGION, BDF = load_device("nvme").traced, "0000:00:10.0"


def recorded(name: str) -> tuple[list[Trace], list[str]]:
    facts = parse_lines((DATA / f"{name}.ktap").read_text().splitlines()).facts
    lines = (DATA / f"{name}.trace").read_text().splitlines()
    return [fact for fact in facts if isinstance(fact, Trace)], lines


def observed(facts: list[Trace], lines: list[str]) -> dict[str, Observation]:
    return {o.path: o for o in observe_trace("s", facts, lines, REGION, BDF)}


def reason(name: str, test: str, change: Callable[[list[str]], list[str]]) -> str:
    """Why `test` is FAIL once `change` was done to the recorded trace."""
    facts, lines = recorded(name)
    verdict = observed(facts, change(lines))[f"s.{test}.device"]
    assert verdict.status is Status.FAIL
    return str(verdict.detail["reason"])


def at(lines: list[str], text: str) -> int:
    return next(i for i, line in enumerate(lines) if text in line)


def test_a_real_run_is_as_it_must_be() -> None:
    seen = observed(*recorded("transactions"))
    assert {o.status for path, o in seen.items() if path.endswith(".device")} == {Status.PASS}
    assert seen["s.ioremap_wc.writel.count"].value == 1
    assert seen["s.ioremap_wc.writel.widths"].value == "4"
    assert seen["s.ioremap_wc.__iowrite32_copy.widths"].value == "16x4"
    assert seen["s.ioremap_wc.__iowrite64_copy.widths"].value == "8x8"
    assert seen["s.ioremap_wc.doorbell.widths"].value == "8x8+1x4"
    assert seen["s.ioremap_wc.doorbell.count"].status is Status.DONE
    assert "one by one" in seen["s.ioremap_wc.doorbell.device"].detail["limit"]
    assert "limit" not in seen["s.ioremap_wc.writel.device"].detail


def test_a_real_reset_is_as_it_must_be() -> None:
    seen = observed(*recorded("reset"))
    assert seen["s.flr.device"].status is Status.PASS
    assert seen["s.decode_off.device"].status is Status.PASS
    assert seen["s.flr.count"].value == 64
    assert "one by one" in seen["s.flr.device"].detail["limit"]


def test_a_lost_store_is_seen() -> None:
    def lose(lines: list[str]) -> list[str]:
        i = at(lines, "addr 0x80000d9008 ")
        return lines[:i] + lines[i + 1 :]

    assert "8 bytes reached the device never, from 0xd9008" in reason(
        "transactions", "ioremap_wc.__iowrite64_copy", lose
    )


def test_a_doubled_store_is_seen() -> None:
    def double(lines: list[str]) -> list[str]:
        i = at(lines, "addr 0x80000cc000 ")
        return [*lines[:i], lines[i], *lines[i:]]

    told = reason("transactions", "ioremap_wc.writel", double)
    assert "2 accesses (2x4) instead of at most 1" in told
    assert "4 bytes reached the device more than once" in told


def test_a_torn_store_is_seen() -> None:
    def tear(lines: list[str]) -> list[str]:
        i = at(lines, "addr 0x80000d2000 ")
        line = lines[i].replace("size 8", "size 4")
        low = line[: line.index(" value")]
        value = int(line.split("value ")[1].split()[0], 16)
        halves = [
            f"{low} value {value & 0xFFFFFFFF:#x} size 4 name 'nvme-cmb'",
            f"{low.replace('d2000', 'd2004')} value {value >> 32:#x} size 4 name 'nvme-cmb'",
        ]
        return lines[:i] + halves + lines[i + 1 :]

    told = reason("transactions", "ioremap_wc.writeq", tear)
    assert told == "2 accesses (2x4) instead of at most 1"


def test_a_wrong_byte_and_a_wrong_place_are_seen() -> None:
    def corrupt(lines: list[str]) -> list[str]:
        i = at(lines, "addr 0x80000cc000 ")
        head, value, tail = lines[i].partition("value 0x")
        digit = "1" if tail[0] != "1" else "2"
        return [*lines[:i], head + value + digit + tail[1:], *lines[i + 1 :]]

    def displace(lines: list[str]) -> list[str]:
        return [line.replace("0x80000d9008 ", "0x80000d9108 ") for line in lines]

    told = reason("transactions", "ioremap_wc.writel", corrupt)
    assert told == "the bytes are not those that were written"
    told = reason("transactions", "ioremap_wc.__iowrite64_copy", displace)
    assert "8 bytes elsewhere, from 0xd9108" in told


def test_a_doorbell_that_overtakes_its_buffer_is_seen() -> None:
    def overtake(lines: list[str]) -> list[str]:
        bell, last = at(lines, "addr 0x80000df040 "), at(lines, "addr 0x80000df038 ")
        lines[bell], lines[last] = lines[last], lines[bell]
        return lines

    told = reason("transactions", "ioremap_wc.doorbell", overtake)
    assert told == "the access at 0xdf040 was not the last one"


def test_a_store_that_comes_after_the_marker_is_seen() -> None:
    def delay(lines: list[str]) -> list[str]:
        store, end = at(lines, "addr 0x80000cc000 "), at(lines, "value 0x5335004c ")
        return [*lines[:store], *lines[store + 1 : end + 1], lines[store], *lines[end + 1 :]]

    told = reason("transactions", "ioremap_wc.writel", delay)
    assert "1 stores came after what must come after them" in told


def test_the_second_marker_again_ends_the_look_out() -> None:
    facts, lines = recorded("transactions")
    store, end = at(lines, "addr 0x80000cc000 "), at(lines, "value 0x5335004c ")
    changed = [*lines[: end + 1], lines[end], lines[store], *lines[end + 1 :]]
    assert observed(facts, changed)["s.ioremap_wc.writel.device"].status is Status.PASS


def test_a_store_during_a_reset_is_seen() -> None:
    def late(lines: list[str]) -> list[str]:
        store, flr = at(lines, "addr 0x80000011f8 "), at(lines, "@0x88 <- 0x8000")
        return [*lines[:store], *lines[store + 1 : flr + 1], lines[store], *lines[flr + 1 :]]

    assert "1 accesses reached a device that was being reset" in reason("reset", "flr", late)


@pytest.mark.parametrize(("stores", "held"), [(1, False), (2, True)])
def test_of_another_cpu_one_store_may_be_in_flight(stores: int, held: bool) -> None:
    facts, lines = recorded("reset")
    store, off = at(lines, "addr 0x80000011f8 "), at(lines, "@0x88 <- 0x8000")
    racing = [replace(fact, size=0) if fact.test == "flr" else fact for fact in facts]
    changed = [*lines[: off + 1], *[lines[store]] * stores, *lines[off + 1 :]]
    told = observed(racing, changed)["s.flr.device"].detail.get("reason", "")
    assert ("1 accesses reached a device that was being reset" in told) is held


def test_a_reset_that_never_came_is_seen() -> None:
    def no_flr(lines: list[str]) -> list[str]:
        return [line for line in lines if "@0x88 <- 0x8000" not in line]

    def always_on(lines: list[str]) -> list[str]:
        return [line for line in lines if "@0x4 <- 0x0" not in line]

    assert reason("reset", "flr", no_flr) == "the device was not reset"
    assert reason("reset", "decode_off", always_on) == "the device was not switched off"


def test_too_few_accesses_are_seen() -> None:
    facts, lines = recorded("transactions")
    io = Trace(facts[0].test, facts[0].marker, 0, "read", 0, 0, 0, least=2)
    verdict = observed([io], lines)[f"s.{io.test}.device"]
    assert verdict.detail["reason"] == "1 accesses instead of at least 2"


def test_a_guest_that_died_in_between() -> None:
    facts, lines = recorded("transactions")
    cut = lines[: at(lines, "value 0x5335004c ")]
    seen = observed(facts, cut)
    assert seen["s.ioremap_wc.writel.device"].detail["reason"] == (
        "the accessor never came to its end"
    )
    assert seen["s.ioremap_wc.doorbell.device"].status is Status.MISS


def test_without_a_trace_nothing_is_judged() -> None:
    facts, _ = recorded("transactions")
    seen = observe_trace("s", facts, None, "", BDF)
    assert {o.status for o in seen} == {Status.SKIP} and len(seen) == len(facts)


def test_a_suite_without_trace_lines_needs_no_file(tmp_path: Path) -> None:
    assert trace_observations("s", ["1..0"], tmp_path / "none", REGION, BDF) == []
    lines = (DATA / "reset.ktap").read_text().splitlines()
    assert len(trace_observations("s", lines, DATA / "reset.trace", REGION, BDF)) == 6
    flat = trace_observations("s", lines, tmp_path / "none", "", BDF)
    assert {o.status for o in flat} == {Status.SKIP}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "memory_region_ops_write name 'nvme-cmb'",
        "memory_region_ops_write cpu 0 mr 0x1 addr 0x0 value 0x5b size 4 name 'pl011'",
        "pci_cfg_write nvme 00:11.0 @0x4 <- 0x0",
        "\x00\xff garbage name 'nvme-cmb'",
    ],
)
def test_other_lines_are_passed_over(line: str) -> None:
    assert list(events([line], REGION, BDF)) == []


def test_lines_of_the_device() -> None:
    access = (
        "memory_region_ops_read cpu 1 mr 0x1 addr 0x8000000004 value 0xff size 1 name 'nvme-cmb'"
    )
    found = list(events([access, "pci_cfg_write nvme 00:10.0 @0x4 <- 0x402"], REGION, BDF))
    assert found == [Access(False, 0x8000000004, 0xFF, 1, REGION), Config(4, 0x402)]


def test_widths() -> None:
    def of(*sizes: int) -> str:
        return widths([Access(True, 0, 0, size, REGION) for size in sizes])

    assert of(4) == "4" and of(8, 8) == "2x8" and of(8, 4, 8) == "2x8+1x4"
