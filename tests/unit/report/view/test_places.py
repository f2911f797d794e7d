# SPDX-License-Identifier: GPL-2.0-only
"""Places of hangs in words."""

from __future__ import annotations

from harness.report.view.places import place_lines
from harness.results.places import BlockedTask, CpuPlace, CpuState, place_of

IDLE = CpuPlace(cpu=0, where="L1", state=CpuState.IDLE, el=2, interrupts="unmasked")
STUCK = CpuPlace(cpu=1, where="L1", state=CpuState.STUCK, el=2, interrupts="masked",
                 function="__kvm_vcpu_run", at="__kvm_vcpu_run+0xc8/0x254",
                 stack=["__kvm_vcpu_run", "kvm_vcpu_ioctl", "el0_svc"])  # fmt: skip
TASK = BlockedTask(name="evil\x1b[2J", function="kvm_arch_init", at="kvm_arch_init+0x28/0xf40",
                   stack=["kvm_arch_init", "kvm_init"])  # fmt: skip


def test_each_cpu_has_a_line() -> None:
    place = place_of([IDLE, STUCK], [])
    assert place and place_lines(place) == [
        "CPU 0, L1: idle",
        "CPU 1, L1: stuck in __kvm_vcpu_run+0xc8/0x254, EL2, interrupts masked,"
        " called by kvm_vcpu_ioctl, el0_svc",
    ]
    assert place.described() == (
        "__kvm_vcpu_run (__kvm_vcpu_run+0xc8/0x254) in L1, EL2, interrupts masked"
    )


def test_a_blocked_task_is_the_place_of_an_idle_machine() -> None:
    place = place_of([IDLE], [TASK])
    assert place and (place.function, place.exact) == ("kvm_arch_init", False)
    idle, blocked = place_lines(place)
    assert idle == "CPU 0, L1: idle"
    assert blocked.endswith(": blocked in kvm_arch_init+0x28/0xf40, called by kvm_init")
    assert "\x1b" not in blocked


def test_a_cpu_that_moves_has_no_function() -> None:
    moving = STUCK.model_copy(update={"state": CpuState.MOVING, "function": "", "at": "",
                                      "stack": []})  # fmt: skip
    place = place_of([moving], [])
    assert place and place_lines(place) == [
        "CPU 1, L1: moving in many functions, EL2, interrupts masked"
    ]
    assert place.described() == "many functions in L1, EL2, interrupts masked"
