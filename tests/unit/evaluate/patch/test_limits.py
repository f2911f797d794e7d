# SPDX-License-Identifier: GPL-2.0-only
"""Limits of a patched kernel's guests, from the phases of its base's cell."""

from __future__ import annotations

import pytest

from harness.evaluate.patch.limits import fitted, limits_after
from harness.evaluate.plan.plan import CellRequest
from harness.hosts.machines.machine import Limits, load_machine
from harness.kernel.spec import resolve
from harness.results.phases import PhaseName
from harness.results.records import Cell, Phase, Status
from harness.suites.suite import load_suite
from tests.unit.evaluate.patch.patch_cells import cell

SUITE = 60.0  # seconds: the suite's own limit


def base(*phases: Phase, status: Status = Status.PASS) -> Cell:
    made: Cell = cell("base")
    made.status, made.phases = status, list(phases)
    return made


def phase(name: PhaseName, seconds: float, quiet: float) -> Phase:
    return Phase(name=name, seconds=seconds, quiet=quiet)


QUICK = base(phase(PhaseName.BOOT_L1, 0.8, 0.3), phase(PhaseName.PROBE, 3.0, 1.6))
SLOW = base(phase(PhaseName.BOOT_L1, 50.0, 20.0), phase(PhaseName.PROBE, 40.0, 8.0))


def test_a_quick_base_lets_its_patch_be_looked_at_soon_and_ends_nothing_sooner() -> None:
    limits = limits_after(QUICK, Limits(), SUITE)
    assert (limits.look_boot, limits.silence) == (4.0, 15.0)
    assert limits.look == pytest.approx(4.8)
    assert (limits.boot, limits.slowdown) == (60, 1)


def test_a_slow_base_gives_its_patch_more_of_everything() -> None:
    """A kernel with sanitizers, say, or a busy machine."""
    limits = limits_after(SLOW, Limits(), SUITE)
    assert (limits.look_boot, limits.silence) == (60.0, 60.0)
    assert limits.look == 24.0
    assert (limits.boot, limits.slowdown) == (150.0, 2.0)


def test_a_machine_says_the_factor_and_the_floor() -> None:
    limits = limits_after(QUICK, Limits(factor=10, floor=2, silence=30), SUITE)
    assert (limits.look_boot, limits.silence) == (3.0, 30.0)
    assert limits.look == 16.0


def test_a_flat_guest_has_one_phase() -> None:
    flat = base(phase(PhaseName.BOOT_AND_PROBE, 30.0, 2.0))
    limits = limits_after(flat, Limits(), SUITE)
    assert (limits.look, limits.silence) == (6.0, 15.0)
    assert limits.slowdown == 1.5


@pytest.mark.parametrize("change", [{"status": Status.MISS}, {"carried": "an earlier run"}])
def test_a_base_that_tells_nothing_changes_nothing(change: dict[str, object]) -> None:
    assert limits_after(SLOW.model_copy(update=change), Limits(), SUITE) == Limits()
    assert limits_after(None, Limits(), SUITE) == Limits()


def test_a_cell_keeps_its_name() -> None:
    kernel, machine = resolve("debian-6.1"), load_machine("nested-tcg")
    request = CellRequest(kernel, machine, load_suite("wcprobe"))
    within = fitted(request, QUICK)
    assert within.name == request.name
    patience = within.machine.boot_patience
    assert (patience.look, patience.whole) == (4.0, 15.0)
    assert patience.look_key.endswith("factor and floor in [limits] of the machine nested-tcg")
    assert patience.whole_key == "silence in [limits] of the machine nested-tcg"
    assert within.machine.limits.look_boot == 4.0 and request.machine.limits.look_boot is None
