# SPDX-License-Identifier: GPL-2.0-only
"""Fidelity: the effects of Arm's memory types on a machine, measured by the calibration guest.

A probe that needs more is SKIP with the sentence that `limits()` gives. docs/fidelity.md has
measured values.
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
from harness.base.json_text import json_text
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

# By need: the fact that must be true, and the sentence about a machine where it is false.
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
# Not measured: these follow from the accelerator.
TCG_NEEDS = {
    "write-combining": "emulates the CPU (TCG) and never merges or reorders stores",
    "timing": "emulates the CPU (TCG): its timings say nothing about hardware",
}
# A device that QEMU emulates gets a store as a call or as bytes in RAM, never as a transaction.
KVM_NEEDS = {
    "write-combining": "emulates the device: no transaction of a store can be seen",
}
NEEDS = (*MEASURED_NEEDS, *TCG_NEEDS)


class Identity(Frozen):
    """All inputs of a calibration: two machines of the same identity have the same facts."""

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
        """Return a hash of the identity, which names the cached calibration."""
        identity = json_text(self, include=set(Identity.model_fields))
        return hashlib.sha256(identity.encode()).hexdigest()[:32]

    @property
    def label(self) -> str:
        """Return the machine's description, e.g. `QEMU 7.2.22 with cortex-a72 and 2 CPUs`."""
        version = re.search(r"version (\S+)", self.qemu_version)
        cpus = "1 CPU" if self.smp == 1 else f"{self.smp} CPUs"
        icount = " and icount" if self.icount else ""
        kvm = "KVM, " if self.accel == "kvm" else ""
        separator = ", " if icount else " and "
        number = version[1] if version else "?"
        return f"QEMU {number} with {kvm}{self.cpu}{separator}{cpus}{icount}"


class Fidelity(Identity):
    """The facts of one machine; `report` has the guest's own lines, which no record keeps."""

    facts: Facts
    report: dict[str, str]

    def mappings(self) -> list[Mapping]:
        """Return the mappings of the report. Raise MachineError when the report is malformed."""
        return mappings(self.report)

    def disagreements(self) -> list[Mapping]:
        """Return the mappings whose stages this machine combines unlike the architecture."""
        return disagreements(self.mappings())


def limits(fidelity: Fidelity) -> dict[str, str]:
    """Return, for each of NEEDS that the machine cannot show, why: the reason of a SKIP."""
    reasons: dict[str, str] = {}
    for need, (name, claim) in MEASURED_NEEDS.items():
        fact: Fact = getattr(fidelity.facts, name)
        if isinstance(fact, str):
            reasons[need] = f"{fidelity.label}: {need} is {fact}"
        elif not fact:
            reasons[need] = f"{fidelity.label} {claim} (measured)"
    for need, claim in (TCG_NEEDS if fidelity.accel == "tcg" else KVM_NEEDS).items():
        reasons[need] = f"{fidelity.label} {claim}"
    return reasons


def fidelity_record(fidelity: Fidelity) -> FidelityRecord:
    """Return the facts as a cell's record has them, with the limits that follow from them."""
    measured = fidelity.model_dump(mode="json", exclude={"report"})
    return FidelityRecord(**measured, limits=limits(fidelity))


def command_line(identity: Identity, image: Path) -> list[str]:
    """Return the QEMU command that runs the calibration guest `image`."""
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
    """Return a machine's identity. Raise MachineError when `qemu` is not there or is no QEMU."""
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
    """Return the fidelity of a machine, from the cache or by running the calibration guest.

    `el2` is `virtualization=on`. Raise MachineError when QEMU cannot run the guest or its report
    is malformed, BuildError when the guest cannot be built.
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
                write_atomic(cached, json_text(known, indent=1))
            return known
    except OSError as error:
        raise MachineError(f"the cache of calibrations cannot be used: {error}") from None


def _measure(identity: Identity, image: Path, deadline: Deadline) -> Fidelity:
    try:
        output = guest.run_guest(command_line(identity, image), deadline.at_most(GUEST_SECONDS))
        report = parse_report(output)
        return Fidelity(**identity.model_dump(), facts=interpret(report), report=report)
    except MachineError as error:
        raise MachineError(f"{identity.label}: {error}") from None


def _read(path: Path, identity: Identity) -> Fidelity | None:
    """Return the cached fidelity; None when there is none, or it is malformed."""
    try:
        fidelity = Fidelity.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return fidelity if fidelity.key() == identity.key() else None
