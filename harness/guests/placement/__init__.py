# SPDX-License-Identifier: GPL-2.0-only
"""Placements: where a suite runs on a machine. Only this registry knows the topologies' names."""

from __future__ import annotations

from harness.guests.placement.flat import FlatPlacement
from harness.guests.placement.nested import NestedPlacement
from harness.guests.placement.placement import Placement
from harness.hosts.machines.machine import Machine

PLACEMENTS: dict[str, Placement] = {
    placement.name: placement for placement in (FlatPlacement(), NestedPlacement())
}


def placement_of(machine: Machine) -> Placement:
    """Return the placement of suites on `machine`, which its topology names."""
    return PLACEMENTS[machine.topology]
