# SPDX-License-Identifier: GPL-2.0-only
"""One L1 for several guests: shared by cells, by guests that go on after a death; its health."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.base.deadline import Deadline
from harness.guests.vmm.vmm import STREAMS, VMM_OUTPUT
from harness.hosts.events import Event
from harness.hosts.l1.host import L1Host
from harness.hosts.machines.machine import load_machine
from harness.hosts.qemu.binary import find_qemu
from harness.kernel.build import build, resolve
from harness.results.records import Cell, Status
from tests.system.commands import KERNEL, PATIENCE, S2Eval, make_suite

# The first unaligned touch of write-combining memory kills this kernel's guests, each of them.
GOES_ON = """
extends = "wcprobe"
guests = 4
script = '''
insmod wcprobe.ko device=1af4:1110 bar=2 audit=1 only=unaligned_load,unaligned_store @resume
stream /dev/wcprobe
'''
"""
# A suite may read its own script: these requests are comments to init, and lines to the harness.
ASKS = """
description = "asks the host under test to do something"
script = '''
# s2eval: host action={}
stream /suite
'''
"""
SAYS_WARNING = "echo 'WARNING: CPU: 0 PID: 1 at nowhere/at_all.c:1' > /dev/kmsg\n"


def starts(cell: Cell) -> list[str]:
    return [phase.name for phase in cell.phases if phase.name.startswith("start")]


def asking(folder: Path, action: str, script: str = "true\n", more: str = "") -> str:
    """A suite that asks for `action`, and has `script` under the name `act`."""
    name = make_suite(folder, ASKS.format(action) + more)
    (folder / "host").mkdir()
    (folder / "host" / "act.sh").write_text(script)
    return name


def test_a_suite_goes_on_behind_each_test_that_kills_its_guest(s2eval: S2Eval) -> None:
    suite = make_suite(s2eval.home / "goes-on", GOES_ON)
    ran = s2eval("run", "-k", KERNEL, "-m", "nested-tcg", "-s", suite, "-s", "wcprobe")
    first, second = s2eval.run().cells
    assert ran.code == 1
    seen = {o.path: (o.status, o.value) for o in first.observations}
    for test in ("unaligned_load", "unaligned_store"):
        assert seen[f"goes-on.ioremap.{test}"] == (Status.PASS, "faults")
        assert seen[f"goes-on.ioremap_wc.{test}"] == (Status.FAIL, "vm-killed")
    assert not [path for path in seen if "not_reached" in path]
    assert seen["goes-on.host.answers"] == (Status.PASS, "answers")
    assert seen["goes-on.host.log"] == (Status.PASS, "clean")
    assert seen["goes-on.host.device"] == (Status.PASS, "given again")
    # Three guests, and the next cell's on the same L1: it has logs of its own.
    assert starts(first) == ["start L1", "start L2"]
    assert [name for name in first.logs if name.endswith(".ktap")] == [
        "results-2.ktap",
        "results-3.ktap",
        "results.ktap",
    ]
    assert starts(second) == ["start L2"]
    logs = s2eval.folder() / f"{KERNEL}_nested-tcg_wcprobe"
    assert "Booting Linux" in (logs / "console.log").read_text()
    assert (logs / "l2.results.log").read_text().count("KTAP version 1\n# s2eval: device") == 1
    assert second.failure and second.failure.kind == "kvm-error"
    assert second.status is first.status is Status.FAIL


def test_what_l1_is_asked_to_do_is_done_while_l2_waits(s2eval: S2Eval) -> None:
    done = asking(s2eval.home / "done", "act", 'echo "device $BDF"; readlink /proc/self/exe\n')
    fails = asking(s2eval.home / "fails", "act", "exit 3\n")
    unknown = asking(s2eval.home / "unknown", "nothing")
    wanted = [word for name in (done, fails, unknown) for word in ("-s", name)]
    ran = s2eval("run", "-k", KERNEL, "-m", "nested-tcg", *wanted)
    cells = {cell.suite.name: cell for cell in s2eval.run().cells}
    assert ran.code == 125, ran.err
    told = (s2eval.folder() / f"{KERNEL}_nested-tcg_done" / "results.ktap").read_text()
    assert "# host act: device 0000:00:10.0\n# host act: /bin/busybox\n" in told
    for name, command, how in (("fails", "act", "exit-3"), ("unknown", "nothing", "ENOENT")):
        (error,) = [o for o in cells[name].observations if "command" in o.path]
        assert error.status is Status.ERROR
        assert error.detail["reason"] == f"host:{command} of the suite failed: {how}"


@pytest.mark.parametrize("destructive", ["false", "true"])
def test_an_l1_that_came_to_harm_is_told_and_not_used_again(
    s2eval: S2Eval, destructive: str
) -> None:
    more = f"destructive = {destructive}\n"
    harm = asking(s2eval.home / "harm", "act", SAYS_WARNING, more)
    s2eval("run", "-k", KERNEL, "-m", "nested-tcg", "-s", harm, "-s", "wcprobe")
    first, second = s2eval.run().cells
    assert starts(second) == ["start L1", "start L2"]
    seen = {o.path: o for o in first.observations}
    assert ("harm.host.log" in seen) is (destructive == "true")
    if destructive == "true":
        assert seen["harm.host.log"].status is Status.FAIL
        assert "nowhere/at_all.c" in seen["harm.host.log"].detail["reason"]
        assert first.status is Status.FAIL


@pytest.mark.usefixtures("kernels")
def test_a_job_waits_for_the_port_of_the_one_before_it(tmp_path: Path) -> None:
    """Its shell has reported the exit code, and ends a little later: a port has one opener."""
    built = build(resolve(KERNEL), progress=print)
    with L1Host(load_machine("nested-tcg"), find_qemu(), built.image, STREAMS) as host:
        host.launch(tmp_path)
        host.boot(Deadline(PATIENCE))
        host.run(f"(sleep 1) > /run/ports/{VMM_OUTPUT} 2>&1 &", Deadline(PATIENCE)).check()
        job = host.start("echo second", VMM_OUTPUT, Deadline(PATIENCE))
        lines = []

        def see(event: Event) -> bool | None:
            lines.append(event.line)
            return True if job.status is not None else None

        assert host.wait(see, Deadline(PATIENCE))
        assert (job.status, job.pid > 0, "second" in lines) == (0, True, True)
