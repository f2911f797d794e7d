# SPDX-License-Identifier: GPL-2.0-only
"""Options with which QEMU traces the accesses to a device; device_trace.py reads the trace."""

from __future__ import annotations

from pathlib import Path

# QEMU system/trace-events and hw/pci/trace-events.
EVENTS = ("memory_region_ops_read", "memory_region_ops_write", "pci_cfg_write")


def trace_options(path: Path) -> list[str]:
    """Return QEMU's options that trace EVENTS to `path`, where all else that QEMU logs goes too."""
    return ["-D", str(path), *(option for event in EVENTS for option in ("-trace", event))]
