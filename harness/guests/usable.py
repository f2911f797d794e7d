# SPDX-License-Identifier: GPL-2.0-only
"""Needs of a kernel and a suite, offers of a machine and this computer, matched before a build.

Only `why_not` matches them. A new need is a field of Needs, a field of Offers, and a line of
`unmet`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from harness.base.deadline import Deadline
from harness.base.tools import as_tuple
from harness.guests.placement import placement_of
from harness.hosts.machines.kvm import why_no_kvm, why_no_nested_kvm
from harness.hosts.machines.machine import Machine
from harness.hosts.qemu.binary import QemuBinary
from harness.kernel.spec import KernelSpec, find_fragment
from harness.suites.suite import Suite

PAGES = re.compile(r"^CONFIG_ARM64_(4|16|64)K_PAGES=y", re.M)
ANY_CPU = "4K"  # the granule that every CPU model here has


@dataclass(frozen=True)
class Needs:
    """Needs of a kernel and a suite; empty, 0 and False ask for nothing."""

    granule: str = ""  # of the kernel, in both stages
    devices: tuple[str, ...] = ()
    vmms: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    el2: bool = False
    memory_mib: int = 0  # of the guest that the suite runs in


@dataclass(frozen=True)
class Offers:
    """Properties of a machine that Needs may ask for; `label` names the CPU with the `granules`."""

    device: str
    vmm: str
    el2: bool
    memory_mib: int
    place: str = "nested"
    granules: tuple[str, ...] = (ANY_CPU,)
    label: str = ""


def needs_of(kernel: KernelSpec, suite: Suite) -> Needs:
    """Return the needs of both; the kernel's granule is that of its last fragment that sets it.

    Raise UsageError when a fragment does not exist.
    """
    required = suite.requires
    return Needs(
        granule=_granule(kernel.fragments),
        devices=tuple(suite.devices),
        vmms=tuple(required.vmm),
        places=tuple(required.place),
        el2=required.el2,
        memory_mib=required.memory_mib,
    )


def offers_of(machine: Machine) -> Offers:
    """Return the offers that the machine's file tells; why_not() measures granules if needed."""
    placement = placement_of(machine)
    l2 = machine.l2 if placement.has_guest else None
    return Offers(
        device=machine.device.name,
        vmm=l2.vmm if l2 else "",
        el2=placement.el2,
        memory_mib=l2.memory_mib if l2 else machine.memory_mib,
        place=placement.name,
    )


def unmet(needs: Needs, offers: Offers) -> Iterator[str]:
    """Yield a reason for each need that is not met."""
    if needs.granule and needs.granule not in offers.granules:
        granules = " and ".join(offers.granules)
        yield f"the kernel has {needs.granule} pages, {offers.label} has {granules} (measured)"
    if needs.devices and offers.device not in needs.devices:
        yield f"the suite cannot drive the device {offers.device}"
    if needs.places and offers.place not in needs.places:
        places = " or ".join(needs.places)
        yield f"the suite runs on machines with the topology {places}, this one's is {offers.place}"
    if needs.vmms and offers.vmm not in needs.vmms:
        vmm = offers.vmm or "no VMM: the suite runs in L1 itself"
        yield f"the suite needs the VMM {' or '.join(needs.vmms)}, the machine has {vmm}"
    if needs.el2 and not offers.el2:
        yield "the suite needs EL2, which this machine's CPU has not"
    if needs.memory_mib > offers.memory_mib:
        yield f"the suite needs {needs.memory_mib} MiB, its guest has {offers.memory_mib}"


def unusable(machine: Machine, qemu: QemuBinary | None = None) -> str | None:
    """Return why this computer, or its `qemu`, cannot run `machine`; None when it can."""
    if machine.refusal:
        return machine.refusal
    device = machine.device
    if qemu and device.qemu and qemu.version_info < as_tuple(device.qemu):
        return f"device {device.name} needs QEMU {device.qemu}: set S2EVAL_QEMU to such a QEMU"
    placement = placement_of(machine)
    if machine.accel != "kvm" or not placement.is_here:
        return None
    return why_no_nested_kvm() if placement.needs_nested_kvm else why_no_kvm()


def why_not(kernel: KernelSpec, machine: Machine, suite: Suite, qemu: QemuBinary) -> str | None:
    """Return why a cell of the three cannot run here; None when it can. Nothing is built.

    The machine is calibrated for a kernel with other pages than 4K. Raise MachineError or
    BuildError when that fails.
    """
    if reason := unusable(machine, qemu):
        return reason
    needs, offers = needs_of(kernel, suite), offers_of(machine)
    if needs.granule not in ("", *offers.granules):
        offers = _measured(machine, qemu, offers)
    return next(unmet(needs, offers), None)


def _measured(machine: Machine, qemu: QemuBinary, offers: Offers) -> Offers:
    # Few cells need it, and it takes 20 ms.
    from harness.guests.calibrate.machine import calibrate_machine  # noqa: PLC0415

    fidelity = calibrate_machine(machine, qemu, Deadline(machine.limits.boot))
    granules = fidelity.facts.granules.split(",")
    if offers.el2:  # the kernel is L1's and L2's: KVM needs its granule in stage 2 as well
        second = fidelity.facts.s2_granules.split(",")
        granules = [granule for granule in granules if granule in second]
    return replace(offers, granules=tuple(granules), label=fidelity.label)


def _granule(fragments: Iterable[str]) -> str:
    granule = ""
    for name in fragments:
        for size in PAGES.findall(find_fragment(name).read_text(encoding="utf-8")):
            granule = f"{size}K"
    return granule
