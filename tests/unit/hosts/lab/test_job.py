# SPDX-License-Identifier: GPL-2.0-only
"""Jobs on a lab host: their shell is run here, with FIFOs in a folder of the test's own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.hosts.events import Event
from harness.hosts.lab import job
from harness.hosts.lab.job import LabJob, job_script, make_ports, port_script

STREAMS = ("l2.vmm", "l2.results")


def test_job_has_ended_when_all_of_its_streams_say_so() -> None:
    made = LabJob(7, "l2.vmm", STREAMS)
    assert made.take(Event("l2.vmm", "s2eval: job-pid 7 123"))
    assert made.pid == 123
    assert made.take(Event("l2.vmm", "s2eval: job-exit 7 3"))
    assert made.status is None, "lines of l2.results may still be on their way"
    assert made.take(Event("l2.results", "s2eval: job-exit 7 3"))
    assert made.status == 3


@pytest.mark.parametrize("line", ["ok 1 writel", "s2eval: job-exit 6 0", None])
def test_other_lines_are_none_of_the_job(line: str | None) -> None:
    made = LabJob(7, "l2.vmm", STREAMS)
    assert not made.take(Event("l2.vmm", line))
    assert made.status is None


def test_lines_of_two_jobs_come_in_order_and_what_is_sent_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "PORTS", str(tmp_path / "ports"))
    subprocess.run(["sh", "-c", make_ports(STREAMS)], check=True)
    readers = {
        name: subprocess.Popen(
            ["sh", "-c", port_script(name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for name in STREAMS
    }
    results = f"{job.PORTS}/l2.results"
    try:
        for number, status in ((1, 3), (2, 0)):
            command = f"read answer < {results}.in; echo $answer > {results}; exit {status}"
            script = job_script(number, command, "l2.vmm", STREAMS)
            subprocess.run(["sh", "-c", script], check=True)
            write_to, read_from = readers["l2.results"].stdin, readers["l2.results"].stdout
            said = readers["l2.vmm"].stdout
            assert write_to and read_from and said
            assert said.readline().startswith(f"s2eval: job-pid {number} ")
            write_to.write(f"answer {number}\n")
            write_to.flush()
            end = f"s2eval: job-exit {number} {status}\n"
            assert [read_from.readline() for _ in range(3)] == [f"answer {number}\n", "\n", end]
            assert [said.readline() for _ in range(2)] == ["\n", end]
    finally:
        for reader in readers.values():
            subprocess.run(["kill", "--", f"-{reader.pid}"], check=True)
            reader.communicate()
