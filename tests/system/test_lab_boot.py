# SPDX-License-Identifier: GPL-2.0-only
"""A lab machine, for which a VM stands: kexec into kernels under test, guests there, and back."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.base.deadline import Deadline
from harness.base.paths import PROJECT, host_config
from harness.hosts.lab import hostfile
from harness.hosts.lab.boot.state import read_state
from harness.hosts.lab.lease import holder
from harness.hosts.lab.link import Link
from harness.results.failure_kinds import FailureKind
from harness.results.records import Status
from tests.lab.faults import variant
from tests.lab.machine import StandIn
from tests.system.commands import KERNEL, S2Eval

NC = PROJECT / "kernels/patches/stage2-normal-nc"
PATIENCE = 300.0  # seconds, on a machine that does a hundred other things


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """A stand-in of this module's own, up and at its own kernel."""
    machine = StandIn(tmp_path_factory.mktemp("standin"))
    machine.make()
    machine.start()
    try:
        machine.wait_up(Deadline(PATIENCE))
        yield machine
    finally:
        machine.stop()


def left_behind(standin: StandIn) -> list[str]:
    """What the machine is not rid of: the kernel under test, a lease, keys, the device's driver."""
    host = hostfile.read(standin.host_file)
    with Link(host) as link:
        link.connect(Deadline(PATIENCE))
        state = read_state(link, Deadline(PATIENCE))
        left = [state.cmdline] if state.token or state.release != host.boot.safe else []
        if who := holder(link, Deadline(PATIENCE)):
            left.append(who.owner)
        script = f"ls -d {host.folder}/boot /sys/bus/pci/devices/{hostfile_bdf(standin)}/driver"
        left += link.shell(script, Deadline(PATIENCE)).out.split()
    return left


def hostfile_bdf(standin: StandIn) -> str:
    device = hostfile.read(standin.host_file).device
    assert device
    return device.bdf


def test_lab_runs_a_suite_in_a_guest_on_the_kernel_that_kexec_booted(
    standin: StandIn, s2eval: S2Eval, tmp_path: Path
) -> None:
    # Its VMM is refused by taskset without such a CPU.
    host_file = variant(standin, tmp_path, "pinned", tuning_cpus='"1"')
    ran = s2eval("run", "-k", KERNEL, "-m", f"lab:{host_file}", "-s", "wcprobe")
    cell = s2eval.run().cells[0]
    assert cell.status is Status.FAIL, ran.out + ran.err
    found = {o.path: o.status for o in cell.observations}
    assert found["wcprobe.ioremap.unaligned_load"] is Status.PASS
    assert found["wcprobe.ioremap_wc.unaligned_load"] is Status.FAIL, "6.1's stage 2 is Device"
    host = cell.machine.host
    assert host and host.virtual and host.safe != cell.kernel.version
    assert host.device.startswith("0x1af4 0x1110") and host.load, "what its figures depend on"
    assert any(word.startswith("s2eval.boot=") for word in cell.machine.command)
    assert "write-combining" in cell.fidelity.limits, "a VM's figures do not count"
    assert not left_behind(standin)


def test_lab_kernel_that_panics_is_seen_on_the_console_and_the_machine_comes_back(
    standin: StandIn, s2eval: S2Eval, tmp_path: Path
) -> None:
    args = '"console=ttyAMA0 rdinit=/none init=/none"'
    host = variant(standin, tmp_path, "panics", boot_args=args)
    s2eval("run", "-k", KERNEL, "-m", f"lab:{host}", "-s", "wcprobe")
    cell = s2eval.run().cells[0]
    assert cell.failure and cell.failure.kind is FailureKind.NO_INIT, cell.failure
    assert cell.failure.summary.startswith("Kernel panic"), "not that SSH does not answer"
    assert not left_behind(standin)


@pytest.mark.extended
def test_lab_guest_has_its_memory_of_hugepages(
    standin: StandIn, s2eval: S2Eval, tmp_path: Path
) -> None:
    host = variant(standin, tmp_path, "tuned", tuning_hugepages="28")
    for kernel, status in ((KERNEL, Status.MISS), (f"{KERNEL}+memory-kinds", Status.FAIL)):
        s2eval("run", "-k", kernel, "-m", f"lab:{host}", "-s", "wcprobe")
        cell = s2eval.run().cells[0]
        assert cell.status is status, cell.failure
        assert not left_behind(standin)
        if status is Status.MISS:
            assert cell.failure and "CONFIG_HUGETLBFS" in cell.failure.summary


@pytest.mark.extended
def test_lab_kernel_from_the_machine_s_own_configuration(standin: StandIn, s2eval: S2Eval) -> None:
    kept = s2eval("host", "config", str(standin.host_file))
    assert kept.code == 0 and "modules loaded" in kept.err, kept.err
    file = host_config(hostfile.read(standin.host_file).name)
    kernel = f"{KERNEL}+host={file}"
    ran = s2eval("run", "-k", kernel, "-m", f"lab:{standin.host_file}", "-s", "wcprobe")
    cell = s2eval.run().cells[0]
    assert cell.status is Status.FAIL, ran.out + ran.err
    found = {o.path: o.status for o in cell.observations}
    assert found["wcprobe.ioremap_wc.unaligned_load"] is Status.FAIL, "6.1's stage 2 is Device"
    assert "options of the machine's are not in this kernel: " in ran.err or cell.kernel.cached
    assert not left_behind(standin)


@pytest.mark.extended
def test_lab_patch_has_the_findings_of_an_emulated_machine(
    standin: StandIn, s2eval: S2Eval
) -> None:
    def findings(machine: str) -> tuple[str, dict[str, tuple[str, str]]]:
        ran = s2eval("patch", str(NC), "--kernel", KERNEL, "-m", machine, "--json")
        assert ran.code == 0, ran.err
        document = json.loads(ran.out)
        changes = {
            change["path"]: (change["base"], change["patched"])
            for change in document["changes"]
            if change["about"] in ("probe", "audit") and not change["path"].endswith(".host")
        }
        return document["verdict"], changes

    # Only from outside are all leaves of stage 2 and the device's memory (.host) to be seen.
    (word, changes), (emulated_word, emulated) = (
        findings(machine) for machine in (f"lab:{standin.host_file}", "nested-tcg")
    )
    assert word == emulated_word == "improved"
    differ = {path: change for path, change in emulated.items() if changes.get(path) != change}
    assert not differ and changes.keys() == emulated.keys(), differ
    assert not left_behind(standin)


@pytest.mark.extended
@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        # Without a console until its driver comes, which this kernel does not live to see.
        pytest.param("console=ttyAMA0 mem=8M", Status.MISS, "no line of its", id="dies in kexec"),
        pytest.param(
            "console=ttyAMA0 initcall_blacklist=virtio_net_driver_init",
            Status.MISS,
            "the kernel runs, but has no network interface ",
            id="without network",
        ),
        pytest.param(
            "console=ttyAMA0 rdinit=/bin/sh", Status.MISS, "no output for 90 s", id="says nothing"
        ),
        pytest.param(
            "console=ttyAMA0 kvm-arm.mode=nested", Status.MISS, "KVM is not in the mode", id="mode"
        ),
    ],
)
def test_lab_kernel_that_does_not_come_up(
    standin: StandIn, s2eval: S2Eval, tmp_path: Path, args: str, status: Status, words: str
) -> None:
    host = variant(
        standin, tmp_path, "fails", boot_args=f'"{args}"', limits_silence="90", limits_boot="180"
    )
    s2eval("run", "-k", KERNEL, "-m", f"lab:{host}", "-s", "wcprobe")
    cell = s2eval.run().cells[0]
    assert cell.failure and words in cell.failure.summary
    assert cell.status is status, cell.failure
    assert not left_behind(standin)


@pytest.mark.extended
def test_lab_machine_that_is_rebooted_by_somebody_else(standin: StandIn, s2eval: S2Eval) -> None:
    started = s2eval.start("run", "-k", KERNEL, "-m", f"lab:{standin.host_file}", "-s", "wcprobe")
    started.until(": probe")
    standin.power("cycle")
    started.end()
    cell = s2eval.run().cells[0]
    assert cell.status is Status.MISS
    assert cell.failure and "rebooted" in cell.failure.summary
    assert not left_behind(standin)


@pytest.mark.extended
@pytest.mark.parametrize("by", ["run", "check"])
def test_lab_machine_that_an_ended_run_left_in_its_kernel_is_brought_back(
    standin: StandIn, s2eval: S2Eval, by: str
) -> None:
    """By who comes next, once the lease of the run that was killed is over."""
    machine = f"lab:{standin.host_file}"
    started = s2eval.start("run", "-k", KERNEL, "-m", machine, "-s", "wcprobe")
    started.until(": probe")
    started.signal(signal.SIGKILL)
    started.end()
    assert left_behind(standin)
    kept = s2eval("host", "check", str(standin.host_file))
    assert "held by" in kept.out and left_behind(standin), "it is another one's until then"
    host = hostfile.read(standin.host_file)
    with Link(host) as link, suppress(Exception):
        link.connect(Deadline(PATIENCE))
        link.shell(f"sed -i 2s/.*/1/ {host.folder}/lease", Deadline(PATIENCE))
    if by == "run":
        ran = s2eval("run", "-k", KERNEL, "-m", machine, "-s", "wcprobe")
        assert "of an earlier run" in ran.out + ran.err
    else:
        ran = s2eval("host", "check", str(standin.host_file))
        assert "an earlier run had left" in ran.out
    assert not left_behind(standin)
