# SPDX-License-Identifier: GPL-2.0-only
"""Placements: where a suite runs on a machine. Only this registry knows the topologies' names."""

from __future__ import annotations

import functools
from collections.abc import Callable

from harness.guests.placement.placement import Placement
from harness.hosts.machines.machine import Machine


def _flat() -> Placement:
    from harness.guests.placement.flat import FlatPlacement  # noqa: PLC0415 - see placement_of()

    return FlatPlacement()


def _nested() -> Placement:
    from harness.guests.placement.nested import NestedPlacement  # noqa: PLC0415

    return NestedPlacement()


def _host() -> Placement:
    from harness.guests.placement.host import HostPlacement  # noqa: PLC0415

    return HostPlacement()


def _lab() -> Placement:
    from harness.guests.placement.lab import LabPlacement  # noqa: PLC0415

    return LabPlacement()


PLACEMENTS: dict[str, Callable[[], Placement]] = {
    "flat": _flat,
    "nested": _nested,
    "host": _host,
    "lab": _lab,
}


def placement_of(machine: Machine) -> Placement:
    """Return the placement of suites on `machine`, which its topology names.

    A placement's module is imported when a machine needs it: a flat run needs neither L1's
    agent nor the walk of page tables, whose imports take 0.1 s.
    """
    return _placement(machine.topology)


@functools.cache
def _placement(name: str) -> Placement:
    return PLACEMENTS[name]()
