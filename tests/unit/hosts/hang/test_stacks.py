# SPDX-License-Identifier: GPL-2.0-only
"""Where CPUs are, from samples of kernels that really hung (tests/data/hangs)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from harness.hosts.hang.samples import CpuSample, Frame, Round
from harness.hosts.hang.stacks import UNKNOWN, USER, cpu_places, namer
from harness.hosts.qemu.memory import RAM_BASE
from harness.kernel.addresses.symbols import Symbols
from harness.results.places import CpuPlace, CpuState, Place, place_of
from tests.data_files import DATA

NO_FRAME = Frame(0)


def frame(values: list[int | None] | None) -> Frame | None:
    return Frame(*values) if values else None  # type: ignore[arg-type]


def sample(values: list[Any]) -> CpuSample:
    cpu, cpsr, hcr, halted, frames, link, vbar, sctlr = values
    read = tuple(frame(one) or NO_FRAME for one in frames)
    return CpuSample(cpu, cpsr, hcr, halted, read, frame(link), vbar, sctlr)


def recorded(name: str) -> tuple[Symbols, list[Round]]:
    data = json.loads((DATA / "hangs" / f"{name}.json").read_text())
    rounds: list[Round] = [[sample(one) for one in each] for each in data["rounds"]]
    return Symbols("\n".join(data["map"])), rounds


def places(rounds: list[Round], symbols: Symbols | None) -> list[CpuPlace]:
    return cpu_places(rounds, namer(symbols, RAM_BASE, RAM_BASE), "L1", "L2")


def place(name: str) -> Place:
    symbols, rounds = recorded(name)
    found = place_of(places(rounds, symbols), [])
    assert found
    return found


# The recording, and of the place: where, function, exception level, interrupts, and its callers.
HANGS = [
    ("before-init", "L1", "kvm_arch_init", 2, "unmasked", ["kvm_init", "arm_init"]),
    ("before-init-flat", "L1", "kvm_arch_init", 1, "unmasked", ["kvm_init", "arm_init"]),
    ("el2-masked-vhe", "L1", "__kvm_vcpu_run", 2, "masked", ["kvm_arm_vcpu_enter_exit"]),
    ("el2-masked-nvhe", "L1", "__kvm_nvhe___kvm_vcpu_run", 2, "masked",
     ["__kvm_nvhe_handle___kvm_vcpu_run", "__kvm_nvhe_handle_trap",
      "__kvm_nvhe___host_enter_restore_full"]),
    ("after-init", "L1", "kvm_wait_for_all", 2, "masked",
     ["__flush_smp_call_function_queue", "generic_smp_call_function_single_interrupt"]),
    ("soft-lockup", "L1", "kvm_arch_vcpu_create", 2, "unmasked", []),
    ("fault-loop", "L1", "kvm_arch_vcpu_ioctl_run", 2, "unmasked", ["kvm_vcpu_ioctl"]),
    ("in-l2", "L2", "kvm_arch_init", 1, "unmasked", ["kvm_init", "arm_init", "do_one_initcall"]),
    ("l2-never-comes", "L1", "kvm_arch_vcpu_ioctl_run", 2, "unmasked", ["kvm_vcpu_ioctl"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "where", "function", "level", "interrupts", "callers"), HANGS)
def test_the_place_of_a_hang(
    name: str, where: str, function: str, level: int, interrupts: str, callers: list[str]
) -> None:
    found = place(name)
    assert (found.state, found.where, found.function) == (CpuState.STUCK, where, function)
    assert (found.el, found.interrupts) == (level, interrupts)
    (cpu,) = [cpu for cpu in found.cpus if cpu.function == function][:1]
    assert cpu.stack[1 : 1 + len(callers)] == callers
    assert UNKNOWN not in cpu.stack
    assert found.at.startswith(f"{function}+0x") and found.known


def test_a_cpu_that_waits_for_an_interrupt_is_idle() -> None:
    found = place("before-init-flat")
    assert [cpu.state for cpu in found.cpus] == [CpuState.IDLE, CpuState.STUCK]


def test_a_cpu_that_sleeps_now_and_then_is_not_stuck() -> None:
    symbols, rounds = recorded("before-init-flat")
    rounds[3] = [replace(one, halted=True, frames=(), link=None) for one in rounds[3]]
    found = place_of(places(rounds, symbols), [])
    assert found and found.state is CpuState.MOVING and not found.known


def test_stacks_that_share_only_how_every_thread_begins_are_no_place() -> None:
    """The boot itself, one initcall after the other."""
    symbols, rounds = recorded("before-init-flat")
    names = [name for name, address in symbols.named.items() if symbols.find(address)]

    def cut(one: CpuSample, number: int) -> CpuSample:
        """Call another function in each round, from do_one_initcall on."""
        if one.halted:
            return one
        begin = symbols.physical(names[number], RAM_BASE)
        return replace(one, frames=(Frame(0, begin), *one.frames[-4:]), link=None)

    rounds = [[cut(one, number) for one in each] for number, each in enumerate(rounds)]
    found = place_of(places(rounds, symbols), [])
    assert found and found.state is CpuState.MOVING
    assert found.function == "do_one_initcall"


def test_without_symbols_there_is_a_state_but_no_function() -> None:
    _, rounds = recorded("before-init-flat")
    (idle, stuck) = places(rounds, None)
    assert (idle.state, stuck.state) == (CpuState.IDLE, CpuState.STUCK)
    assert (stuck.function, stuck.at) == (UNKNOWN, "")


def test_a_program_that_runs_is_no_hang_of_the_kernel() -> None:
    symbols, rounds = recorded("before-init-flat")
    rounds = [[replace(one, cpsr=one.cpsr & ~0xF) for one in each] for each in rounds]
    found = place_of(places(rounds, symbols), [])
    assert found and (found.state, found.function) == (CpuState.MOVING, USER)


def test_of_several_cpus_one_that_is_stuck_and_takes_no_interrupts_tells_most() -> None:
    def cpu(number: int, state: CpuState, interrupts: Any) -> CpuPlace:
        return CpuPlace(cpu=number, where="L1", state=state, el=2, interrupts=interrupts,
                        function=f"f{number}")  # fmt: skip

    moving = cpu(0, CpuState.MOVING, "masked")
    open_, masked = cpu(1, CpuState.STUCK, "unmasked"), cpu(2, CpuState.STUCK, "masked")
    idle = cpu(3, CpuState.IDLE, "unmasked")
    for cpus, function in (
        ([moving, open_, masked, idle], "f2"),
        ([moving, open_, idle], "f1"),
        ([idle, moving], "f0"),
    ):
        found = place_of(cpus, [])
        assert found and found.function == function
    assert place_of([], []) is None
