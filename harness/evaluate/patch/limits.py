# SPDX-License-Identifier: GPL-2.0-only
"""Limits of a patched kernel's guests, which follow from what its base took here and now. Pure."""

from __future__ import annotations

from dataclasses import replace

from harness.evaluate.plan.plan import CellRequest
from harness.hosts.machines.machine import Limits
from harness.results.phases import PhaseName
from harness.results.records import Cell, Phase, Status

SUITE_PHASES = (PhaseName.PROBE, PhaseName.BOOT_AND_PROBE)


def fitted(request: CellRequest, base: Cell | None) -> CellRequest:
    """Return the request of a patched kernel's cell with limits that follow from the `base`."""
    limits = limits_after(base, request.machine.limits, request.suite.limit)
    machine = request.machine.model_copy(update={"limits": limits})
    return replace(request, machine=machine)


def limits_after(base: Cell | None, limits: Limits, suite: float) -> Limits:
    """Return `limits` changed to what the `base` took; `suite` is the suite's own limit (s).

    What ends a guest that is alive only grows. A silence after which its CPUs are looked at is
    `limits.factor` times the base's longest one, `limits.floor` at least. A base that was taken
    over from an earlier run, or came to no end, tells nothing.
    """
    if base is None or base.carried or base.status in (Status.MISS, Status.SKIP):
        return limits
    phases = {phase.name: phase for phase in base.phases}
    boot = phases.get(PhaseName.BOOT_L1, Phase(name="", seconds=0))
    probes = [phases[name] for name in SUITE_PHASES if name in phases]
    quiet = max((phase.quiet for phase in probes), default=0.0)
    took = max((phase.seconds for phase in probes), default=0.0)
    times = limits.factor
    silence = max(limits.silence, times * boot.quiet, times * quiet)
    return limits.model_copy(
        update={
            "boot": max(limits.boot, times * boot.seconds),
            "silence": silence,
            "slowdown": max(limits.slowdown, times * took / suite),
            "look": min(silence, max(limits.floor, times * quiet)),
            "look_boot": min(silence, max(limits.floor, times * boot.quiet)),
        }
    )
