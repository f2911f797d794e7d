# SPDX-License-Identifier: GPL-2.0-only
"""A suite on L1 itself: which L1s boot for it, with which command line, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.guests.placement import host as placement
from harness.guests.placement import placement_of
from harness.guests.placement.host import HostPlacement
from harness.guests.run import host_run
from harness.guests.run.host_run import OUTPUT, RESULTS, STREAMS
from harness.hosts.machines.machine import Machine, load_machine
from harness.hosts.qemu.binary import QemuBinary
from tests.unit.guests.fake_host import WELL, FakeHost, only
from tests.unit.guests.placement.test_nested import Cell

MACHINE = load_machine("host-tcg")
DIES = [*WELL[:2], "# s2eval: begin test=a", "!"]


class L1(FakeHost):
    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__(MACHINE, guests=[lines], results=RESULTS, output=OUTPUT)

    def __enter__(self) -> L1:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


Hosts = Callable[..., list[str]]


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    """The L1s that are made, one after the other; what is added to the command line of each."""
    monkeypatch.setattr(host_run, "LAST_LINES", 0.02)

    def use(*made: L1) -> list[str]:
        left, appended = list(made), []

        def make(
            machine: Machine, _: QemuBinary, __: Path, streams: Sequence[str], **_more: object
        ) -> L1:
            assert tuple(streams) == STREAMS
            appended.append(machine.append)
            return left.pop(0)

        monkeypatch.setattr(placement, "L1Host", make)
        return appended

    return use


def test_the_suite_runs_on_an_l1_of_its_own(tmp_path: Path, hosts: Hosts) -> None:
    l1 = L1(WELL)
    appended = hosts(l1)
    cell = Cell(tmp_path, "host-tcg")
    outcome = HostPlacement().run(cell.context)
    assert outcome.lines == WELL
    assert appended == ["mem=768M hugepages=4 s2eval.audit=1"]
    assert cell.seen == ["start L1", "started False", "boot L1", "probe", "end L1", "-"]
    assert only(l1.asked, "put", "close") == ["put initrd", "put begin", "close"]
    assert outcome.checks and outcome.checks.answers and outcome.checks.log is None
    assert not outcome.checks.has_guests


def test_where_l1_dies_in_a_test_the_next_one_goes_on_behind_it(
    tmp_path: Path, hosts: Hosts
) -> None:
    appended = hosts(L1(DIES), L1(WELL))
    outcome = HostPlacement().run(Cell(tmp_path, "host-tcg", guests=8).context)
    assert [bool(one.run.failure) for one in outcome.passes] == [True, False]
    assert appended[1] == "mem=768M hugepages=4 s2eval.audit=1 s2eval.after=a"


@pytest.mark.parametrize(
    ("guests", "lines"), [(1, [DIES]), (8, [DIES, DIES]), (8, [[*WELL[:2], "!"]])]
)
def test_no_more_l1s_than_are_allowed_and_of_use(
    tmp_path: Path, hosts: Hosts, guests: int, lines: list[list[str]]
) -> None:
    appended = hosts(*(L1(one) for one in lines))
    outcome = HostPlacement().run(Cell(tmp_path, "host-tcg", guests=guests).context)
    assert len(appended) == len(outcome.passes) == len(lines)
    assert outcome.passes[-1].run.failure
    assert outcome.checks and not outcome.checks.answers


def test_what_it_is(tmp_path: Path) -> None:
    place = placement_of(MACHINE)
    assert (place.name, place.el2, place.has_guest, place.needs_userland) == (
        "host", True, False, True,
    )  # fmt: skip
    assert place.guest_script(MACHINE, str, "") == host_run.begin_script("/share/initrd")
