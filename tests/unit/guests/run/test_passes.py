# SPDX-License-Identifier: GPL-2.0-only
"""The guests of a cell on one host: which come, in what order, and what the host is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.base.deadline import Deadline
from harness.guests.audit.run_audit import RunAudit
from harness.guests.audit.tables import NO_TABLES
from harness.guests.run import nested_run
from harness.guests.run.passes import LOOK_FOR_LEAKS, GuestImages, SuitePasses
from harness.guests.run.suite_run import SuiteOutcome
from harness.guests.vmm.qemu import QemuVmm
from harness.hosts.host import Completed, HostLost
from harness.hosts.machines.machine import load_machine
from harness.results.failure_kinds import FailureKind
from harness.results.records import Failure
from harness.suites.suite import Suite
from tests.unit.guests.fake_host import WELL, FakeHost, FakeSnapshot, only

NESTED = load_machine("nested-tcg")
DIES = ["KTAP version 1", "1..2", "# s2eval: begin test=a", "ok 1 a", "# s2eval: begin test=b"]
IMAGES = GuestImages(Path("/Image"), Path("/a.cpio"))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nested_run, "LAST_LINES", 0.02)


def suite(tmp_path: Path, **values: object) -> Suite:
    given = {"name": "s", "folder": tmp_path, "description": "", "script": "", **values}
    return Suite.model_validate(given)


def run(host: FakeHost, wanted: Suite) -> tuple[SuiteOutcome, SuitePasses, list[str]]:
    steps: list[str] = []
    passes = SuitePasses(host, QemuVmm(), NESTED, IMAGES, steps.append, host.snapshot)
    host.usable = True
    with RunAudit(host.tables(), {}, {}) as audit:
        return passes.run(wanted, audit), passes, steps


def test_one_guest_that_ends_well(tmp_path: Path) -> None:
    host = FakeHost(NESTED)
    outcome, passes, steps = run(host, suite(tmp_path))
    assert [one.run.lines for one in outcome.passes] == [WELL]
    assert steps == ["start L2", "probe"] and passes.usable and outcome.checks is None
    assert host.asked == [
        "put Image initrd", "put l2", "start . /share/l2", "send ended",
    ]  # fmt: skip


@pytest.mark.parametrize("destructive", [False, True])
def test_a_host_with_kmemleak_looks_for_leaks_once_after_its_last_guest(
    tmp_path: Path, destructive: bool
) -> None:
    begun = [*WELL[:2], "# s2eval: begin test=a", *WELL[2:]]
    host = FakeHost(NESTED, guests=[begun, WELL])
    host.files["kmemleak"] = ""
    run(host, suite(tmp_path, destructive=destructive))
    starts = ["start . /share/l2"] * (2 if destructive else 1)
    assert only(host.asked, "start", "run") == [*starts, f"run {LOOK_FOR_LEAKS}"]


def test_a_host_that_dies_of_the_look_is_a_failure_of_the_last_guest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = FakeHost(NESTED)
    host.files["kmemleak"] = ""

    def die(command: str, deadline: Deadline) -> Completed:
        raise HostLost(Failure(kind=FailureKind.PANIC, summary="Kernel panic", where="L1"))

    monkeypatch.setattr(host, "run", die)
    outcome, passes, _ = run(host, suite(tmp_path))
    failure = outcome.passes[-1].run.failure
    assert failure and failure.kind is FailureKind.PANIC and not passes.usable


def test_a_guest_that_dies_in_a_test_is_followed_by_one_that_goes_on_behind_it(
    tmp_path: Path,
) -> None:
    host = FakeHost(NESTED, guests=[DIES, WELL])
    outcome, _, steps = run(host, suite(tmp_path, guests=3))
    assert [one.run.lines for one in outcome.passes] == [DIES, WELL]
    assert steps == ["start L2", "probe"] * 2
    start = "start . /share/l2"
    assert only(host.asked, "new log", "start") == [start, "new log", start]
    assert outcome.checks and outcome.checks.answers and outcome.checks.device


def test_one_that_dies_there_again_is_the_last(tmp_path: Path) -> None:
    host = FakeHost(NESTED, guests=[DIES, DIES[2:], WELL])
    outcome, _, _ = run(host, suite(tmp_path, guests=3))
    assert len(outcome.passes) == 2


def test_a_host_that_is_lost_ends_it_and_is_not_used_again(tmp_path: Path) -> None:
    host = FakeHost(NESTED, guests=[[*DIES, "!"], WELL])
    outcome, passes, _ = run(host, suite(tmp_path, guests=3))
    (only_one,) = outcome.passes
    assert only_one.run.failure and only_one.run.failure.kind == "panic"
    assert only_one.run.lines == DIES and not passes.usable


def test_after_a_destructive_suite_a_new_guest_gets_the_device_and_the_host_goes(
    tmp_path: Path,
) -> None:
    begun = [*WELL[:2], "# s2eval: begin test=a", *WELL[2:]]
    host = FakeHost(NESTED, guests=[begun, ["KTAP version 1"]])
    outcome, passes, _ = run(host, suite(tmp_path, destructive=True))
    assert outcome.checks and outcome.checks.device and not passes.usable


@pytest.mark.parametrize(
    ("restored", "order"),
    [
        (
            False,
            ["put Image initrd", "put l2", "start . /share/l2",
             'send {"execute": "qmp_capabilities"}', "save", 'send {"execute": "cont"}'],
        ),
        (True, ["wake", 'send {"execute": "cont"}']),
    ],
)  # fmt: skip
def test_the_first_guest_waits_while_its_host_is_saved_and_is_there_when_restored(
    tmp_path: Path, restored: bool, order: list[str]
) -> None:
    host = FakeHost(NESTED)
    host.snapshot = FakeSnapshot(host, restored=restored)
    outcome, _, _ = run(host, suite(tmp_path))
    assert host.asked[: len(order)] == order
    assert outcome.passes[0].run.lines == WELL


AUDIT = "# s2eval: audit mapping=a va=0xffff800008100000 ipa=0x8000000000 size=0x10000"


def audited(lines: Sequence[str]) -> list[str]:
    return [*lines[:2], AUDIT, *lines[2:]]


def test_a_host_without_a_way_to_tables_answers_each_request_with_the_reason(
    tmp_path: Path,
) -> None:
    host = FakeHost(NESTED, guests=[audited(WELL)])
    host.usable = True
    passes = SuitePasses(host, QemuVmm(), NESTED, IMAGES, lambda _: None)
    with RunAudit(host.tables(), {}, {}) as audit:
        passes.run(suite(tmp_path), audit)
    (record,) = audit.records
    assert (record.mapping, record.status, record.detail.reason) == ("a", "SKIP", NO_TABLES)
    assert "send audited" in host.asked
