# SPDX-License-Identifier: GPL-2.0-only
"""The QEMU and the doctor's report of the machine the tests run on."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness.app.doctor import doctor, render
from harness.base import paths
from harness.base.deadline import Deadline
from harness.base.errors import ExitCode
from harness.guests.start_check import why_no_start
from harness.guests.usable import unusable
from harness.hosts.machines.machine import list_machines, load_machine
from harness.hosts.qemu.binary import find_qemu


def test_the_qemu_found_runs_and_is_new_enough() -> None:
    qemu = find_qemu()
    assert qemu.version_info >= (10, 0)
    said = subprocess.run(
        [qemu.path, *qemu.args, "--version"], capture_output=True, text=True, check=True
    ).stdout
    assert said.splitlines()[0] == f"QEMU emulator version {qemu.version}"
    listed = subprocess.run(
        [qemu.path, *qemu.args, "-M", "help"], capture_output=True, text=True, check=True
    ).stdout
    assert "\nvirt " in listed


def test_the_doctor_finds_all_that_is_needed() -> None:
    report = doctor()
    assert report.ok, "\n".join(render(report))
    machines = {machine.name: machine for machine in report.machines}
    assert {"s2-alignment", "fwb"} <= set(machines["nested-tcg"].shows)
    assert "fwb" in machines["nested-tcg-cortex-a72"].limits
    assert "timing" in machines["nested-tcg"].limits
    if platform.machine() != "aarch64":
        assert "arm64 host" in machines["nested-kvm"].skipped


# Arguments of a device, and what QEMU (10.0 and later) says of it.
LACKING = {
    "device": ("-device no-such", "-device no-such: 'no-such' is not a valid device model name"),
    "rom": ("-device edu,romfile=no-such.bin", 'failed to find romfile "no-such.bin"'),
    "property": ("-device edu,no-such=1", "Property 'edu.no-such' not found"),
    "option": ("-machine no-such=on -device edu", "machine.no-such' not found"),
}


def test_the_doctor_names_what_qemu_lacks_for_a_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, folder = paths.PROJECT / "qemu-configs", tmp_path / "qemu-configs"
    folder.mkdir()
    for path in own.glob("*.j2"):
        shutil.copy(path, folder)
    for name in ("flat-tcg", "nested-tcg", "flat-tcg-bochs", "flat-tcg-testdev"):
        shutil.copy(own / f"{name}.toml", folder)
    shutil.copytree(own / "devices", folder / "devices")
    edu = (folder / "devices/edu.toml").read_text()
    for name, (arguments, _) in LACKING.items():
        device = edu.partition("arguments = ")[0] + f'arguments = "{arguments}"\n'
        (folder / f"devices/{name}.toml").write_text(device)
        for base in ("flat", "nested"):
            text = f'extends = "{base}-tcg"\ndevice = "{name}"\n'
            (folder / f"{base}-{name}.toml").write_text(text)
    testdev = folder / "devices/pci-testdev.toml"
    testdev.write_text(testdev.read_text().replace('qemu = "10.1"', 'qemu = "99.1"'))
    monkeypatch.setattr(paths, "PROJECT", tmp_path)
    monkeypatch.chdir(tmp_path)
    report = doctor()
    machines = {machine.name: machine for machine in report.machines}
    for name, (_, words) in LACKING.items():
        for base in ("flat", "nested"):
            problem = machines[f"{base}-{name}"].problem
            assert problem.startswith("QEMU does not start: ") and words in problem
            assert f"  {base}-{name}: {problem}" in render(report)
    for name in ("flat-tcg", "nested-tcg", "flat-tcg-bochs"):
        assert (machines[name].problem, machines[name].skipped) == ("", "")
    assert "pci-testdev needs QEMU 99.1" in machines["flat-tcg-testdev"].skipped
    assert not report.ok and report.exit_code is ExitCode.UNDECIDED


def test_a_start_takes_no_kernel_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    qemu = find_qemu()
    made = [load_machine(name) for name in list_machines()]
    for machine in made:
        if not unusable(machine, qemu):
            assert why_no_start(machine, qemu, Deadline(60)) == ""
    assert not list(tmp_path.iterdir())
    late = why_no_start(load_machine("flat-tcg"), qemu, Deadline(0.001))
    assert late == "it did not end within 0.001 s"
    assert not list(tmp_path.iterdir())
    assert not _commands_with(str(tmp_path))


def _commands_with(word: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # gone
            continue
        found += [command] if word in command else []
    return found
