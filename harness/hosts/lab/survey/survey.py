# SPDX-License-Identifier: GPL-2.0-only
"""What a lab host is and has, as survey.sh there reports it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.text import clean
from harness.hosts.lab.link import Link

SCRIPT = Path(__file__).with_name("survey.sh")
BRIDGE = "0604"  # class of a PCI bridge (PCI Code and ID Assignment Specification)
PREFETCHABLE = 0x2000  # include/linux/ioport.h, IORESOURCE_PREFETCH
MEMORY = 0x200  # IORESOURCE_MEM
LINE = 4096  # characters


@dataclass(frozen=True)
class PciDevice:
    """A PCI device: `ident` is vendor:device; `driver` and IOMMU `group` are "" without one."""

    bdf: str
    ident: str
    kind: str  # its class
    driver: str
    group: str

    @property
    def is_bridge(self) -> bool:
        """Return whether it is a bridge, which a group may hold beside a device that is passed."""
        return self.kind.startswith(BRIDGE)


@dataclass(frozen=True)
class Bar:
    """A BAR of the device: its number and size in bytes."""

    number: int
    size: int
    memory: bool
    prefetchable: bool


@dataclass(frozen=True)
class Survey:
    """All that the machine reported. `facts` has one text a key, "" for what is not there."""

    facts: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)  # of its kernel's configuration
    tools: frozenset[str] = frozenset()
    devices: dict[str, PciDevice] = field(default_factory=dict)
    bars: tuple[Bar, ...] = ()
    uses: dict[str, str] = field(default_factory=dict)  # by BDF: the disk or network on it

    def __getitem__(self, key: str) -> str:
        return self.facts.get(key, "")

    def number(self, key: str) -> int:
        """Return a fact as a number, 0 without it."""
        text = self[key]
        return int(text) if text.isdigit() else 0

    def in_group(self, bdf: str) -> list[PciDevice]:
        """Return the other devices in the IOMMU group of the device at `bdf`, without bridges."""
        group = self.devices[bdf].group if bdf in self.devices else ""
        others = (other for other in self.devices.values() if other.group == group != "")
        return [other for other in others if other.bdf != bdf and not other.is_bridge]


def survey(link: Link, bdf: str, deadline: Deadline) -> Survey:
    """Return what the machine reports of itself and of the device at `bdf` ("" for none).

    Raise LabError when it does not answer.
    """
    script = SCRIPT.read_text(encoding="utf-8")
    argv = ["sh", "-c", script, "survey", link.host.folder, bdf]
    return parse_survey(link.run(argv, deadline, repeat=True).check().out.splitlines())


def parse_survey(lines: Iterable[str]) -> Survey:
    """Return the survey of these lines; a line that says nothing is left out."""
    facts: dict[str, str] = {}
    options: dict[str, str] = {}
    tools: set[str] = set()
    devices: dict[str, PciDevice] = {}
    bars: list[Bar] = []
    uses: dict[str, str] = {}
    for line in lines:
        key, _, text = clean(line, LINE).partition(" ")
        words = text.split()
        match key, words:
            case "option", [option]:
                name, _, value = option.partition("=")
                options[name] = value
            case "tool", [name]:
                tools.add(name)
            case "pci", [bdf, ident, kind, driver, group]:
                devices[bdf] = PciDevice(bdf, ident, kind, driver.strip("-"), group.strip("-"))
            case "bar", [number, first, last, flags]:
                bars.append(_bar(number, first, last, flags))
            case "disk", [bdf, name, mounts] if mounts != "0":
                uses[bdf] = f"the disk {name}, which is in use"
            case "network", [bdf, name, "up"]:
                uses.setdefault(bdf, f"the network {name}, which is up")
            case (("disk" | "network" | "pci" | "bar" | "option" | "tool"), _):
                continue
            case _:
                facts[key] = text
    return Survey(facts, options, frozenset(tools), devices, tuple(bars), uses)


def _bar(number: str, first: str, last: str, flags: str) -> Bar:
    kind = int(flags, 16)
    size = int(last, 16) - int(first, 16) + 1
    return Bar(int(number), size, bool(kind & MEMORY), bool(kind & PREFETCHABLE))


def best_bar(bars: Sequence[Bar]) -> int:
    """Return the number of the BAR that suites best map: prefetchable, then the largest memory."""
    memory = [bar for bar in bars if bar.memory]
    return max(memory, key=lambda bar: (bar.prefetchable, bar.size)).number if memory else 0
