# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval list`: what there is to name on a command line."""

from __future__ import annotations

from pydantic import BaseModel

from harness import home
from harness.guest.machine import list_machines, load_machine, unusable
from harness.kernel.spec import list_kernels, list_series
from harness.names import read_toml
from harness.probe.suite import list_suites, load_suite


class Entry(BaseModel):
    name: str
    description: str


class Listing(BaseModel):
    """Everything with a name; a machine this host cannot run says so."""

    kernels: list[Entry]
    series: list[Entry]
    machines: list[Entry]
    suites: list[Entry]
    plans: list[Entry]


def listing() -> Listing:
    """Read the data files. UsageError when one of them is wrong."""
    machines = []
    for name in list_machines():
        machine = load_machine(name)
        reason = unusable(machine)
        note = f" (not here: {reason})" if reason else ""
        machines.append(Entry(name=name, description=machine.description + note))
    plans = [
        Entry(name=f"plans/{path.name}", description=read_toml(path).get("description", ""))
        for path in sorted(home.PLANS.glob("*.toml"))
    ]
    return Listing(
        kernels=[Entry(name=k.name, description=k.description) for k in list_kernels()],
        series=[Entry(name=name, description=_subject(name)) for name in list_series()],
        machines=machines,
        suites=[Entry(name=n, description=load_suite(n).description) for n in list_suites()],
        plans=plans,
    )


def _subject(series: str) -> str:
    """The subject of a series' last patch, which is what it comes down to."""
    patches = sorted((home.KERNELS / "patches" / series).glob("*.patch"))
    for line in patches[-1].read_text().splitlines() if patches else []:
        if line.startswith("Subject: "):
            return line.removeprefix("Subject: ").partition("] ")[2] or line
    return ""


def render(found: Listing) -> str:
    """The listing as text, a group a paragraph."""
    paragraphs = []
    for group, entries in found:
        width = max((len(e.name) for e in entries), default=0)
        lines = [f"  {e.name:<{width}}  {e.description}".rstrip() for e in entries]
        paragraphs.append("\n".join([f"{group}:", *lines]))
    return "\n\n".join(paragraphs)
