# SPDX-License-Identifier: GPL-2.0-only
"""Machines: qemu-configs/NAME.toml or any file, and the QEMU command line of their templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.base import paths
from harness.base.errors import UsageError
from harness.base.toml import parse, read_toml, unknown
from harness.hosts.hang.patience import Patience
from harness.hosts.machines.template import fill
from harness.results.records import MachineRecord


class Device(BaseModel):
    """The PCI device under test, qemu-configs/devices/NAME.toml.

    `pci` is its vendor and device (`1af4:1110`), `bar` the number of the BAR that suites map,
    `arguments` a template of QEMU's options. `host_file`: the BAR's memory is the file `bar_file`
    on this computer. `screen`: QEMU can dump the device's picture. `traced`: QEMU's name of a
    memory region whose accesses QEMU emulates and can trace. `saved`: QEMU can save and restore a
    machine with this device. `qemu`: the oldest QEMU version that has the device.
    """

    model_config = ConfigDict(extra="forbid")
    name: str
    description: str
    pci: str = Field(pattern="^[0-9a-f]{4}:[0-9a-f]{4}$")
    bar: int = Field(ge=0, le=5)
    arguments: str
    host_file: bool = False
    screen: bool = False
    traced: str = ""
    saved: bool = False
    qemu: str = ""


class L2(BaseModel):
    """The guest inside the guest; `device_options` are more options of its vfio-pci device.

    `vmm` is the name of the VMM that starts it (harness/guests/vmm/), `cpus` the host's CPUs that
    the VMM is pinned to, as taskset names them. `hugepages`: its memory is of those of the host.
    """

    model_config = ConfigDict(extra="forbid")
    cpu: str = "host"
    smp: int = Field(default=2, ge=1, le=16)
    memory_mib: int = Field(default=128, ge=32)
    vmm: str = "qemu"
    template: str = "l2.j2"
    device_options: str = ""
    cpus: str = Field(default="", pattern=r"^[0-9,-]*$")
    hugepages: bool = False


class Limits(BaseModel):
    """Seconds of wall time; `silence` is how long a guest may print nothing at all.

    A suite has its own limit, which is multiplied by `slowdown` (of a machine slow on purpose).
    What follows from a kernel's base (harness/evaluate/cell/limits.py) is `factor` times what the
    base took, `floor` at least. So are `look` and for L1's boot `look_boot`: the silence after
    which a guest's CPUs are looked at, `silence` where they are None.
    """

    model_config = ConfigDict(extra="forbid")
    boot: float = 60
    silence: float = 15
    slowdown: float = 1
    factor: float = Field(default=3, ge=1)
    floor: float = Field(default=4, gt=0)
    look: float | None = Field(default=None, gt=0)
    look_boot: float | None = Field(default=None, gt=0)


class Machine(BaseModel):
    """How a kernel is booted. A machine's file may extend another and hold only what differs.

    `append` is added to the kernel command line of L1.
    """

    model_config = ConfigDict(extra="forbid")
    name: str
    extends: str | None = None
    description: str
    topology: Literal["flat", "nested", "host", "lab"]
    accel: Literal["tcg", "kvm"]
    cpu: str
    smp: int = Field(ge=1, le=16)
    memory_mib: int = Field(ge=64)
    icount: bool = False
    template: str
    append: str = ""
    device: Device
    device_slot: str = "0x10"  # fixed, so that L1 knows the device's address beforehand
    l2: L2 | None = None
    limits: Limits = Limits()

    @property
    def device_bdf(self) -> str:
        """Return the device's PCI address (DDDD:BB:DD.F) in L1."""
        return f"0000:00:{int(self.device_slot, 16):02x}.0"

    def key(self, *names: str) -> str:
        """Return where a user can change these limits, for a message."""
        return f"{' and '.join(names)} in [limits] of the machine {self.name}"

    @property
    def refusal(self) -> str:
        """Return why suites must not run on this machine; "" when they may."""
        return ""

    @property
    def patience(self) -> Patience:
        """Return how long a guest that has booted may print nothing."""
        return self._patience(self.limits.look)

    @property
    def boot_patience(self) -> Patience:
        """Return how long L1 may print nothing while it boots."""
        return self._patience(self.limits.look_boot)

    def _patience(self, look: float | None) -> Patience:
        limits, whole = self.limits, self.key("silence")
        if look is None:
            return Patience(limits.silence, limits.silence, whole, whole)
        base = f"{limits.factor:g} times the base's longest silence, at least {limits.floor:g} s"
        return Patience(look, limits.silence, f"{base}: {self.key('factor', 'floor')}", whole)

    def unwatched(self) -> Machine:
        """Return this machine without its device's trace (up to 20 MB a second) and screen."""
        device = self.device.model_copy(update={"traced": "", "screen": False})
        return self.model_copy(update={"device": device})

    def fill(self, script: str) -> str:
        """Return a suite's script with its placeholders filled for this machine.

        `@device` is the vendor and device to be probed, `@bar` the BAR's number, `@real` is 1 where
        time is a real CPU's, else 0.
        """
        real = "1" if self.accel == "kvm" else "0"
        values = {"@device": self.device.pci, "@bar": str(self.device.bar), "@real": real}
        for placeholder, value in values.items():
            script = script.replace(placeholder, value)
        return script

    def record(self, qemu: str, command: list[str]) -> MachineRecord:
        """Return the machine's record; `qemu` is a version, `command` QEMU's command line."""
        return MachineRecord(
            name=self.name,
            topology=self.topology,
            accel=self.accel,
            cpu=self.cpu,
            smp=self.smp,
            memory_mib=self.memory_mib,
            qemu=qemu,
            command=command,
        )


def list_machines() -> dict[str, Path]:
    """Return the file of each machine by its name."""
    return paths.MACHINES.files()


def list_devices() -> dict[str, Path]:
    """Return the file of each device by its name."""
    return paths.DEVICES.files()


def load_device(name: str) -> Device:
    """Return the device `name`. Raise UsageError when there is none or its file is wrong."""
    path = paths.DEVICES.find(name)
    if path is None:
        raise unknown("device", name, list_devices())
    return parse(Device, path, {**read_toml(path), "name": name})


def _file(name: str, behind: Path | None = None) -> Path:
    """Return the file of machine `name`, behind the file `behind` in the search order.

    Raise UsageError when there is none.
    """
    path = paths.MACHINES.find(name, behind)
    if path is None:
        raise unknown("machine", name, list_machines())
    return path


def _values(path: Path, extending: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return the values of a machine's file over those of the files that it extends."""
    if path in extending:
        circle = " -> ".join(file.stem for file in (*extending, path))
        raise UsageError(f"{path}: machines extend each other in a circle: {circle}")
    values = read_toml(path)
    if "extends" not in values:
        return values
    base = str(values["extends"])
    if "/" in base:
        extended = (path.parent / Path(base).expanduser()).resolve()
    else:
        extended = _file(base, behind=path if base == path.stem else None)
    merged = _values(extended, (*extending, path))
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = {**merged[key], **value}
        else:
            merged[key] = value
    return merged


def load_machine(name: str, *, cpu: str | None = None) -> Machine:
    """Return the machine `name`; a name with a slash is the path of a machine's file.

    `cpu` replaces the machine's CPU model. Raise UsageError when there is no such machine or its
    file is wrong.
    """
    path = Path(name).expanduser().absolute() if "/" in name else _file(name)
    values = _values(path)
    if "device" in values:
        values["device"] = load_device(str(values["device"]))
    machine = parse(Machine, path, {**values, "name": path.stem})
    return machine.model_copy(update={"cpu": cpu}) if cpu else machine


def render(
    template: str,
    machine: Machine,
    *,
    chardev: Callable[[str], str],
    files: Mapping[str, Path | str],
    append: str = "",
    control: bool = True,
) -> list[str]:
    """Return the arguments for QEMU that `template` gives for `machine`.

    `chardev(name)` returns the option for a channel, `files` are the paths that the template
    names, `append` is added to the kernel command line, `control` adds QMP and the gdb stub. Raise
    UsageError when the template cannot be filled.
    """
    values = {"append": append, **{name: str(value) for name, value in files.items()}}
    return fill(template, machine, values, chardev, control=control)
