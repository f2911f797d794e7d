# SPDX-License-Identifier: GPL-2.0-only
"""Machines by the names that users give: a file of qemu-configs, a path, or `lab:HOST`."""

from __future__ import annotations

from harness.base.errors import UsageError
from harness.hosts.machines import machine
from harness.hosts.machines.machine import Machine

LAB = "lab:"


def load_machine(name: str, *, cpu: str | None = None) -> Machine:
    """Return the machine `name`, of this computer or in a lab; `cpu` replaces its CPU model.

    Raise UsageError when there is no such machine or its file is wrong.
    """
    if not name.startswith(LAB):
        return machine.load_machine(name, cpu=cpu)
    # Only runs on lab hosts need it.
    from harness.hosts.lab.machine import lab_machine  # noqa: PLC0415

    if cpu:
        raise UsageError(f"{name} is a real machine: its CPU cannot be chosen (--cpu)")
    return lab_machine(name)
