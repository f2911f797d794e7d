# SPDX-License-Identifier: GPL-2.0-only
"""What a machine shows of Arm's memory types, measured by the calibration guest.

A probe that needs more than that is SKIP with the sentence `limits()` gives. docs/fidelity.md
has what was measured.
"""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from harness.base import paths
from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.files import write_atomic
from harness.base.locks import locked
from harness.guests.calibrate import guest
from harness.guests.calibrate.report import (
    Fact,
    Facts,
    Frozen,
    Mapping,
    disagreements,
    interpret,
    mappings,
    parse_report,
)
from harness.hosts.qemu import binary
from harness.results.readings import FidelityRecord

GUEST_SECONDS = 20.0  # the guest itself takes a tenth of one

# need: the fact that must be true, and what is said of a machine where it is false.
MEASURED_NEEDS = {
    "device-alignment": (
        "device_alignment_fault",
        "raises no alignment faults for Device memory",
    ),
    "s2-alignment": (
        "s2_device_fault",
        "raises no stage-2 alignment faults for Device memory",
    ),
    "s2-alignment-repeat": (
        "s2_device_fault_hit",
        "takes no alignment fault to EL2 for stage 2's Device memory once the TLB holds the page",
    ),
    "s1-device-over-s2-normal": (
        "s1_device_over_s2_normal_first",
        "raises no alignment faults where stage 1 says Device and stage 2 Normal",
    ),
    "s1-device-over-s2-normal-repeat": (
        "s1_device_over_s2_normal_hit",
        "raises no alignment faults where stage 1 says Device and stage 2 Normal once the TLB "
        "holds the page",
    ),
    "exec-memory-type": (
        "exec_device_fault",
        "fetches instructions from Device memory as from Normal memory",
    ),
    "fwb": ("fwb", "has no FEAT_S2FWB"),
    "vhe": ("vhe", "has no FEAT_VHE"),
    "nv2": ("nv2", "has no FEAT_NV2"),
    "mte": ("mte", "has no FEAT_MTE2"),
    "lse": ("lse", "has no FEAT_LSE"),
}
# Not a matter of measuring: what the accelerator is.
TCG_NEEDS = {
    "write-combining": "emulates the CPU (TCG) and never merges or reorders stores",
    "timing": "emulates the CPU (TCG): its timings say nothing about hardware",
}
# A device that QEMU emulates sees a store as a call or as bytes in RAM.
KVM_NEEDS = {
    "write-combining": "emulates the device: no transaction of a store can be seen",
}
NEEDS = (*MEASURED_NEEDS, *TCG_NEEDS)


class Identity(Frozen):
    """Everything that shapes the facts: two machines with the same identity show the same."""

    qemu: str
    qemu_size: int
    qemu_mtime_ns: int
    qemu_version: str  # first line of --version
    qemu_args: list[str]
    accel: Literal["tcg", "kvm"]
    cpu: str
    smp: int
    el2: bool
    icount: bool
    host: str  # with KVM it is the host's CPU and kernel that are measured, else empty
    guest: str  # hash of the calibration guest's sources

    def key(self) -> str:
        shaping = self.model_dump_json(include=set(Identity.model_fields))
        return hashlib.sha256(shaping.encode()).hexdigest()[:32]

    @property
    def label(self) -> str:
        """E.g. `QEMU 7.2.22 with cortex-a72 and 2 CPUs`."""
        found = re.search(r"version (\S+)", self.qemu_version)
        cpus = "1 CPU" if self.smp == 1 else f"{self.smp} CPUs"
        icount = " and icount" if self.icount else ""
        kvm = "KVM, " if self.accel == "kvm" else ""
        joint = ", " if icount else " and "
        return f"QEMU {found[1] if found else '?'} with {kvm}{self.cpu}{joint}{cpus}{icount}"


class Fidelity(Identity):
    """The facts of one machine; `report` are the guest's own lines (`exclude` it in a record)."""

    facts: Facts
    report: dict[str, str]

    def mappings(self) -> list[Mapping]:
        return mappings(self.report)

    def disagreements(self) -> list[Mapping]:
        """Where this machine combines the stages otherwise than the architecture says."""
        return disagreements(self.mappings())


def limits(fidelity: Fidelity) -> dict[str, str]:
    """For each of NEEDS that the machine cannot show: why, as the reason of a SKIP."""
    found: dict[str, str] = {}
    for need, (name, claim) in MEASURED_NEEDS.items():
        fact: Fact = getattr(fidelity.facts, name)
        if isinstance(fact, str):
            found[need] = f"{fidelity.label}: {need} is {fact}"
        elif not fact:
            found[need] = f"{fidelity.label} {claim} (measured)"
    for need, claim in (TCG_NEEDS if fidelity.accel == "tcg" else KVM_NEEDS).items():
        found[need] = f"{fidelity.label} {claim}"
    return found


def fidelity_record(fidelity: Fidelity) -> FidelityRecord:
    """Return the facts as a cell's record has them, with the limits that follow from them."""
    measured = fidelity.model_dump(mode="json", exclude={"report"})
    return FidelityRecord(**measured, limits=limits(fidelity))


def command_line(identity: Identity, image: Path) -> list[str]:
    """The QEMU command that runs the calibration guest `image`."""
    machine = "virt,gic-version=max" + (",virtualization=on" if identity.el2 else "")
    return [
        identity.qemu,
        *identity.qemu_args,
        *("-M", machine, "-accel", identity.accel, "-cpu", identity.cpu),
        *("-smp", str(identity.smp), "-m", "64"),
        *(("-icount", "shift=0,sleep=off") if identity.icount else ()),
        *("-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none"),
        *("-serial", "stdio", "-kernel", str(image)),
    ]


def identify(
    qemu: Path,
    qemu_args: Sequence[str],
    *,
    cpu: str,
    smp: int,
    el2: bool,
    icount: bool,
    accel: Literal["tcg", "kvm"],
) -> Identity:
    """The identity of a machine; MachineError when `qemu` is not there or is no QEMU."""
    try:
        stat = qemu.stat()
    except OSError as error:
        raise MachineError(f"{qemu}: {error.strerror}") from None
    return Identity(
        qemu=str(qemu),
        qemu_size=stat.st_size,
        qemu_mtime_ns=stat.st_mtime_ns,
        qemu_version=f"QEMU emulator version {binary.identify(qemu).version}",
        qemu_args=list(qemu_args),
        accel=accel,
        cpu=cpu,
        smp=smp,
        el2=el2,
        icount=icount,
        host=f"{platform.node()} {platform.release()}" if accel == "kvm" else "",
        guest=guest.source_hash(),
    )


def calibrate(
    qemu: Path,
    qemu_args: Sequence[str],
    *,
    cpu: str,
    smp: int,
    el2: bool,
    icount: bool,
    accel: Literal["tcg", "kvm"],
    deadline: Deadline,
) -> Fidelity:
    """What a machine of this QEMU shows: from the cache, or by running the calibration guest.

    `el2` is `virtualization=on`. MachineError when QEMU cannot run it or the guest's report
    makes no sense, BuildError when the guest cannot be built.
    """
    try:
        identity = identify(qemu, qemu_args, cpu=cpu, smp=smp, el2=el2, icount=icount, accel=accel)
        folder = paths.cache_dir("fidelity")
        cached = folder / f"{identity.key()}.json"
        with locked(folder / "lock", "the calibration of machines", deadline):
            known = _read(cached, identity)
            if known is None:
                image = guest.build_image(folder, deadline)
                known = _measure(identity, image, deadline)
                write_atomic(cached, known.model_dump_json(indent=1))
            return known
    except OSError as error:
        raise MachineError(f"the cache of calibrations cannot be used: {error}") from None


def _measure(identity: Identity, image: Path, deadline: Deadline) -> Fidelity:
    try:
        said = guest.run_guest(command_line(identity, image), deadline.at_most(GUEST_SECONDS))
        report = parse_report(said)
        return Fidelity(**identity.model_dump(), facts=interpret(report), report=report)
    except MachineError as error:
        raise MachineError(f"{identity.label}: {error}") from None


def _read(path: Path, identity: Identity) -> Fidelity | None:
    """A cached finding; None when there is none, or none that can be read."""
    try:
        found = Fidelity.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return found if found.key() == identity.key() else None
