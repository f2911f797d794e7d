# SPDX-License-Identifier: GPL-2.0-only
"""Kernels that hang, told with their place; and a machine that is slow, which is no hang."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from harness.base.paths import PROJECT
from tests.system.commands import KERNEL, PATIENCE, S2Eval, make_machine

HANGS = PROJECT / "kernels/patches/hangs"
NC = PROJECT / "kernels/patches/stage2-normal-nc"
ARM = "arch/arm64/kvm/arm.c"
GUEST = "s2eval-impatient"  # the name of such a QEMU
IMPATIENT = """
extends = "flat-tcg"
[limits]
silence = 3
floor = 2
"""
# A busy machine lets the kernel's own detectors be the first to tell.
KINDS = ("hang", "rcu-stall", "soft-lockup", "hung-task")
STOPPED = 7.0  # seconds


def told(s2eval: S2Eval, series: Path, machine: str) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """The exit code, the document, and the failure of the patched kernel's cell."""
    ran = s2eval("patch", str(series), "--kernel", KERNEL, "-m", machine, "--json")
    assert ran.out, ran.err
    document = json.loads(ran.out)
    (cell,) = document["patched"]["cells"]
    return ran.code, document, cell["failure"]


def test_a_cpu_that_waits_for_ever_is_told_with_file_and_line(s2eval: S2Eval) -> None:
    """In L1 before init, of a machine without EL2."""
    code, document, failure = told(s2eval, HANGS / "before-init", "flat-tcg")
    place = failure["place"]
    assert failure["kind"] in KINDS
    assert (place["state"], place["where"]) == ("stuck", "L1")
    assert (place["function"], place["el"], place["interrupts"]) == ("kvm_arch_init", 1, "unmasked")
    assert place["file"] == ARM
    assert failure["kind"] != "hang" or (place["boots"] >= 2 and place["control"] > 0)
    text = (HANGS / "before-init").glob("*.patch").__next__().read_text()
    assert place["line"] in lines_of(text, "kvm_may_begin", "cpu_relax")
    assert (code, document["verdict"]) == (1, "regressed"), document["changes"]
    assert document["headline"] == f"hangs in kvm_arch_init ({ARM}:{place['line']})"
    shown = s2eval("show")
    assert "hangs in kvm_arch_init" in shown.out
    assert any("do_one_initcall" in cpu["stack"] for cpu in place["cpus"])


def lines_of(patch: str, *words: str) -> list[int]:
    """The numbers of added lines with one of `words`, in the file that has them afterwards."""
    numbers: list[int] = []
    number = 0
    for line in patch.splitlines():
        if line.startswith("@@"):
            number = int(line.split("+")[1].split(",")[0])
            continue
        if line.startswith("+") and any(word in line for word in words):
            numbers.append(number)
        number += not line.startswith("-")
    return numbers


class Stopper(threading.Thread):
    """Stops each QEMU of a command that runs a kernel for a while, soon after its start."""

    def __init__(self, s2eval: S2Eval) -> None:
        super().__init__()
        self._s2eval = s2eval
        self.stopped: list[int] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.02):
            for pid in self._s2eval.processes():
                if pid not in self.stopped and GUEST in arguments(pid):
                    self.stopped.append(pid)
                    time.sleep(0.1)  # it has begun to boot
                    stop(pid, STOPPED)


def arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


def stop(pid: int, seconds: float) -> None:
    try:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


def test_a_machine_that_stands_still_for_a_while_is_no_hang(s2eval: S2Eval) -> None:
    """Every QEMU of base and patched kernel is stopped for longer than one may be silent."""
    machine = make_machine(s2eval.home / "impatient.toml", IMPATIENT)
    stopper = Stopper(s2eval)
    stopper.start()
    try:
        ran = s2eval("patch", str(NC), "--kernel", KERNEL, "-m", machine, "--json")
    finally:
        stopper.over.set()
        stopper.join(PATIENCE)
    document = json.loads(ran.out)
    assert len(stopper.stopped) == 2
    # No line of the series is run there: a flat machine has no KVM.
    assert (ran.code, document["verdict"]) == (125, "not-exercised"), document
    cells = [cell for side in ("base", "patched") for cell in document[side]["cells"]]
    assert [cell["failure"] for cell in cells] == [None, None]
    assert [cell["retried"] for cell in cells] == [[], []]


# What hangs, on which machine, where: L1 or L2, function, exception level, interrupts, state.
PLACES = [
    ("before-init", "nested-tcg", ("L1", "kvm_arch_init", 2, "unmasked", "stuck")),
    ("deadlock", "nested-tcg", ("L1", "kvm_arch_init", None, None, "idle")),
    ("after-init", "nested-tcg", ("L1", "kvm_wait_for_all", 2, "masked", "stuck")),
    ("soft-lockup", "nested-tcg", ("L1", "kvm_arch_vcpu_create", 2, "unmasked", "stuck")),
    ("l2-never-comes", "nested-tcg", ("L1", "kvm_arch_vcpu_ioctl_run", 2, None, "stuck")),
    ("in-l2", "nested-tcg", ("L2", "kvm_arch_init", 1, "unmasked", "stuck")),
    ("fault-loop", "nested-tcg", ("L1", "kvm_arch_vcpu_ioctl_run", 2, None, "stuck")),
    ("el2-masked", "nested-tcg", ("L1", "__kvm_vcpu_run", 2, "masked", "stuck")),
    ("el2-masked", "nested-tcg-cortex-a72",
     ("L1", "__kvm_nvhe___kvm_vcpu_run", 2, "masked", "stuck")),
]  # fmt: skip


@pytest.mark.extended
@pytest.mark.parametrize(("series", "machine", "expected"), PLACES)
def test_each_way_to_hang(
    s2eval: S2Eval,
    series: str,
    machine: str,
    expected: tuple[str, str, int | None, str | None, str],
) -> None:
    code, document, failure = told(s2eval, HANGS / series, machine)
    assert failure["kind"] in KINDS, failure
    place = failure["place"]
    where, function, level, interrupts, state = expected
    assert (place["where"], place["function"], place["state"]) == (where, function, state)
    assert level in (None, place["el"]) and interrupts in (None, place["interrupts"])
    assert place["file"] and place["line"]
    assert (code, document["verdict"]) == (1, "regressed"), document["changes"]
    assert document["headline"].startswith(f"hangs in {function} ({place['file']}:")
