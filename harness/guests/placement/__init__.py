# SPDX-License-Identifier: GPL-2.0-only
"""Where a suite runs on a machine: the one place that knows the topologies."""

from __future__ import annotations

from harness.guests.placement.flat import FlatPlacement
from harness.guests.placement.nested import NestedPlacement
from harness.guests.placement.placement import Placement
from harness.hosts.machines.machine import Machine

PLACEMENTS: dict[str, Placement] = {one.name: one for one in (FlatPlacement(), NestedPlacement())}


def placement_of(machine: Machine) -> Placement:
    """Return where suites run on `machine`."""
    return PLACEMENTS[machine.topology]
