# SPDX-License-Identifier: GPL-2.0-only
"""The lines that the code of an object comes from, by where that code lies in the Image.

The object is compiled once more with -g, which changes no instruction, by the command that kbuild
kept. Its sections are then linked to the addresses at which System.map has the object's symbols, so
that DWARF's addresses are the kernel's own.
"""

from __future__ import annotations

import os.path
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.evaluate.patch.reach.objects import is_nvhe
from harness.evaluate.patch.source.objects import NVHE, command_of, output_of
from harness.kernel.toolchain import cross_prefix

INSTRUCTION = 4  # bytes
NOWHERE = 0x1000  # where code is put that the kernel has dropped, e.g. .exit.text
ROOM = 1 << 28  # bytes between the places of such sections
_SYMBOL = re.compile(r"^([0-9a-f]+) (.{7}) (\S+)\s+([0-9a-f]+)\s+(?:\.hidden )?(\S+)$")
_SECTION = re.compile(r"^\s*\d+ (\S+)\s+([0-9a-f]+) .*\n.*\bCODE\b", re.MULTILINE)
_MAP = re.compile(r"^([0-9a-f]{16}) \S (\S+)$", re.MULTILINE)
_MARKER = re.compile(r'^# (\d+) "([^"]*)"')
_KEPT_OUTSIDE = re.compile(r"\.(?:altinstr|fixup|discard|debug)")  # no code of its own place


@dataclass
class Code:
    """The code of some objects: the addresses of each (file, line), as far as it has any.

    `failed` are the objects that could not be looked at.
    """

    addresses: dict[tuple[str, int], set[int]] = field(default_factory=lambda: defaultdict(set))
    failed: list[Path] = field(default_factory=list)


class CodeFinder:
    """Reads objects of the O= folder `out` of the tree `work`; its files go to `scratch`.

    `system_map` is the text of the kernel's System.map.
    """

    def __init__(self, out: Path, work: Path, scratch: Path, system_map: str) -> None:
        self.out = out
        self.work = work
        self.scratch = scratch
        self.code = Code()
        self._seen: set[Path] = set()
        self._places: dict[Path, dict[str, int] | None] = {}
        self._linked: dict[str, list[int]] = defaultdict(list)
        for match in _MAP.finditer(system_map):
            self._linked[match[2]].append(int(match[1], 16))

    def address(self, symbol: str) -> int:
        """Return the linked address of a symbol of the kernel; 0 for one that it has not."""
        return next(iter(self._linked.get(symbol, ())), 0)

    def is_linked(self, made: Path) -> bool:
        """Tell whether an object is in the kernel, by the symbols that both have."""
        if made not in self._places:
            self._places[made] = self._bases(made)
        return self._places[made] is not None

    def add(self, made: Path) -> None:
        """Add the code of an object that is in the kernel to `code`, once."""
        bases = self._places.get(made)
        if made in self._seen or bases is None:
            return
        self._seen.add(made)
        program = self._placed(made, bases)
        if program is None:
            self.code.failed.append(made)
            return
        for address, places in lines_of(program, _code_addresses(program)).items():
            for file, line in places:
                self.code.addresses[self._in_tree(file), line].add(address)

    def active_lines(self, made: Path, source: str) -> set[int]:
        """Return the lines of `source` that the preprocessor leaves for the compiler.

        Empty where the preprocessor does not run.
        """
        command = _without_dependencies(command_of(made))
        if "-c" not in command or "-o" not in command:
            return set()
        target = self.scratch / "preprocessed"
        command[command.index("-c")] = "-E"
        command[command.index("-o") + 1] = str(target)
        output_of(command, self.out)
        if not target.is_file():
            return set()
        text = target.read_text(errors="replace")
        target.unlink()
        return {line for file, line in _left(text) if self._in_tree(file) == source}

    def _bases(self, made: Path) -> dict[str, int] | None:
        """Return the address of each section of code; None for an object that is not linked.

        A name may stand in System.map several times: the sections' begin is what most symbols of
        the section agree upon.
        """
        prefix = NVHE if is_nvhe(made) else ""
        votes: dict[str, Counter[int]] = defaultdict(Counter)
        named = found = 0
        for match in map(_SYMBOL.match, output_of([_tool("objdump"), "-t", str(made)])):
            if match is None or match[2][-1] not in "FO" or match[3].startswith("*"):
                continue
            named += 1
            addresses = self._linked.get(f"{prefix}{match[5]}", ())
            found += bool(addresses)
            if match[2][-1] == "F":
                votes[match[3]].update(address - int(match[1], 16) for address in addresses)
        if not named or found * 2 < named:
            return None
        return {section: count.most_common(1)[0][0] for section, count in votes.items() if count}

    def _placed(self, made: Path, bases: Mapping[str, int]) -> Path | None:
        """Compile `made` with -g and link each section to its base; None when that fails."""
        number = len(self._seen)
        target, program = self.scratch / f"{number}.o", self.scratch / f"{number}.elf"
        command = _without_dependencies(command_of(made))
        if "-o" not in command:
            return None
        command[command.index("-o") + 1] = str(target)
        output_of([command[0], "-g", *command[1:]], self.out)
        if not target.is_file():
            return None
        headers = "\n".join(output_of([_tool("objdump"), "-h", str(target)]))
        sections = [m[1] for m in _SECTION.finditer(headers) if not _KEPT_OUTSIDE.match(m[1])]
        script = self.scratch / f"{number}.lds"
        script.write_text(_linker_script(sections, bases))
        link = [_tool("ld"), "-T", str(script), "--unresolved-symbols=ignore-all",
                "--noinhibit-exec", "--no-check-sections", "-o", str(program)]  # fmt: skip
        output_of([*link, str(target)])
        target.unlink()
        return program if program.is_file() else None

    def _in_tree(self, path: str) -> str:
        """A path in the tree; the prefix maps of the build have cut most of it off."""
        whole = os.path.normpath(path)  # hyp/nvhe/../pgtable.c
        return whole.removeprefix(f"{self.work}/").removeprefix(f"{self.out}/").removeprefix("/")


def lines_of(program: Path, addresses: Sequence[int]) -> dict[int, list[tuple[str, int]]]:
    """Return file and line of each address, those of the calls that were inlined there as well."""
    listing = program.with_suffix(".addresses")
    listing.write_text("\n".join(map(hex, addresses)) + "\n")
    found: dict[int, list[tuple[str, int]]] = {}
    places: list[tuple[str, int]] = []
    for line in output_of([_tool("addr2line"), "-a", "-i", "-e", str(program), f"@{listing}"]):
        if line.startswith("0x"):
            places = found.setdefault(int(line, 16), [])
            continue
        file, _, number = line.partition(" ")[0].rpartition(":")
        if number.isdecimal() and number != "0":
            places.append((file, int(number)))
    return found


def _code_addresses(program: Path) -> list[int]:
    """Return the address of each instruction of a linked object."""
    addresses: list[int] = []
    headers = output_of([_tool("objdump"), "-h", "-w", str(program)])
    for fields in map(str.split, headers):
        if len(fields) > 6 and "CODE" in "".join(fields[6:]):
            begin, size = int(fields[3], 16), int(fields[2], 16)
            addresses += range(begin, begin + size, INSTRUCTION)
    return addresses


def _linker_script(sections: Iterable[str], bases: Mapping[str, int]) -> str:
    places = []
    for number, section in enumerate(sections):
        address = bases.get(section, NOWHERE + number * ROOM)
        places.append(f'"{section}" {address:#x} : {{ *("{section}") }}')
    return "SECTIONS {\n" + "\n".join(places) + "\n}\n"


def _left(text: str) -> Iterable[tuple[str, int]]:
    """Yield the places of the lines of a preprocessor's output that hold anything."""
    file, number = "", 0
    for line in text.splitlines():
        if marker := _MARKER.match(line):
            number, file = int(marker[1]), marker[2]
            continue
        if line.strip():
            yield file, number
        number += 1


def _without_dependencies(command: Sequence[str]) -> list[str]:
    """Return the compiler's command without ccache and the file that it writes beside."""
    words = [word for word in command if not word.startswith("-Wp,-MMD,")]
    return words[1:] if words and words[0] == "ccache" else words


def _tool(name: str) -> str:
    return f"{cross_prefix()}{name}"
