# SPDX-License-Identifier: GPL-2.0-only
"""Machines: qemu-configs/NAME.toml or any file, and the QEMU command line of their templates."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from pydantic import BaseModel, ConfigDict, Field

from harness import home
from harness.errors import UsageError
from harness.guest.kvm import why_no_kvm, why_no_nested_kvm
from harness.names import parse, read_toml, unknown
from harness.results.records import MachineRecord


class L2(BaseModel):
    """The guest inside the guest."""

    model_config = ConfigDict(extra="forbid")
    cpu: str = "host"
    smp: int = Field(default=2, ge=1, le=16)
    memory_mib: int = Field(default=128, ge=32)
    template: str = "l2.j2"


class Limits(BaseModel):
    """Seconds of wall time; `silence` is how long a guest may say nothing at all.

    A suite has its own limit, times `slowdown` on a machine that is slow on purpose.
    """

    model_config = ConfigDict(extra="forbid")
    boot: float = 60
    silence: float = 15
    slowdown: float = 1


class Machine(BaseModel):
    """How a kernel is booted. A file may extend another and say only what differs.

    `append` is added to the kernel command line of L1.
    """

    model_config = ConfigDict(extra="forbid")
    name: str
    extends: str | None = None
    description: str
    topology: Literal["flat", "nested"]
    accel: Literal["tcg", "kvm"]
    cpu: str
    smp: int = Field(ge=1, le=16)
    memory_mib: int = Field(ge=64)
    icount: bool = False
    template: str
    append: str = ""
    device: str
    device_slot: str = "0x10"  # fixed, so that L1 knows the device's address beforehand
    l2: L2 | None = None
    limits: Limits = Limits()

    @property
    def device_bdf(self) -> str:
        return f"0000:00:{int(self.device_slot, 16):02x}.0"

    def record(self, qemu: str, command: list[str]) -> MachineRecord:
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


def list_machines() -> list[str]:
    return sorted(p.stem for p in home.MACHINES.glob("*.toml"))


def _path(name: str) -> Path:
    """The file of machine `name`; a name with a slash is the file itself."""
    return Path(name).expanduser() if "/" in name else home.MACHINES / f"{name}.toml"


def _values(name: str, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    path = _path(name)
    if name in seen:
        raise UsageError(f"{path}: machines extend each other in a circle: {' -> '.join(seen)}")
    if "/" not in name and not path.is_file():
        raise unknown("machine", name, list_machines())
    own = read_toml(path)
    if "extends" not in own:
        return own
    merged = _values(str(own["extends"]), (*seen, name))
    for key, value in own.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = {**merged[key], **value}
        else:
            merged[key] = value
    return merged


def load_machine(name: str, *, cpu: str | None = None) -> Machine:
    """The machine `name`; `cpu` puts another CPU model in its place.

    UsageError when there is none or its file is wrong.
    """
    path = _path(name)
    machine = parse(Machine, path, {**_values(name), "name": path.stem})
    return machine.model_copy(update={"cpu": cpu}) if cpu else machine


def unusable(machine: Machine) -> str | None:
    """Why this host cannot run `machine`, or None."""
    if machine.accel != "kvm":
        return None
    return why_no_nested_kvm() if machine.topology == "nested" else why_no_kvm()


def _option_value(value: object) -> str:
    """A value inside a QEMU option: a comma is doubled there."""
    return shlex.quote(str(value).replace(",", ",,"))


def render(
    template: str,
    machine: Machine,
    *,
    chardev: Callable[[str], str],
    files: Mapping[str, Path | str],
    append: str = "",
    control: bool = True,
) -> list[str]:
    """The arguments `template` gives.

    `chardev(name)` says where a channel goes, `files` are the paths the template names, `append`
    is added to the kernel command line, `control` adds QMP and the gdb stub.
    """
    env = Environment(  # noqa: S701 - command lines, not HTML; values are quoted by filters
        loader=FileSystemLoader(home.MACHINES), undefined=StrictUndefined, trim_blocks=True
    )
    env.filters["arg"] = lambda value: shlex.quote(str(value))
    env.filters["value"] = _option_value
    names: dict[str, Any] = {"machine": machine, "append": append, "control": control, **files}
    env.globals.update(names, chardev=chardev)
    try:
        text = env.get_template(template).render()
    except TemplateError as error:
        raise UsageError(f"qemu-configs/{template}: {error}") from None
    return shlex.split(text)
