# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval host add`: write a host's file, from what the machine reports and its user knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.base.deadline import Deadline
from harness.base.errors import UsageError
from harness.base.files import write_atomic
from harness.base.paths import private_hosts
from harness.hosts.lab.boot.state import read_state
from harness.hosts.lab.connection import UnknownHostKeyError, fingerprint, remember_host_key
from harness.hosts.lab.hostfile import NAME, HostFile, list_hosts
from harness.hosts.lab.link import Link
from harness.hosts.lab.survey.checks import boot_problem
from harness.hosts.lab.survey.survey import PciDevice, Survey, best_bar, survey

KEYS_ASKED = 3  # host keys to agree to: of the machine and its jump hosts
METHODS = ("kexec-initramfs", "grub-reboot", "efibootmgr")
# Classes of devices that nobody passes to a guest: bridges, system peripherals, processors.
NOT_TESTED = ("06", "08", "0b")
POWER = {
    "on": "Command that switches its power on",
    "off": "Command that switches it off",
    "cycle": "Command that switches it off and on",
    "status": "Command that prints on or off",
}
FILE = """\
# SPDX-License-Identifier: GPL-2.0-only
# A lab host of s2eval; docs/lab.md explains every key.
description = {description}
address = {address}
{reach}
# The serial console: any command that shows it on a terminal.
console = {console}

# Any commands of this computer; `status` prints on or off.
[power]
{power}
{device}
[boot]
method = {method}
safe = {safe}  # the machine's own kernel, to which it always comes back
"""
DEVICE = """
[device]
bdf = {bdf}
pci = {pci}  # its vendor and device
bar = {bar}
writable = "nothing"  # or "all", or ranges of offsets: "0x0-0xfff,0x2000-0x2fff"
driver = {driver}  # that it is given back to
"""


@dataclass(frozen=True)
class AddRequest:
    """The options of `s2eval host add`; "" for what is to be found out or asked for."""

    name: str
    address: str
    device: str = ""
    jump: str = ""
    key: str = ""
    console: str | None = None
    power: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    replace: bool = False


@dataclass(frozen=True)
class Questions:
    """How the user is asked: `ask` for a text ("" for none), `agree` to something.

    With `silent` nothing is asked that may be left out.
    """

    ask: Callable[[str], str]
    agree: Callable[[str], bool]
    silent: bool = False

    def optional(self, text: str) -> str:
        """Return the user's answer; "" when nothing is asked."""
        return "" if self.silent else self.ask(f"{text} (empty: none)").strip()


def add(request: AddRequest, questions: Questions, say: Callable[[str], object]) -> Path:
    """Write the host's file and return its path. `say` gets what was found out.

    Raise UsageError for options that are wrong, LabError when the machine cannot be asked.
    """
    file = _file_of(request)
    host = _draft(request)
    with Link(host) as link:
        _connect(link, questions)
        seen = survey(link, request.device, Deadline(host.limits.command))
        virtual = read_state(link, Deadline(host.limits.command)).virtual
        say(f"{seen['system'] or 'Linux'}, {seen['arch']}, {seen['release']}, {seen['cpus']} CPUs")
        bdf = request.device or _ask_device(seen, questions)
        if bdf:
            if bdf not in seen.devices:
                raise UsageError(f"{request.name} has no PCI device {bdf}: {_listed(seen)}")
            if bdf != request.device:
                seen = survey(link, bdf, Deadline(host.limits.command))
            say(_described(seen, bdf))
    console, power = _ask_out_of_band(request, questions)
    method, problem = _method(host, seen)
    if problem:
        say(f"boot method {method}: {problem}")
    text = _file_text(request, seen, bdf, console, power, method, virtual=virtual)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, text)
    file.chmod(0o600)
    return file


def _file_of(request: AddRequest) -> Path:
    """Return the path of the file to be written. Raise UsageError when it must not be."""
    if not NAME.fullmatch(request.name):
        raise UsageError(f"'{request.name}' is no name for a host: letters, digits, . _ -")
    file = private_hosts() / f"{request.name}.toml"
    known = list_hosts().get(request.name)
    if known and not request.replace:
        raise UsageError(f"{request.name} is there already, {known}: edit it, or --force")
    return file


def _draft(request: AddRequest) -> HostFile:
    """Return the host as far as it is known. Raise UsageError for a wrong option."""
    values: dict[str, Any] = {"name": request.name, "address": request.address}
    if request.jump:
        values["jump"] = request.jump
    if request.key:
        values["key"] = request.key
    if request.device:
        values["device"] = {"bdf": request.device}
    try:
        return HostFile.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        reason = first["ctx"]["error"] if first["type"] == "value_error" else first["msg"].lower()
        raise UsageError(f"--{first['loc'][0]}: {reason}") from None


def _connect(link: Link, questions: Questions) -> None:
    """Connect, and have the user agree to host keys that are not known.

    Raise UnknownHostKeyError when the user does not agree.
    """
    for _ in range(KEYS_ASKED):
        try:
            link.connect(Deadline(link.host.limits.connect))
            return
        except UnknownHostKeyError as error:
            text = f"{error.name} has the key {fingerprint(error.key)}. Is it the machine's?"
            if not questions.agree(text):
                raise
            remember_host_key(error.name, error.key)
    link.connect(Deadline(link.host.limits.connect))


def _candidates(seen: Survey) -> list[PciDevice]:
    """Return the devices that may be passed to a guest: none that the machine itself needs."""
    return [
        device
        for bdf, device in seen.devices.items()
        if not device.kind.startswith(NOT_TESTED) and bdf not in seen.uses
    ]


def _ask_device(seen: Survey, questions: Questions) -> str:
    there = _candidates(seen)
    if questions.silent or not there:
        return ""
    lines = [f"  {_device_words(device)}" for device in there]
    return questions.optional("\n".join(["Devices:", *lines, "Device under test"]))


def _device_words(device: PciDevice) -> str:
    group = f"IOMMU group {device.group}" if device.group else "no IOMMU group"
    return f"{device.bdf} {device.ident}, {device.driver or 'no driver'}, {group}"


def _described(seen: Survey, bdf: str) -> str:
    bars = {bar.number: bar for bar in seen.bars}
    best = bars.get(best_bar(seen.bars))
    bar = f"BAR {best.number} of {best.size >> 10} KiB" if best else "no BAR in memory"
    return f"device {_device_words(seen.devices[bdf])}, {bar}"


def _listed(seen: Survey) -> str:
    return "there are " + ", ".join(device.bdf for device in _candidates(seen)) or "there is none"


def _ask_out_of_band(request: AddRequest, questions: Questions) -> tuple[str, dict[str, str]]:
    """Return the commands of console and power: the options', or what the user answers."""
    console = request.console
    if console is None:
        console = questions.optional("Command that shows its serial console")
    power = {name: text for name, text in request.power.items() if text}
    if not power:
        for name, text in POWER.items():
            if name == "on" or power:  # who cannot switch it on has nothing else
                power[name] = questions.optional(text)
            if not power.get("on"):
                break
    return console, {name: text for name, text in power.items() if text}


def _method(host: HostFile, seen: Survey) -> tuple[str, str]:
    """Return the first boot method that lacks nothing on the machine, and why not the first."""
    problem = ""
    for method in METHODS:
        boot = host.boot.model_copy(update={"method": method})
        lacking = boot_problem(host.model_copy(update={"boot": boot}), seen)
        if lacking is None:
            return method, problem
        problem = problem or lacking[0]
    return "none", problem


def _file_text(
    request: AddRequest,
    seen: Survey,
    bdf: str,
    console: str,
    power: Mapping[str, str],
    method: str,
    *,
    virtual: bool,
) -> str:
    reach = [
        f"{key} = {_quoted(text)}"
        for key, text in (("jump", request.jump), ("key", request.key))
        if text
    ]
    if virtual:
        reach.append("virtual = true  # a virtual machine: none of its figures counts")
    device = ""
    if bdf:
        there = seen.devices[bdf]
        device = DEVICE.format(
            bdf=_quoted(bdf),
            pci=_quoted(there.ident),
            bar=best_bar(seen.bars),
            driver=_quoted("" if there.driver == "vfio-pci" else there.driver),
        )
    commands = [f"{key} = {_quoted(power.get(key, ''))}" for key in POWER]
    return FILE.format(
        description=_quoted(request.description or seen["model"] or seen["system"]),
        address=_quoted(request.address),
        reach="".join(f"{line}\n" for line in reach),
        console=_quoted(console),
        power="\n".join(commands),
        device=device,
        method=_quoted(method),
        safe=_quoted(seen["release"]),
    )


def _quoted(text: str) -> str:
    """Return `text` as a string of TOML, which are those of JSON (TOML 1.0, String)."""
    return json.dumps(text, ensure_ascii=False)
