# SPDX-License-Identifier: GPL-2.0-only
"""The shell script that binds a PCI device to a driver on any Linux host."""

from __future__ import annotations


def bind_script(bdf: str, driver: str) -> str:
    """Return shell that binds the device at `bdf` to `driver`; it fails with a line on stderr.

    Source: Documentation/ABI/testing/sysfs-bus-pci.
    """
    device = f"/sys/bus/pci/devices/{bdf}"
    return (
        f"[ -e {device} ] || {{ echo 'no PCI device {bdf}' >&2; exit 1; }}\n"
        f"[ ! -e {device}/driver ] || echo {bdf} > {device}/driver/unbind\n"
        f"echo {driver} > {device}/driver_override\n"
        f"echo {bdf} > /sys/bus/pci/drivers_probe\n"
        f"[ -e {device}/driver ] || {{ echo '{driver} did not take {bdf}' >&2; exit 1; }}\n"
    )
