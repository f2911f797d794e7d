# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval list`: the names that a command line can use."""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from harness.base.paths import KERNELS, PLANS, origin
from harness.base.toml import read_toml
from harness.guests.usable import unusable
from harness.hosts.machines.machine import list_machines
from harness.hosts.named import load_machine
from harness.kernel.spec import list_series, load
from harness.suites.suite import list_suites, load_suite

NARROW = 20  # characters: a description is not folded into a narrower column


class Entry(BaseModel):
    """A name and its description; `folder` is its data folder, "" for the project's own."""

    name: str
    description: str
    folder: str = ""


class Listing(BaseModel):
    """All entries by kind; the description of a machine that this host cannot run says so."""

    kernels: list[Entry]
    series: list[Entry]
    machines: list[Entry]
    suites: list[Entry]
    plans: list[Entry]


def listing() -> Listing:
    """Return all entries of the data files; raise UsageError when a data file is wrong."""
    return Listing(
        kernels=_entries(KERNELS.files(), lambda name, path: load(path).description),
        series=_entries(list_series(), lambda name, path: _subject(path)),
        machines=_entries(list_machines(), lambda name, path: _machine(name)),
        suites=_entries(list_suites(), lambda name, path: load_suite(name).description),
        plans=_entries(PLANS.files(), lambda name, path: _plan(path)),
    )


def _entries(files: dict[str, Path], describe: Callable[[str, Path], str]) -> list[Entry]:
    return [
        Entry(name=name, description=describe(name, path), folder=origin(path))
        for name, path in files.items()
    ]


def _machine(name: str) -> str:
    machine = load_machine(name)
    reason = unusable(machine)
    return f"{machine.description} (not here: {reason})" if reason else machine.description


def _plan(path: Path) -> str:
    return str(read_toml(path).get("description", ""))


def _subject(series: Path) -> str:
    """Return the subject of a series' last patch, which tells best what the series does."""
    patches = sorted(series.glob("*.patch"))
    for line in patches[-1].read_text().splitlines() if patches else []:
        if line.startswith("Subject: "):
            return line.removeprefix("Subject: ").partition("] ")[2] or line
    return ""


def render(listed: Listing, *, every: bool = False, width: int | None = None) -> str:
    """Return the listing as text, a paragraph for each kind, in lines of at most `width`.

    Entries that are not the project's own are followed by their folder. Without `width` that of
    the terminal is used; without a terminal each entry is one line, for grep. The series of a
    folder (`mutants/…`) are one line unless `every`.
    """
    width = shutil.get_terminal_size((0, 0)).columns if width is None else width
    paragraphs = []
    for group, entries in listed:
        shown = _by_folder(entries) if group == "series" and not every else entries
        name_width = max((len(e.name) for e in shown), default=0)
        lines = [line for e in shown for line in _lines(e, name_width, width)]
        paragraphs.append("\n".join([f"{group}:", *lines]))
    return "\n\n".join(paragraphs)


def _by_folder(entries: list[Entry]) -> list[Entry]:
    """Return the entries with those named `FOLDER/NAME` as one, where a folder has several."""
    folders = Counter(_folder(entry) for entry in entries)
    shown: dict[str, Entry] = {}
    for entry in entries:
        folder, count = _folder(entry), folders[_folder(entry)]
        if not folder or count == 1:
            shown[entry.name] = entry
        else:
            several = Entry(name=f"{folder}/*", description=f"{count} series; --all names each")
            shown.setdefault(several.name, several)
    return list(shown.values())


def _folder(entry: Entry) -> str:
    return entry.name.rpartition("/")[0]


def _lines(entry: Entry, name_width: int, width: int) -> list[str]:
    """Return the name with the description beside it, folded where there is room for that."""
    first = f"  {entry.name:<{name_width}}  "
    room = width - len(first)
    text = f"{entry.description} [{entry.folder}]" if entry.folder else entry.description
    if room < NARROW:
        return [f"{first}{text}".rstrip()]
    folded = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
    pieces = [first, *[" " * len(first)] * (len(folded) - 1)]
    return [f"{piece}{line}".rstrip() for piece, line in zip(pieces, folded, strict=True)]
