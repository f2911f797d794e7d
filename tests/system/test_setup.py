# SPDX-License-Identifier: GPL-2.0-only
"""The QEMU and the doctor's report of the machine the tests run on."""

from __future__ import annotations

import platform
import subprocess

from harness.doctor import doctor, render
from harness.guest.qemubin import find_qemu


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
