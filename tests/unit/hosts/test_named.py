# SPDX-License-Identifier: GPL-2.0-only
"""Machines by name: those of this computer, and lab hosts, of whose file nothing is asked here."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.guests.usable import offers_of, unusable
from harness.hosts.named import load_machine

HOST = """
address = "root@grace.example"
[device]
bdf = "0000:01:00.0"
bar = 2
pci = "1af4:1110"
writable = "all"
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    path = tmp_path / "grace.toml"
    path.write_text(HOST)
    return path


def test_lab_host_is_a_machine_whose_device_is_the_known_one_with_its_ids(host: Path) -> None:
    machine = load_machine(f"lab:{host}")
    assert (machine.name, machine.topology, machine.accel) == ("lab:grace", "lab", "kvm")
    assert (machine.device_bdf, machine.device.bar) == ("0000:01:00.0", 2)
    assert offers_of(machine).device == "ivshmem-plain"
    assert unusable(machine) is None, "this computer's KVM has nothing to do with it"
    assert "grace" in machine.key("boot")


def test_figures_of_a_virtual_machine_do_not_count(host: Path) -> None:
    host.write_text(f"virtual = true\n{HOST}")
    assert load_machine(f"lab:{host}").fill("@real") == "0"
    host.write_text(HOST)
    assert load_machine(f"lab:{host}").fill("@real") == "1"


def test_suites_do_not_run_where_they_may_not_write(host: Path) -> None:
    host.write_text(HOST.replace('"all"', '"0x0-0xfff"'))
    assert "lets suites write 0x0-0xfff" in (unusable(load_machine(f"lab:{host}")) or "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('address = "root@grace.example"\n', "has no [device]"),
        (f'owners = ["nobody-at-all"]\n{HOST}', "is not for"),
        (HOST.replace("0000:01", "01"), "bdf"),
    ],
)
def test_host_that_cannot_be_used_is_told_in_a_line(host: Path, text: str, words: str) -> None:
    host.write_text(text)
    with pytest.raises(UsageError) as raised:
        load_machine(f"lab:{host}")
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_cpu_of_a_real_machine_cannot_be_chosen(host: Path) -> None:
    with pytest.raises(UsageError, match="its CPU cannot be chosen"):
        load_machine(f"lab:{host}", cpu="max")


def test_machine_of_this_computer_is_none_of_a_lab() -> None:
    assert load_machine("nested-tcg", cpu="cortex-a72").cpu == "cortex-a72"
    with pytest.raises(UsageError, match="unknown host"):
        load_machine("lab:nobody")
