# SPDX-License-Identifier: GPL-2.0-only
"""The power switch behind real commands: a file says whether it is on."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.base.deadline import Deadline
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.hostfile import HostFile, PowerCommands
from harness.hosts.lab.power import Power

PATIENCE = 60.0  # seconds; only a failing test waits that long


def power(tmp_path: Path, **commands: str) -> Power:
    """A switch whose commands write to, and print, the file `state`."""
    state = tmp_path / "state"
    usual = {
        "on": f"echo Chassis Power is on > {state}; echo on >> {tmp_path}/did",
        "off": f"echo Chassis Power is off > {state}; echo off >> {tmp_path}/did",
        "status": f"cat {state}",
    }
    host = HostFile(
        name="bench",
        address="bench",
        power=PowerCommands(**(usual | commands)),
        limits={"power": 0.6},  # type: ignore[arg-type]
    )
    return Power(host)


def test_it_is_switched_and_looked_at(tmp_path: Path) -> None:
    switch = power(tmp_path)
    switch.on(Deadline(PATIENCE))
    assert switch.status(Deadline(PATIENCE)) == "on"
    switch.off(Deadline(PATIENCE))
    assert switch.status(Deadline(PATIENCE)) == "off"


def test_without_a_cycle_it_is_off_and_on(tmp_path: Path) -> None:
    switch = power(tmp_path)
    assert switch.can("cycle")
    switch.cycle(Deadline(PATIENCE))
    assert (tmp_path / "did").read_text() == "off\non\n"


def test_a_cycle_of_its_own(tmp_path: Path) -> None:
    cycle = f"echo is on > {tmp_path}/state; echo cycle >> {tmp_path}/did"
    power(tmp_path, cycle=cycle).cycle(Deadline(PATIENCE))
    assert (tmp_path / "did").read_text() == "cycle\n"


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("Chassis Power is on", "on"),
        ("Chassis Power is off", "off"),
        ("running", "on"),
        ("shut off", "off"),
        ("Port 2: 0000 off", "off"),
        ("power: 1", "on"),
    ],
)
def test_what_tools_say(tmp_path: Path, said: str, state: str) -> None:
    assert power(tmp_path, status=f"echo '{said}'").status(Deadline(PATIENCE)) == state


def test_one_that_fails_is_the_labs_fault(tmp_path: Path) -> None:
    command = "echo 'Error: Unable to establish IPMI session' >&2; exit 1"
    with pytest.raises(LabError, match="ended with 1: Error: Unable to establish") as error:
        power(tmp_path, on=command).on(Deadline(PATIENCE))
    assert error.value.step is Step.POWER


def test_one_that_lies_is_caught(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("is on\n")
    with pytest.raises(LabError, match="switched off, but its status is still on"):
        power(tmp_path, off="true").off(Deadline(PATIENCE))


def test_one_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"did not end within 0.6 s \(power in \[limits\]"):
        power(tmp_path, on="sleep 4741").on(Deadline(PATIENCE))


def test_a_status_that_says_nothing_of_it(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="says neither on nor off: maybe"):
        power(tmp_path, status="echo maybe").status(Deadline(PATIENCE))


def test_without_commands(tmp_path: Path) -> None:
    switch = power(tmp_path, on="", off="", status="")
    assert not switch.can("cycle") and not switch.can("on")
    assert switch.status(Deadline(PATIENCE)) == "unknown"
    with pytest.raises(LabError, match=r"no command for 'on' in \[power\]"):
        switch.on(Deadline(PATIENCE))
