# SPDX-License-Identifier: GPL-2.0-only
"""A lab host as a machine, `lab:NAME`: its L2 is QEMU's, on the kernel under test on that host."""

from __future__ import annotations

from harness.base.deadline import Deadline
from harness.base.errors import UsageError
from harness.hosts.lab import hostfile
from harness.hosts.lab.boot.state import read_state
from harness.hosts.lab.device import device_ids
from harness.hosts.lab.hostfile import HostFile
from harness.hosts.lab.link import Link
from harness.hosts.machines.machine import (
    L2,
    Device,
    Limits,
    Machine,
    list_devices,
    load_device,
)

PREFIX = "lab:"
L2_MEMORY_MIB = 128


class LabMachine(Machine):
    """The machine that a lab host is; `host` is the host's file."""

    host: HostFile

    @property
    def device_bdf(self) -> str:
        """Return the device's PCI address (DDDD:BB:DD.F) on the host."""
        return self.host.device.bdf if self.host.device else ""

    @property
    def refusal(self) -> str:
        """Return why suites, which write to all of the BAR, must not run here; "" when they may."""
        device = self.host.device
        if device is None or device.writable == "all":
            return ""
        return (
            f"the file of {self.host.name} lets suites write {device.writable} to the device, "
            'they write to all of its BAR: writable = "all" in [device] if the device bears that'
        )

    def key(self, *names: str) -> str:
        """Return where a user can change these limits, for a message."""
        return self.host.key_of(*names)


def lab_machine(name: str) -> LabMachine:
    """Return the machine `lab:NAME`; NAME may be the path of a host's file.

    Raise UsageError when there is no such host, its file is wrong, or this user may not use it.
    """
    host = hostfile.load(name.removeprefix(PREFIX))
    host.check_owner()
    if host.device and not host.device.pci:
        host = ask_for_device(host)
    limits = host.limits
    return LabMachine(
        name=f"{PREFIX}{host.name}",
        description=host.description or f"the lab host {host.name}",
        topology="lab",
        # A virtual machine emulates the CPU or the device, so that no figure of it counts.
        accel="tcg" if host.virtual else "kvm",
        cpu="host",
        smp=1,
        memory_mib=L2_MEMORY_MIB,
        template="nested.j2",
        device=_device(host),
        l2=L2(
            memory_mib=48 if host.virtual else L2_MEMORY_MIB,
            smp=1 if host.virtual else 2,
            cpus=host.tuning.cpus,
            hugepages=bool(host.tuning.hugepages),
        ),
        limits=Limits(boot=limits.boot, silence=limits.silence),
        host=host,
    )


def ask_for_device(host: HostFile) -> HostFile:
    """Return the host with what its file does not say: the device's IDs, whether it is virtual.

    Raise LabError when the machine cannot be asked, or has no such device.
    """
    device = host.device
    if device is None:
        return host
    with Link(host) as link:
        limit = Deadline(host.limits.connect, key=host.key_of("connect"))
        link.connect(limit)
        state = read_state(link, Deadline(host.limits.command))
        pci = device_ids(link, device.bdf, Deadline(host.limits.command))
    device = device.model_copy(update={"pci": pci})
    return host.model_copy(update={"device": device, "virtual": host.virtual or state.virtual})


def _device(host: HostFile) -> Device:
    """Return the host's device as suites see it."""
    device = host.device
    if device is None:
        raise UsageError(f"host {host.name} has no [device]: name the PCI device to be tested")
    known = (load_device(name) for name in list_devices())
    like = (
        load_device(device.like)
        if device.like
        else next((one for one in known if one.pci == device.pci), None)
    )
    return Device(
        name=like.name if like else device.pci,
        description=f"the device {device.bdf} of {host.name}",
        pci=device.pci,
        bar=device.bar,
        arguments="",
    )
