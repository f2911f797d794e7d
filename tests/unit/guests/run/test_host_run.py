# SPDX-License-Identifier: GPL-2.0-only
"""A suite on the host itself: its requests are answered, and the end of suite and host is told."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.base.deadline import Deadline
from harness.guests.audit.leaf import LeafAudit
from harness.guests.run import host_run
from harness.guests.run.host_run import OUTPUT, RESULTS, HostRun, begin_script
from harness.guests.run.suite_run import SuiteRun
from harness.hosts.host import HostLost
from harness.hosts.machines.machine import load_machine
from harness.results.failure_kinds import FailureKind
from tests.unit.guests.fake_host import PATIENCE, FakeHost, only
from tests.unit.suites.vma_runs import DEVICE, recorded

# As the suite writes them: the harness has not added its lines yet.
WHOLE = [line for line in recorded(DEVICE) if " leaf " not in line and "# audit: " not in line]
REQUEST = "# s2eval: audit mapping="


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_run, "LAST_LINES", 0.02)


def run(lines: Sequence[str]) -> tuple[SuiteRun, FakeHost]:
    host = FakeHost(load_machine("host-tcg"), guests=[lines], results=RESULTS, output=OUTPUT)
    with LeafAudit(host.tables()) as audit:
        one = HostRun(host, audit)
        one.start("/share/initrd", Deadline(PATIENCE))
        try:
            return one.finish(Deadline(PATIENCE)), host
        except HostLost as lost:
            return one.lost(lost), host


def test_each_request_is_answered_and_the_answer_stands_behind_it() -> None:
    done, host = run(WHOLE)
    requests = [line for line in WHOLE if line.startswith(REQUEST)]
    assert len(requests) > 300
    assert (done.failure, done.ended) == (None, True)
    assert len(only(host.asked, "send audited")) == len(requests)
    assert only(host.asked, "send ended") == ["send ended"]
    at = done.lines.index(requests[0])
    assert done.lines[at + 1] == "# audit: this host has no way to the page tables of its guests"
    assert done.lines[at + 2].startswith("# s2eval: leaf test=bar.noncached.4k.load stage2=unread")


def test_a_suite_that_ends_early_is_told_with_its_last_words() -> None:
    done, _ = run(WHOLE[:40])
    assert done.failure and done.failure.kind is FailureKind.VMM_EXIT
    assert done.failure.summary.startswith("the suite ended early, with status 0")


def test_a_host_that_dies_is_the_failure_and_what_was_said_is_kept() -> None:
    done, _ = run([*WHOLE[:40], "!"])
    assert done.failure and done.failure.kind is FailureKind.PANIC
    assert [line for line in done.lines if line in WHOLE] == WHOLE[:40]


def test_the_script_is_shell_that_fails_where_there_is_no_archive(tmp_path: Path) -> None:
    script = begin_script("/none/initrd").replace("/run/suite", str(tmp_path / "root"))
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "/none/initrd" in done.stderr
